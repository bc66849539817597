"""What a writer does when its number in the Map is taken."""

from __future__ import annotations

import pytest

from voiceassist_crds.names import suggestion_id, suggestion_key
from voiceassist_relay.sync.numbering import OnConflict, generation_of, number_of, on_conflict


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"id": "g2-mine"}, OnConflict.DONE),
        ({"id": "g2-other"}, OnConflict.NEXT),
        ({"id": "g1-other"}, OnConflict.NEXT),
        ({"id": "g1-mine"}, OnConflict.NEXT),
        ({"id": "g3-other"}, OnConflict.SUPERSEDED),
        ({"id": "g10-mine"}, OnConflict.SUPERSEDED),
        ({"id": "nonsense"}, OnConflict.NEXT),
        ({"id": 7}, OnConflict.NEXT),
        ({}, OnConflict.NEXT),
    ],
)
def test_numbering_on_conflict(found: dict[str, object], expected: OnConflict) -> None:
    assert on_conflict(found, "g2-mine", 2) is expected


@pytest.mark.parametrize(
    ("identifier", "expected"), [("g1-a", 1), ("g12-g3-a", 12), ("g0-a", None), ("g-a", None), ("xg1-a", None), (None, None)]
)
def test_numbering_generation_of(identifier: object, expected: int | None) -> None:
    assert generation_of(identifier) == expected
    if expected:
        assert generation_of(suggestion_id(expected, "a-b")) == expected


@pytest.mark.parametrize(
    ("key", "expected"), [("000001", 1), ("1000000", 1_000_000), ("status", None), ("", None), ("1", None), ("००००००", None)]
)
def test_numbering_number_of(key: str, expected: int | None) -> None:
    assert number_of(key) == expected
    assert number_of(suggestion_key(42)) == 42
