"""How many calls move at once, by the places that the operator tells of."""

from __future__ import annotations

import pytest

from voiceassist_relay.free_places import FreePlaces, at_once


def test_free_places_a_number_is_news_for_some_seconds() -> None:
    places = FreePlaces()
    assert places.count(0) is None
    places.told("7", 100)
    assert (places.count(100), places.count(159), places.count(160)) == (7, 7, None)


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5", "12345678", "7\n"])
def test_free_places_what_is_no_number_changes_nothing(text: str) -> None:
    places = FreePlaces()
    places.told("3", 100)
    places.told(text, 101)
    assert places.count(101) == 3


@pytest.mark.parametrize(("places", "wanted"), [(None, 16), (0, 1), (1, 1), (5, 5), (16, 16), (900, 16)])
def test_free_places_bound_how_many_move_at_once(places: int | None, wanted: int) -> None:
    assert at_once(places, 16) == wanted
