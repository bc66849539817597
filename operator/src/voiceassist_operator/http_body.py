"""Reads the body of an HTTP answer as a whole, up to a bound."""

from __future__ import annotations

import aiohttp


async def read_bounded(content: aiohttp.StreamReader, limit: int) -> bytes:
    """Returns the whole body. Raises ValueError for one of more than `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > limit:
            raise ValueError("too long")
    return b"".join(parts)
