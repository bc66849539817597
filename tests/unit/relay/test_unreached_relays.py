"""Who counts as not reached, for how long, and how many are kept."""

from __future__ import annotations

from voiceassist_relay.call.unreached_relays import FAILURES, FORGOTTEN_SECONDS, MOST, UnreachedRelays

A, B = "10.0.0.1:9090", "[fd00::2]:9090"


def cut_off(*addresses: str, at: float = 0.0) -> UnreachedRelays:
    unreached = UnreachedRelays()
    for address in addresses:
        for _ in range(FAILURES):
            unreached.silent(address, at)
    return unreached


def test_unreached_relays_one_lost_answer_is_no_news_and_is_asked_for_again() -> None:
    unreached = UnreachedRelays()
    unreached.silent(A, 0.0)
    assert (unreached.suspected, unreached.addresses) == ((A,), ())
    unreached.silent(A, 1.0, needed=False)
    assert unreached.addresses == (A,)


def test_unreached_relays_an_answer_clears_its_address_alone() -> None:
    unreached = cut_off(A, B)
    assert unreached.addresses == (A, B)
    assert unreached.answered(A) and not unreached.answered(A)
    assert unreached.addresses == (B,)


def test_unreached_relays_an_answer_between_two_silences_begins_anew() -> None:
    unreached = UnreachedRelays()
    for _ in range(3):
        unreached.silent(A, 0.0)
        unreached.answered(A)
    unreached.silent(A, 0.0)
    assert unreached.addresses == ()


def test_unreached_relays_what_nobody_needed_for_a_day_is_forgotten() -> None:
    unreached = cut_off(A)
    unreached.silent(A, FORGOTTEN_SECONDS - 1, needed=False)
    assert unreached.addresses == (A,)
    unreached.silent(A, FORGOTTEN_SECONDS, needed=False)
    assert unreached.suspected == ()


def test_unreached_relays_what_is_needed_is_not_forgotten() -> None:
    unreached = cut_off(A)
    unreached.silent(A, FORGOTTEN_SECONDS - 1)
    unreached.silent(A, FORGOTTEN_SECONDS, needed=False)
    assert unreached.addresses == (A,)


def test_unreached_relays_so_many_are_kept_and_the_one_that_was_needed_last_stays() -> None:
    unreached = UnreachedRelays()
    for number in range(MOST + 5):
        for _ in range(FAILURES):
            unreached.silent(f"10.0.0.{number}:9090", float(number))
    unreached.silent("10.0.0.5:9090", 100.0)
    unreached.silent(A, 101.0)
    assert len(unreached.suspected) == MOST
    assert "10.0.0.5:9090" in unreached.addresses and "10.0.0.6:9090" not in unreached.suspected
