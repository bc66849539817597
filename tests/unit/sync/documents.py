"""A call's Document and its starts, as the tests of its life write them."""

from __future__ import annotations

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.sync.document_rules import decide_start

CALL = "CA" + "1" * 32
ANN, BOB = "WK" + "a" * 32, "WK" + "b" * 32
NOW = 1_800_000_000.25


def document(state: CallState = CallState.LIVE, **changes: object) -> CallDocument:
    generation = changes.get("generation", 1)
    fields: dict[str, object] = {
        "state": state,
        "generation": generation,
        "stream_name": f"assist_{CALL}" if generation == 1 else f"assist_{CALL}_{generation}",
        "sync_stream": f"FLEX_ASSIST_{CALL}_abc",
        "deadline": NOW + 5,
        "worker": ANN,
        "identity": "ann",
        "owner": "10.0.0.1:9090" if state is CallState.LIVE else "",
        "stream_sid": "MZ" + "1" * 32 if state is CallState.LIVE else "",
    }
    return CallDocument.model_validate({**fields, **changes})


def start(found: CallDocument | None, worker: str = ANN, now: float = NOW, owner_gone: bool = False, held_by_other: bool = False):
    return decide_start(
        found,
        call_sid=CALL,
        sync_stream="S",
        worker=worker,
        identity="ann" if worker == ANN else "bob",
        task_sid="WT1",
        now=now,
        owner_gone=owner_gone,
        held_by_other=held_by_other,
    )
