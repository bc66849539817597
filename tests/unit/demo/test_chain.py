"""What the sessions of a track heard is chained: replays and silence are told from what was sent, and nothing else is forgiven."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceassist_demo.chain import SILENCE, Stretch, as_sent, chain, fit, frames_of, misfit

LETTERS = {letter: bytes([value]) * 160 for value, letter in enumerate("ABCDEFGH", 1)} | {"_": SILENCE}


def audio(letters: str) -> bytes:
    """One frame for each letter; an underscore is silence."""
    return b"".join(LETTERS[letter] for letter in letters)


@pytest.mark.parametrize(
    ("sent", "sessions", "replayed", "filled"),
    [
        ("ABCD", ["ABCD"], 0, 0),
        ("ABCD", ["AB", "CD"], 0, 0),
        ("ABCD", ["ABC", "BCD"], 2, 0),
        ("ABCD", ["ABC", "ABCD"], 3, 0),
        ("ABCDEF", ["ABC", "BCDE", "DEF"], 4, 0),
        ("ABCDEF", ["ABCD", "BC", "CDEF"], 4, 0),
        ("ABCD", ["ABCD", "CD"], 2, 0),
        ("ABCD", ["AB__CD"], 0, 2),
        ("ABCD", ["_ABCD__"], 0, 3),
        ("AB_CD", ["AB__CD"], 0, 1),
        ("ABCD", ["AB__", "BCD_"], 1, 3),
        ("AB__CD", ["AB_", "__CD"], 1, 0),
        ("ABCD", ["", "ABCD"], 0, 0),
        ("ABCABD", ["ABCA", "ABD"], 1, 0),
        ("A_B_C_D", ["A_B", "_C_D"], 0, 0),
    ],
    ids=[
        "one session",
        "taken over without a replay",
        "a replay",
        "everything again",
        "two replacements",
        "a replacement that broke in its replay",
        "broken at the very end",
        "silence in the middle",
        "silence around",
        "silence beside silence that was sent",
        "silence and a replay",
        "a replay of silence that was sent",
        "a session that was given nothing",
        "the same words twice",
        "pauses that look the same",
    ],
)
def test_chain_whole(sent: str, sessions: list[str], replayed: int, filled: int) -> None:
    found = chain(audio(sent), [audio(one) for one in sessions])
    assert (found.wrong(), found.replayed, found.filled) == ([], replayed, filled)


@pytest.mark.parametrize(
    ("sent", "sessions", "wrong"),
    [
        ("ABCD", [], ["the last 4 frames of 4 were not heard as they were sent"]),
        ("ABCD", ["ABC"], ["the last 1 frames of 4 were not heard as they were sent"]),
        ("ABCD", ["ABD"], ["session 1: frame 2 is lost, doubled or not what was sent", "the last 4 frames of 4"]),
        ("ABCD", ["BCD"], ["session 1: frame 0 is lost", "the last 4"]),
        ("ABCD", ["ABBCD"], ["session 1: frame 2 is lost", "the last 4"]),
        ("ABCD", ["ACBD"], ["session 1: frame 1 is lost", "the last 4"]),
        ("ABCD", ["AB", "D"], ["session 2: frame 0 is lost", "the last 2"]),
        ("ABCDEF", ["ABCD", "BDEF"], ["session 2: frame 1 is lost", "the last 2"]),
        ("ABCDEF", ["ABCD", "CDDEF"], ["session 2: frame 2 is lost", "the last 2"]),
        ("ABCDEF", ["ABCD", "CDEFF"], ["session 2: frame 4 is lost", "the last 2"]),
        ("ABCDEF", ["ABC", "EF", "CD"], ["session 2: frame 0 is lost", "the last 2"]),
        ("AB__CD", ["AB_CD"], ["session 1: frame 3 is lost", "the last 6"]),
        ("ABCD", ["ABCDE"], ["session 1: frame 4 is lost", "the last 4"]),
        ("ABCD", ["ABCD", "EEE"], ["session 2: frame 0 is lost"]),
    ],
    ids=[
        "nothing was heard",
        "the end lost",
        "a frame lost",
        "the first frame lost",
        "a frame doubled outside a replay",
        "out of order",
        "lost between two sessions",
        "lost in a replay",
        "doubled in a replay",
        "doubled after a replay",
        "sessions out of order",
        "silence that was sent and not heard",
        "more than was sent",
        "foreign audio after all is heard",
    ],
)
def test_chain_wrong(sent: str, sessions: list[str], wrong: list[str]) -> None:
    found = chain(audio(sent), [audio(one) for one in sessions]).wrong()
    assert len(found) == len(wrong)
    assert all(one.startswith(start) for one, start in zip(found, wrong, strict=True)), found


def test_chain_half_a_frame_more() -> None:
    assert chain(audio("ABCD"), [audio("ABCD") + LETTERS["A"][:80]]).faults == ["session 1: frame 4 is lost, doubled or not what was sent"]


def test_chain_of_several_explanations_the_one_that_comes_furthest_then_least_silence_then_the_shortest_replay() -> None:
    def found(sent: str, heard: str, covered: int) -> Stretch | None:
        return fit(frames_of(audio(sent)), frames_of(audio(heard)), covered)

    assert found("ABAB", "AB", 2) == Stretch(2, 4)
    assert found("_A_AB", "_AB", 3) == Stretch(2, 5)
    assert found("A_ABA", "AB_", 2) == Stretch(2, 4, (2,))
    assert found("ABCD", "CD", 1) is None


def test_chain_where_a_session_that_fits_nowhere_goes_wrong() -> None:
    assert misfit(frames_of(audio("ABCABD")), frames_of(audio("ABCC")), 3) == 3
    assert misfit(frames_of(audio("ABCABD")), frames_of(audio("CC")), 3) == 1


def test_chain_a_frame_of_a_session_and_its_place_among_what_was_sent() -> None:
    stretch = Stretch(10, 15, (3, 4, 9))
    assert [stretch.position(frame) for frame in (0, 3, 4, 5, 9, 10)] == [10, 13, 13, 13, 17, 17]


def test_chain_as_sent() -> None:
    assert as_sent(audio("AB"), 160) == audio("A")
    assert as_sent(audio("A"), 480) == audio("A__")
    assert as_sent(None, 160) == SILENCE


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, list[str]]:
    """What was sent, and sessions that heard all of it: each goes on at or before the end of the last, silence strewn in."""
    sent = "".join(draw(st.lists(st.sampled_from("ABC_"), min_size=1, max_size=14)))
    sessions, covered = list[str](), 0
    while covered < len(sent):
        begin = draw(st.integers(0, covered)) if sessions else 0
        end = draw(st.integers(begin, len(sent)))
        heard = list(sent[begin:end])
        for place in draw(st.lists(st.integers(0, len(heard)), max_size=3)):
            heard.insert(place, "_")
        sessions.append("".join(heard))
        covered = max(covered, end)
        if len(sessions) > 6:
            break
    return sent, sessions if covered == len(sent) else [*sessions, sent[covered:]]


@settings(max_examples=150, deadline=None)
@given(calls())
def test_chain_whatever_a_relay_may_rightly_do_is_explained(case: tuple[str, list[str]]) -> None:
    sent, sessions = case
    assert chain(audio(sent), [audio(one) for one in sessions]).wrong() == []


@settings(max_examples=150, deadline=None)
@given(st.permutations("ABCDEFGH"), st.integers(1, 7), st.integers(0, 7), st.data())
def test_chain_a_lost_frame_is_never_explained(order: list[str], cut: int, lost: int, data: st.DataObject) -> None:
    sent = "".join(order)
    again = data.draw(st.integers(0, cut))
    sessions = [one.replace(sent[lost], "") for one in (sent[:cut], sent[again:])]
    assert chain(audio(sent), [audio(one) for one in sessions]).wrong() != []
