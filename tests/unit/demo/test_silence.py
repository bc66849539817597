"""Silence that was filled in is told from what was sent; everything else that differs is not forgiven."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_demo.silence import SILENCE, added, added_before, as_sent

A, B, C = (bytes([value]) * 160 for value in (1, 2, 3))


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        (A + B + C, []),
        (A + SILENCE + B + C, [1]),
        (SILENCE + A + B + C + SILENCE + SILENCE, [0, 4, 5]),
        (A + C, None),
        (A + B, None),
        (A + B + B + C, None),
        (A + C + B, None),
        (b"", None),
        (A + B + C + A[:80], None),
    ],
    ids=["the same", "one", "around", "one lost", "the end lost", "one twice", "another order", "nothing", "half a frame more"],
)
def test_added(heard: bytes, found: list[int] | None) -> None:
    assert added(A + B + C, heard) == found


def test_sent_silence_must_arrive_too() -> None:
    assert added(A + SILENCE + B, A + B) is None
    assert added(A + SILENCE + B, A + SILENCE + SILENCE + B) == [2]


@given(st.lists(st.sampled_from([A, B, SILENCE]), max_size=20), st.lists(st.integers(0, 20), max_size=6))
def test_any_silence_added_is_found_in_number(sent: list[bytes], places: list[int]) -> None:
    heard = list(sent)
    for place in places:
        heard.insert(min(place, len(heard)), SILENCE)
    found = added(b"".join(sent), b"".join(heard))
    assert found is not None
    assert len(found) == len(places)


def test_added_before() -> None:
    assert [added_before([3, 4, 9], frame) for frame in (0, 3, 4, 9, 10)] == [0, 0, 1, 2, 3]


def test_as_sent() -> None:
    assert as_sent(A + B, 160) == A
    assert as_sent(A, 480) == A + SILENCE + SILENCE
    assert as_sent(None, 160) == SILENCE
