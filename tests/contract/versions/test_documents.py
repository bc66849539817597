"""Relay and relay of two versions, by a call's Document: each reads the other's, and what one does not know it leaves as it is."""

from __future__ import annotations

from typing import Any

import pytest

from contract.versions.shapes import EarlierReader, means_the_same, recorded
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.sync.document_rules import decide_paused, decide_start, decide_stop, ended, went_live
from voiceassist_relay.sync.stored_document import UnknownState, read_document, unknown_fields

DOCUMENTS = recorded("documents")
CALL = "CA" + "1" * 32
LATER = {**DOCUMENTS["live"], "generation": 5, "seq": 12, "handover": {"to": "10.0.0.9:9090", "since": 1}, "held": True}
"""A call that a later version's relay has moved once already."""


def read(data: dict[str, Any]) -> CallDocument:
    document = read_document(CALL, data)
    assert isinstance(document, CallDocument)
    return document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_this_relay_reads_what_the_relay_before_wrote(name: str) -> None:
    document = read(DOCUMENTS[name])
    assert unknown_fields(document) == ()
    assert means_the_same(DOCUMENTS[name], document.model_dump(mode="json", by_alias=True))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_relay_before_reads_what_this_one_writes_and_means_the_same(name: str) -> None:
    assert EarlierReader("call-document").read(read(DOCUMENTS[name]).wire()) == DOCUMENTS[name]


def changes() -> dict[str, CallDocument]:
    """All that this relay makes of a later version's Document."""
    document = read(LATER)
    stop, pause = decide_stop(document, worker=document.worker), decide_paused(document, True, worker=document.worker)
    again = decide_start(
        document, call_sid=CALL, sync_stream="S", worker="WKother", identity="bob", task_sid="WT1", now=1.0, owner_gone=True
    )
    live = went_live(document, "10.0.0.8:9090", document.stream_sid, "abcd", generation=document.generation)
    over = ended(document, True, 40, generation=document.generation)
    found = {"stop": stop, "pause": pause, "start again": again}
    made = {name: one.document for name, one in found.items()}  # type: ignore[union-attr]
    assert isinstance(live, CallDocument)
    assert over is not None
    return {**made, "live": live, "ended": over}


@pytest.mark.parametrize("name", ["stop", "pause", "start again", "live", "ended"])
def test_what_a_later_version_wrote_is_kept_whatever_this_relay_does(name: str) -> None:
    written = changes()[name].wire()
    assert written["handover"] == LATER["handover"]
    assert written["held"] is True
    assert written["syncStream"] == ("S" if name == "start again" else LATER["syncStream"])  # another worker, another Stream
    assert written["generation"] >= 5
    assert written["seq"] >= 12


@pytest.mark.parametrize("state", ["moving", "held", "Live", ""])
def test_a_state_of_a_later_version_is_told_and_nothing_is_made_of_it(state: str) -> None:
    assert read_document(CALL, {**LATER, "state": state}) == UnknownState(state, 5)
    assert read_document(CALL, {"state": state, "generation": "new kind"}) == UnknownState(state, None)


@pytest.mark.parametrize(
    ("spoilt", "generation", "seq"),
    [
        ({"deadline": "soon"}, 5, 12),
        ({"paused": "?", "worker": None}, 5, 12),
        ({"state": None}, 5, 12),
        ({"state": 7, "seq": -1}, 5, 0),
        ({"generation": "five"}, 1, 12),
    ],
)
def test_a_damaged_one_counts_as_lost_and_what_can_be_read_of_it_goes_on(spoilt: dict[str, Any], generation: int, seq: int) -> None:
    document = read({**LATER, **spoilt})
    assert (document.state, document.generation, document.seq) == (CallState.LOST, generation, seq)
    assert document.sync_stream == LATER["syncStream"]
    assert document.wire()["handover"] == LATER["handover"]


def test_an_empty_one_can_be_started_anew() -> None:
    document = read({})
    assert (document.state, document.generation, document.sync_stream) == (CallState.LOST, 1, "")
