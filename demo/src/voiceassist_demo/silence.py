"""Tells silence that the relay filled in from what was sent. Pure."""

from __future__ import annotations

from bisect import bisect_left

FRAME_BYTES = 160
SILENCE = b"\xff" * FRAME_BYTES
"""20 ms of mu-law silence, as the relay fills it in."""


def added(sent: bytes, heard: bytes) -> list[int] | None:
    """Numbers of the frames of silence in `heard` that were not sent; None if the rest is not `sent`, each frame once and in order.

    Where silence was sent too, the first of equal frames counts as the one that was sent.
    """
    at, found = 0, []
    for number in range(-(-len(heard) // FRAME_BYTES)):
        frame = heard[number * FRAME_BYTES : (number + 1) * FRAME_BYTES]
        if frame == sent[at : at + FRAME_BYTES]:
            at += FRAME_BYTES
        elif frame == SILENCE:
            found.append(number)
        else:
            return None
    return found if at >= len(sent) else None


def added_before(found: list[int], frame: int) -> int:
    """How many of these frames stand before a frame."""
    return bisect_left(found, frame)


def as_sent(track: bytes | None, size: int) -> bytes:
    """The first `size` bytes that a call gives of a recording's track: silence after its end, and where there is no track."""
    return (track or b"")[:size].ljust(size, b"\xff")
