"""Operator and relay of two versions, by /status, and relay and browser by Sync's messages."""

from __future__ import annotations

import json

import pytest

from contract.versions.shapes import EarlierReader, means_the_same, recorded
from voiceassist_crds.messages import STREAM_MESSAGE
from voiceassist_crds.status import MonthSpend, PeerReason, RelayStatus, Spend

STATUSES = recorded("statuses")
MESSAGES = recorded("messages")


@pytest.mark.parametrize("name", STATUSES)
def test_this_operator_reads_the_relay_before(name: str) -> None:
    status = RelayStatus.read(json.dumps(STATUSES[name]))
    assert means_the_same(STATUSES[name], status.model_dump(mode="json", by_alias=True))


@pytest.mark.parametrize("name", STATUSES)
def test_the_operator_before_reads_this_relay(name: str) -> None:
    now = RelayStatus.read(json.dumps(STATUSES[name])).to_json()
    # a list that is empty by default has no default in the schema
    assert EarlierReader("relay-status").read({"notReadyReasons": [], **json.loads(now)}) == STATUSES[name]


def test_what_a_relay_spent_may_be_missing_and_may_have_more_fields() -> None:
    assert RelayStatus.read(json.dumps(STATUSES["well"])).spend is None
    later = {**STATUSES["well"], "spend": {"process": "p", "day": "2026-11-30", "tokens": 7, "currency": "x"}}
    assert RelayStatus.read(json.dumps(later)).spend == Spend(process="p", day="2026-11-30", tokens=7), "of its month nothing is known"
    later["spend"]["month"] = {"tokens": 70, "cost": 0.5, "currency": "x"}
    read = RelayStatus.read(json.dumps(later)).spend
    assert read is not None and read.month == MonthSpend(tokens=70, cost=0.5)


def test_this_operator_reads_a_later_relay() -> None:
    later = {**STATUSES["well"], "capabilities": ["moves"], "model": {"ok": False, "reason": "Overheated", "since": 1, "region": "x"}}
    status = RelayStatus.read(json.dumps(later))
    assert (status.active_calls, status.model.ok, status.model.reason) == (2, False, PeerReason.UNKNOWN)


@pytest.mark.parametrize("kind", MESSAGES)
def test_the_readers_before_read_what_is_sent_now(kind: str) -> None:
    now = STREAM_MESSAGE.validate_python(MESSAGES[kind]).wire()
    assert now["type"] == kind
    assert EarlierReader("sync-message").read(now)
