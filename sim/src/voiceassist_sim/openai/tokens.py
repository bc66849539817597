"""Counts tokens the way the stand-in bills: four characters of text or 100 ms of input audio are one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .conversation import Item
from .schema import Json

CACHE_BLOCK = 64
"""Cached tokens come in blocks of this size."""


def text_tokens(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text) // 4)


def audio_tokens(milliseconds: int) -> int:
    """Tokens of input audio."""
    return -(-milliseconds // 100)


def item_tokens(item: Item) -> tuple[int, int]:
    """Text and audio tokens of an item in a context; what was transcribed of audio is not read by the model."""
    if item.type == "message" and any(part["type"] == "input_audio" for part in item.data["content"]):
        written = "".join(part.get("text") or "" for part in item.data["content"])
        return text_tokens(written), audio_tokens(item.audio_ms)
    return text_tokens(item.text) + 3, 0


@dataclass(frozen=True, slots=True)
class Context:
    """What a response reads: the items that are left after truncation, and their tokens with those of instructions and tools."""

    items: tuple[Item, ...]
    dropped: int
    text_tokens: int
    audio_tokens: int

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.text_tokens + self.audio_tokens


class ContextTooLong(Exception):
    """The context exceeds its limit and truncation is disabled."""


def build_context(items: Sequence[Item], head_tokens: int, truncation: str | Json, limit: int) -> Context:
    """Leave out the oldest items where the context is too long.

    Args:
        items: the conversation, oldest first.
        head_tokens: tokens of instructions and tools, which always stay.
        truncation: the session's setting.
        limit: tokens that the model can read.

    Raises:
        ContextTooLong: truncation is disabled.
    """
    costs = [item_tokens(item) for item in items]
    allowed, keep = limit - head_tokens, 1.0
    if isinstance(truncation, dict):
        after = (truncation.get("token_limits") or {}).get("post_instructions")
        allowed = allowed if after is None else min(allowed, after)
        keep = truncation["retention_ratio"]
    total = sum(text + audio for text, audio in costs)
    first = 0
    if total > allowed:
        if truncation == "disabled":
            raise ContextTooLong
        while first < len(costs) and total > allowed * keep:
            total -= sum(costs[first])
            first += 1
    return Context(
        tuple(items[first:]),
        first,
        head_tokens + sum(text for text, _ in costs[first:]),
        sum(audio for _, audio in costs[first:]),
    )


def usage(context: Context, cached_text: int, cached_audio: int, output_tokens: int) -> Json:
    """The ``usage`` of a response; cached tokens are rounded down to whole blocks, text first."""
    cached = (min(cached_text, context.text_tokens) + min(cached_audio, context.audio_tokens)) // CACHE_BLOCK * CACHE_BLOCK
    from_text = min(cached, cached_text, context.text_tokens)
    return {
        "total_tokens": context.tokens + output_tokens,
        "input_tokens": context.tokens,
        "output_tokens": output_tokens,
        "input_token_details": {
            "text_tokens": context.text_tokens,
            "audio_tokens": context.audio_tokens,
            "image_tokens": 0,
            "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": from_text, "audio_tokens": cached - from_text, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": output_tokens, "audio_tokens": 0},
    }
