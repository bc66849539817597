"""The liveness probe: a watch that delivers nothing is told by a heartbeat that does not come back."""

from __future__ import annotations

import time

import pytest

from voiceassist_operator.controller.workers import Workers
from voiceassist_operator.main import WATCH_SILENT_SECONDS, Health
from voiceassist_operator.metrics import OperatorMetrics


def never(*_: object) -> object:
    raise AssertionError("no reconciler is made here")


def test_main_a_replica_that_waits_for_the_lease_is_well() -> None:
    assert Health(OperatorMetrics()).problem() == ""


@pytest.mark.parametrize(("namespace", "name", "well"), [("own", "heartbeat", True), ("other", "heartbeat", False), ("own", "x", False)])
def test_main_a_deaf_watch(namespace: str, name: str, well: bool) -> None:
    health = Health(OperatorMetrics())
    health.workers = workers = Workers(never, ("own", "heartbeat"))  # type: ignore[arg-type]  # makes none
    assert health.problem() == ""
    workers.heartbeat_at = time.monotonic() - WATCH_SILENT_SECONDS - 1
    workers.config_map_delivered(namespace, name)
    assert (health.problem() == "") is well
