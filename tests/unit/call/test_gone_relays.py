"""Which relays are gone, by what they answer, and who looks after their calls."""

from __future__ import annotations

import pytest

from voiceassist_relay.call.gone_relays import (
    AGAIN_SECONDS,
    FORGOTTEN_SECONDS,
    GONE_SECONDS,
    LONGEST_TURN,
    MOST,
    SUSPECTED_SECONDS,
    TOLD_SECONDS,
    TURN_SECONDS,
    OtherRelays,
)

OWN, OTHER, THIRD = "10.0.0.1:9090", "10.0.0.2:9090", "10.0.0.3:9090"
CALLS = ["CA1", "CA2"]


def watching(*, told: str = f"{OWN},{OTHER},{THIRD}") -> OtherRelays:
    """At 0: both others are known, and one has answered."""
    others = OtherRelays(OWN)
    others.told(told, 0.0)
    assert others.answered(OTHER, "p1", CALLS, 0.0) == ()
    return others


def test_gone_relays_those_that_the_operator_tells_of_are_asked_and_not_oneself() -> None:
    assert set(watching().to_ask()) == {OTHER, THIRD}
    many = OtherRelays(OWN)
    many.told(",".join(f"10.0.1.{n}:9090" for n in range(100)), 0.0)
    assert len(many.to_ask()) == MOST
    many.told("", 1.0)
    assert len(many.to_ask()) == MOST, "who is told no more is asked on: it may have gone"
    many.told("", FORGOTTEN_SECONDS + 1)
    assert many.to_ask() == ()


def test_gone_relays_one_where_nothing_listens_twice_is_gone() -> None:
    others = watching(told=OWN)
    assert others.refused(OTHER, 20.0) == ()
    assert others.refused(OTHER, 22.0) == CALLS
    others.looked_after(OTHER)
    assert others.refused(OTHER, 24.0) == ()
    others = watching(told=OWN)
    assert others.refused(OTHER, 20.0) == ()
    others.there(OTHER, 21.0)
    assert others.refused(OTHER, 22.0) == (), "twice in a row"


def test_gone_relays_two_questions_at_the_same_time_are_one() -> None:
    others = watching(told=OWN)
    assert others.refused(OTHER, 20.0) == ()
    assert others.refused(OTHER, 20.1) == ()
    assert others.refused(OTHER, 20.1 + AGAIN_SECONDS) == CALLS


def test_gone_relays_a_refusal_counts_for_silence_where_the_operator_says_that_it_answers() -> None:
    others = watching()
    for second in (1.0, 3.0, 5.0):
        assert others.refused(OTHER, second) == (), "a network may refuse for it"
    others.told(OWN, 6.0)
    assert others.refused(OTHER, 7.0) == ()
    assert others.refused(OTHER, 9.0) == CALLS


def test_gone_relays_a_suspected_one_that_is_silent_after_the_refusal_is_gone() -> None:
    """As a pod that is evicted: first nothing listens, a moment later its network is gone too."""
    others = watching()
    others.told(f"{OWN},{OTHER}", 20.0)
    assert others.suspect(OTHER, 20.1)
    assert others.silent(OTHER, 20.1) == (), "two questions at the same time are one"
    assert others.silent(OTHER, 20.1 + AGAIN_SECONDS) == CALLS
    others = watching()
    others.suspect(OTHER, 20.0)
    others.there(OTHER, 20.1)
    assert others.silent(OTHER, 25.0) == (), "it has answered since"


def test_gone_relays_another_process_at_the_address_has_the_calls_that_it_says() -> None:
    others = watching()
    assert others.answered(OTHER, "p1", ["CA2"], 2.0) == (), "a call of the same process that is over is over"
    assert others.answered(OTHER, "p2", ["CA3"], 4.0) == ["CA2"]


def test_gone_relays_one_that_is_silent_is_told_of_and_then_gone() -> None:
    others = watching()
    others.told(OWN, 1.0)
    assert others.suspected(SUSPECTED_SECONDS - 0.1) == []
    assert others.suspected(SUSPECTED_SECONDS) == [OTHER], "one that never answered is none of them"
    assert others.silent(OTHER, GONE_SECONDS - 0.1) == ()
    assert others.silent(OTHER, GONE_SECONDS) == CALLS
    assert others.silent(OTHER, GONE_SECONDS) == CALLS, "until somebody looks after them"
    others.looked_after(OTHER)
    assert others.silent(OTHER, GONE_SECONDS + 2) == ()
    assert others.suspected(GONE_SECONDS + 2) == [OTHER]
    assert not others.has(OTHER, "CA1")
    assert others.answered(OTHER, "p1", CALLS, 20.0) == ()
    assert others.suspected(20.0) == []
    assert others.has(OTHER, "CA1"), "so it was only cut off from here"


def test_gone_relays_those_that_were_given_up_are_asked_last() -> None:
    many = OtherRelays(OWN)
    many.told(",".join(f"10.0.1.{n}:9090" for n in range(MOST + 4)), 0.0)
    first = many.to_ask()[0]
    many.looked_after(first)
    assert first not in many.to_ask()
    many.answered(first, "p", [], 1.0)
    assert many.to_ask()[0] == first


def test_gone_relays_where_most_are_silent_it_is_this_one_that_is_cut_off() -> None:
    relays = [f"10.0.3.{n}:9090" for n in range(4)]

    def seen(silent: int, *, operator: bool) -> list[object]:
        others = OtherRelays(OWN)
        others.told(",".join(relays), 0.0)
        for one in relays:
            others.answered(one, "p", CALLS, 0.0)
        for one in relays[silent:]:
            others.answered(one, "p", CALLS, GONE_SECONDS)
        if operator:
            others.told(",".join(relays[silent:]), GONE_SECONDS)
        return [others.silent(one, GONE_SECONDS) for one in relays[:silent]]

    assert seen(2, operator=False) == [CALLS] * 2
    assert seen(3, operator=False) == [()] * 3
    assert seen(4, operator=False) == [()] * 4
    assert seen(3, operator=True) == [CALLS] * 3, "the operator sees the same"


def test_gone_relays_one_that_was_busy_itself_blames_nobody() -> None:
    others = watching()
    others.told(OWN, 1.0)
    others.was_busy(5.0)
    assert others.silent(OTHER, GONE_SECONDS + 4.9) == ()
    assert others.silent(OTHER, GONE_SECONDS + 5.0) == CALLS


def test_gone_relays_one_that_answers_the_operator_is_only_cut_off_from_here() -> None:
    others = watching()
    others.told(f"{OWN},{OTHER}", GONE_SECONDS)
    assert others.silent(OTHER, GONE_SECONDS + 1) == ()
    assert others.silent(OTHER, GONE_SECONDS + TOLD_SECONDS) == CALLS, "the operator's word does not stand for ever"


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_gone_relays_each_call_is_looked_after_by_one_at_once_and_by_others_later(count: int) -> None:
    there = [f"10.0.2.{n}:9090" for n in range(count)]
    gone = "10.0.9.9:9090"
    relays = []
    for own in there:
        others = OtherRelays(own)
        others.told(",".join([*there, gone]), 0.0)
        for one in [*there, gone]:
            if one != own:
                others.answered(one, "p", [], 0.0)
        relays.append(others)
    first = set()
    for number in range(50):
        turns = [others.turn(f"CA{number}", gone, 1.0) for others in relays]
        assert sorted(turns) == [TURN_SECONDS * min(LONGEST_TURN, rank) for rank in range(count)]
        first.add(turns.index(0.0))
    assert len(first) > min(count, 5) - 1, "the calls of one relay are spread over the others"


def test_gone_relays_one_that_is_silent_takes_no_turn() -> None:
    others = watching()
    calls = [f"CA{number}" for number in range(50)]
    assert {others.turn(call, THIRD, 1.0) for call in calls} == {0.0, TURN_SECONDS}
    assert {others.turn(call, THIRD, SUSPECTED_SECONDS) for call in calls} == {0.0}
