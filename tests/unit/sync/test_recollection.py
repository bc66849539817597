"""What a relay goes on with that finds nobody to hand a call over."""

from __future__ import annotations

from typing import Any

from voiceassist_relay.interfaces import EarlierSuggestion
from voiceassist_relay.realtime.core.history import History
from voiceassist_relay.realtime.inheritance import entries_recalled
from voiceassist_relay.sync.client import Revisioned
from voiceassist_relay.sync.recollection import MOST, recollect


def item(key: str, foreign: bool = False, **data: Any) -> Revisioned:
    return Revisioned(sid=key, revision="1", data={"id": f"g1-{key}", "question": f"q{key}", "answer": f"a{key}"} | data, foreign=foreign)


def test_recollection_is_in_the_order_of_the_numbers() -> None:
    assert recollect([item("000002"), item("000010"), item("000001")]) == [
        EarlierSuggestion(f"g1-{key}", f"q{key}", f"a{key}") for key in ("000001", "000002", "000010")
    ]


def test_recollection_leaves_out_what_no_relay_wrote_and_what_is_no_suggestion() -> None:
    others = [item("status"), item("000003", foreign=True), item("000004", id="x"), item("000005", answer=7), item("000006", answer="")]
    assert recollect([*others, item("000001", question=None)]) == [EarlierSuggestion("g1-000001", "", "a000001")]


def test_recollection_keeps_the_newest() -> None:
    told = recollect(item(f"{number:06d}") for number in range(1, MOST + 11))
    assert [one.answer for one in told] == [f"a{number:06d}" for number in range(11, MOST + 11)]


def test_recollection_is_told_the_model_before_what_it_hears() -> None:
    history = History(10_000, 1_000)
    history.agent("now", 100.0, "It is on its way.")
    told = [EarlierSuggestion("g1-a", "Where is it?", "In the depot."), EarlierSuggestion("g1-b", "", "Tomorrow.")]
    history.take_over(entries_recalled(told, 100.0))
    assert [(seed.role, seed.text) for seed in history.seeds()] == [
        ("user", "Where is it?"),
        ("assistant", "In the depot."),
        ("assistant", "Tomorrow."),
        ("user", "Agent: It is on its way."),
    ]
