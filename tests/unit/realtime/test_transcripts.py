"""Transcripts as they grow: whatever a server sends and however a session ends, each that was shown ends exactly once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.messages import Track
from voiceassist_relay.realtime.core.outputs import Words
from voiceassist_relay.realtime.core.transcripts import Transcripts


def transcripts(most: int = 4) -> Transcripts:
    return Transcripts(Track.CUSTOMER, 100, most)


def test_transcripts_words_grow_and_end() -> None:
    one = transcripts()
    assert one.piece("a", "I want ") == [Words(Track.CUSTOMER, "a", "I want ", False)]
    assert one.piece("a", "to") == [Words(Track.CUSTOMER, "a", "I want to", False)]
    assert one.whole("a", "I want to go.\n") == [Words(Track.CUSTOMER, "a", "I want to go.", True)], "without the line's end"
    assert one.whole("a", "I want to go.") == []
    assert one.piece("a", " late") == []


def test_transcripts_nothing_is_shown_of_nothing() -> None:
    one = transcripts()
    assert one.piece("a", " \n") == []
    assert one.whole("a", "  ") == []
    assert one.failed("b") == []


def test_transcripts_what_was_shown_and_comes_to_nothing_ends_all_the_same() -> None:
    one = transcripts()
    one.piece("a", "uh")
    assert one.whole("a", "") == [Words(Track.CUSTOMER, "a", "", True)]
    one.piece("b", "I want ")
    assert one.failed("b") == [Words(Track.CUSTOMER, "b", "I want", True)], "what was heard stays"


def test_transcripts_what_comes_again_by_another_id_is_taken_off_and_the_rest_stays() -> None:
    one = transcripts()
    one.piece("a", "heard for good")
    one.piece("b", "comes again")
    assert one.abandoned({"b"}) == [Words(Track.CUSTOMER, "a", "heard for good", True), Words(Track.CUSTOMER, "b", "", True)]
    assert one.left() == []


PIECES = st.lists(
    st.tuples(st.sampled_from(["piece", "whole", "failed"]), st.sampled_from("abcdefgh"), st.sampled_from(["", " ", "word ", "\n", "x"])),
    max_size=40,
)


@given(PIECES, st.sampled_from(["left", "abandoned"]), st.sets(st.sampled_from("abcdefgh")))
def test_transcripts_each_ends_exactly_once(steps: list[tuple[str, str, str]], end: str, again: set[str]) -> None:
    one, told = transcripts(), []
    for what, item, text in steps:
        told += one.failed(item) if what == "failed" else getattr(one, what)(item, text)
    told += one.left() if end == "left" else one.abandoned(again)
    for item in "abcdefgh":
        mine = [words for words in told if words.item == item]
        assert [words.final for words in mine] == [False] * (len(mine) - 1) + [True] * bool(mine), "ends once, and nothing follows"
        assert all(words.text.strip() for words in mine[:-1])
