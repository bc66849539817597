"""Pages of a list as the newer Twilio products give them: bounds of PageSize, and `meta` with absolute links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from .api import ApiRequest
from .errors import bad_parameter
from .fields import integer

DEFAULT_PAGE_SIZE: Final = 50
MAX_OFFSET: Final = 1 << 40


def page(
    request: ApiRequest, key: str, rows: Sequence[Mapping[str, Any]], *, max_page_size: int = 100, filters: Sequence[str] = ()
) -> dict[str, Any]:
    """One page of ``rows``: ``{key: [...], "meta": {...}}``.

    ``filters`` are the query parameters that the links must keep. A next page is named by ``PageToken``; a ``Page`` alone is refused, as
    the page number is only for the client's own bookkeeping. 400/20001 for a size out of bounds or an unknown token.
    """
    size = integer(request.query, "PageSize", low=1, high=max_page_size) or DEFAULT_PAGE_SIZE
    number = integer(request.query, "Page", low=0, high=MAX_OFFSET) or 0
    start = _start(request, number)
    kept = [(name, request.query[name]) for name in filters if name in request.query]

    def link(offset: int, page_number: int) -> str:
        token = [("PageToken", f"PT{offset}")] if offset else []
        return request.url(f"{request.path}?{urlencode([*kept, ('PageSize', size), ('Page', page_number), *token])}")

    return {
        key: list(rows[start : start + size]),
        "meta": {
            "key": key,
            "page": number,
            "page_size": size,
            "first_page_url": link(0, 0),
            "previous_page_url": link(max(0, start - size), max(0, number - 1)) if start else None,
            "next_page_url": link(start + size, number + 1) if start + size < len(rows) else None,
            "url": link(start, number),
        },
    }


def _start(request: ApiRequest, number: int) -> int:
    token = request.query.get("PageToken")
    if token is None:
        if number:
            raise bad_parameter("Page is given without PageToken: follow meta.next_page_url instead of counting pages")
        return 0
    if not token.startswith("PT") or not (token.isascii() and token[2:].isdigit()) or len(token) > 15:
        raise bad_parameter("PageToken is not one that this API gave")
    return int(token[2:])
