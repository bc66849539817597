"""Where a sentence has likely ended."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from voiceassist_relay.realtime.core.sentence_end import SentenceEnd, ends_open

FULL = [0.1] * 60


def ended_after(levels: Iterable[float], *, silence: float = 0.15, words: str = "", quiet: float = 0.0) -> int | None:
    """Milliseconds of quiet after these frames until the sentence has likely ended; None: not within 1 s."""
    end, at = SentenceEnd(), 0.0
    for level in levels:
        at += 0.02
        end.hear(level, at)
    for frame in range(1, 51):
        end.hear(quiet, at + frame * 0.02)
        if end.ended(silence, words):
            return frame * 20
    return None


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([*FULL, 0.1, 0.09, 0.08, 0.07], 140),
        ([*FULL, *[0.07] * 8], 100),
        ([*FULL, *[0.03] * 8], 60),
        ([*FULL, *[0.07] * 7, 0.1], 140),
        ([*FULL, 0.16, 0.16, 0.17, 0.18], 140),
        ([0.1] * 30, 200),
    ],
    ids=["as it was", "it fell", "it fell far", "a stop inside a word", "it broke off", "little was said yet"],
)
def test_core_sentence_end_how_the_voice_fell_tells_how_long_to_wait(levels: list[float], expected: int) -> None:
    assert ended_after(levels) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [("where is my parcel", 140), ("where is my parcel and", 300), ("I would like,", 300), ("ich warte, weil", 300), ("", 140)],
)
def test_core_sentence_end_the_last_words_tell_whether_it_goes_on(words: str, expected: int) -> None:
    assert ended_after(FULL, words=words) == expected
    assert ends_open(words) is (expected == 300)


def test_core_sentence_end_what_is_no_speech_ends_none() -> None:
    assert ended_after([0.1] * 9) is None
    assert ended_after([0.1] * 10) is not None
    assert ended_after([0.002] * 100) is None
    assert ended_after([]) is None


def test_core_sentence_end_quiet_is_beside_the_turns_own_voice() -> None:
    assert ended_after([0.3] * 60, quiet=0.02) == 140, "a tenth of the voice is none"
    assert ended_after(FULL, quiet=0.02) is None, "this is one"


def test_core_sentence_end_a_voice_begins_the_count_anew() -> None:
    end = SentenceEnd()
    for at, level in enumerate([*FULL, *[0.0] * 6, 0.1, *[0.0] * 6]):
        end.hear(level, at * 0.02)
    assert not end.ended(0.15)
    assert end.last_voice == pytest.approx(66 * 0.02)


@pytest.mark.parametrize("level", [0.25, 0.5, 1.0])
def test_core_sentence_end_a_soft_voice_is_heard_as_a_loud_one_is(level: float) -> None:
    """The soft sounds inside its words are no silence."""
    assert ended_after([level * 0.06] * 50 + [level * 0.015] * 8 + [level * 0.06] * 8) == 140
    assert ended_after([level * 0.06] * 50 + [level * 0.02] * 8) == 60
