"""A suggestion's receipt: for this call, this worker and exactly what was published."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_crds.messages import Suggestion
from voiceassist_relay.sync.receipts import is_for, read_suggestion, receipt

CALL, WORKER, TOKENS = "CA" + "1" * 32, "WK" + "1" * 32, ("secret", "former")
PLAIN = Suggestion(id="g1-item", revision="abc", seq=1, question="?", answer="!", at=1_800_000_000_000, latency_ms=700)
MARKED = PLAIN.model_copy(update={"receipt": receipt(CALL, WORKER, PLAIN, TOKENS)})


def test_receipts_any_relay_with_one_of_the_auth_tokens_knows_it() -> None:
    assert is_for(CALL, WORKER, MARKED, TOKENS)
    assert is_for(CALL, WORKER, MARKED, ("newer", "secret"))
    assert not is_for(CALL, WORKER, MARKED, ("former",))
    assert WORKER not in str(MARKED.receipt) and 40 <= len(str(MARKED.receipt)) <= 64


@pytest.mark.parametrize(
    ("call", "worker", "changes"),
    [
        ("CA" + "2" * 32, WORKER, {}),
        (CALL, "WK" + "2" * 32, {}),
        (CALL, "", {}),
        (CALL, WORKER, {"id": "g1-other"}),
        (CALL, WORKER, {"revision": "abd"}),
        (CALL, WORKER, {"at": 1_800_000_000_001}),
        (CALL, WORKER, {"latency_ms": 701}),
        (CALL, WORKER, {"latency_ms": None}),
        (CALL, WORKER, {"receipt": None}),
        (CALL, WORKER, {"receipt": "schön"}),
    ],
)
def test_receipts_of_anything_else_it_is_none(call: str, worker: str, changes: dict[str, Any]) -> None:
    assert not is_for(call, worker, MARKED.model_copy(update=changes), TOKENS)


def test_receipts_the_number_may_change_while_it_is_stored() -> None:
    assert is_for(CALL, WORKER, MARKED.model_copy(update={"seq": 9}), TOKENS)


@pytest.mark.parametrize(("worker", "tokens"), [("", TOKENS), (WORKER, ()), (WORKER, ("",))])
def test_receipts_none_without_a_worker_or_a_token(worker: str, tokens: tuple[str, ...]) -> None:
    assert receipt(CALL, worker, PLAIN, tokens) is None


def test_receipts_what_sync_gives_back_is_read_and_what_is_no_suggestion_is_none() -> None:
    assert read_suggestion({**MARKED.wire(), "at": float(MARKED.at), "later": 1}) == MARKED
    for data in ({}, {"type": "status"}, {"id": "g1-x", "answer": 3}):
        assert read_suggestion(data) is None
