"""The relay's metrics: their names and labels as promised, and revisions as labels for as long as they are in use."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap

import pytest

from voiceassist_crds.reasons import Refusal
from voiceassist_relay.health.endpoints import watch_loop_delay
from voiceassist_relay.interfaces import TurnTiming
from voiceassist_relay.metrics.labels import MAX_MODELS, STAGES
from voiceassist_relay.metrics.relay_metrics import CallMetrics, RelayMetrics

PROMISED = {
    "stage_duration_seconds": {"stage"},
    "suggestion_latency_seconds": {"revision"},
    "turns_total": {"revision", "outcome"},
    "frame_forward_seconds": set(),
    "active_calls": set(),
    "frames_total": {"track", "outcome"},
    "queue_drops_total": {"queue"},
    "event_loop_delay_seconds": set(),
    "upgrades_total": {"outcome"},
    "streams_lost_total": {"reason"},
    "realtime_reconnects_total": {"reason"},
    "tokens_total": {"model", "modality", "direction", "cached"},
    "sync_publish_seconds": {"outcome"},
    "feedback_total": {"revision", "verdict"},
    "feedback_replaced_total": {"revision", "verdict"},
    "feedback_reasons_total": {"reason"},
    "feedback_reasons_replaced_total": {"reason"},
    "suggestion_painted_seconds": set(),
    "config_info": {"revision"},
    "unknown_messages_total": {"peer"},
    "media_gaps_total": {"kind"},
    "peer_up": {"peer"},
}
TIMING = TurnTiming(1.0, 1.5, created=1.6, first_delta=1.8, finished=2.0)


def sample(metrics: RelayMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value("voiceassist_relay_" + name, labels)


def told(metrics: RelayMetrics, revision: str) -> None:
    metrics.turn("suggested", revision, TIMING)
    metrics.suggestion_published(revision, TIMING, 2.25)
    metrics.feedback(revision, "up", instead_of="down")


def test_metrics_every_promised_metric_is_there_with_its_labels() -> None:
    metrics = RelayMetrics()
    told(metrics, "r")
    metrics.frame_forwarded(0.001)
    metrics.frames("customer", "forwarded")
    metrics.dropped("drafts")
    metrics.loop_delay(0.001)
    metrics.upgrade(Refusal.ACCEPTED)
    metrics.stream_lost("socket")
    metrics.reconnected("stalled")
    metrics.tokens("m", "text", "input", False, 1)
    metrics.published("ok", 0.1)
    metrics.config_in_force("abcd")
    metrics.unknown("twilio")
    metrics.gap("sequence")
    metrics.peer("model", True)
    found = {s.name: set(s.labels) for metric in metrics.registry.collect() for s in metric.samples}
    for name, labels in PROMISED.items():
        full = "voiceassist_relay_" + name
        assert found.get(full, found.get(full + "_count")) == labels, name


def test_metrics_stages_of_a_turn() -> None:
    metrics = RelayMetrics()
    told(metrics, "r")
    sums = {stage: sample(metrics, "stage_duration_seconds_sum", stage=stage) for stage in ("endpointing", "request", "first_token")}
    assert sums == {"endpointing": 0.5, "request": pytest.approx(0.1), "first_token": pytest.approx(0.2)}
    assert sample(metrics, "stage_duration_seconds_sum", stage="generation") == pytest.approx(0.2)
    assert sample(metrics, "stage_duration_seconds_sum", stage="publish") == pytest.approx(0.25)
    assert sample(metrics, "suggestion_latency_seconds_sum", revision="other") == pytest.approx(1.25)


def test_metrics_stages_of_a_turn_that_was_asked_for_ahead_of_its_end() -> None:
    """They add up to the suggestion's latency: nothing is told twice."""
    metrics = RelayMetrics()
    timing = TurnTiming(1.0, 1.5, requested=1.2, created=1.25, first_delta=1.4, finished=1.8)
    metrics.use_revisions(["r"])
    metrics.turn("suggested", "r", timing)
    metrics.suggestion_published("r", timing, 2.0)
    stages = {stage: sample(metrics, "stage_duration_seconds_sum", stage=stage) for stage in STAGES}
    assert stages["endpointing"] == pytest.approx(0.2)
    assert sum(stages.values()) == pytest.approx(sample(metrics, "suggestion_latency_seconds_sum", revision="r"))


def test_metrics_a_moment_that_was_not_seen_is_no_stage() -> None:
    metrics = RelayMetrics()
    metrics.turn("merged", "r", TurnTiming(None, 1.5))
    metrics.suggestion_published("r", TurnTiming(None, 1.5), 2.0)
    assert sample(metrics, "stage_duration_seconds_count", stage="endpointing") == 0
    assert sample(metrics, "suggestion_latency_seconds_count", revision="other") is None


def test_metrics_at_most_four_revisions_and_only_while_in_use() -> None:
    metrics = RelayMetrics()
    metrics.use_revisions(["r1", "r2", "r3", "r4", "r5", "r1"])
    for revision in ("r1", "r4", "r5", "never"):
        told(metrics, revision)
    assert sample(metrics, "turns_total", revision="r1", outcome="suggested") == 1
    assert sample(metrics, "turns_total", revision="r5", outcome="suggested") is None
    assert sample(metrics, "turns_total", revision="other", outcome="suggested") == 2
    metrics.use_revisions(["r5", "r4"])
    for name in ("turns_total", "suggestion_latency_seconds_count", "feedback_total", "feedback_replaced_total"):
        labels = [s.labels["revision"] for metric in metrics.registry.collect() for s in metric.samples if s.name.endswith("relay_" + name)]
        assert set(labels) == {"other", "r4", "r5"}, name
    told(metrics, "r5")
    assert sample(metrics, "turns_total", revision="r5", outcome="suggested") == 1


def test_metrics_one_configuration_is_in_force() -> None:
    metrics = RelayMetrics()
    metrics.config_in_force("aaaa")
    metrics.config_in_force("bbbb")
    assert sample(metrics, "config_info", revision="aaaa") is None
    assert sample(metrics, "config_info", revision="bbbb") == 1


def test_metrics_a_calls_metrics_are_the_process_s() -> None:
    shared = RelayMetrics()
    shared.use_revisions(["r"])
    call = CallMetrics(shared)
    told(call, "r")
    call.frame_forwarded(0.001)
    call.unknown("model")
    call.tokens("m", "text", "output", False, 0)
    assert sample(shared, "turns_total", revision="r", outcome="suggested") == 1
    assert sample(shared, "unknown_messages_total", peer="model") == 1
    assert sample(shared, "frame_forward_seconds_count") == 1
    assert call.summary()["tokens"] == {}


async def test_metrics_a_busy_loop_shows() -> None:
    import time

    delays: list[float] = []
    task = asyncio.create_task(watch_loop_delay(delays.append))
    await asyncio.sleep(0.05)
    time.sleep(0.2)  # the fault itself
    while not delays:
        await asyncio.sleep(0.01)
    task.cancel()
    assert delays[0] > 0.1


def test_metrics_of_calls_count_a_model_in_place_for_the_whole_relay() -> None:
    shared = RelayMetrics()
    shared.use_models(["ours"])
    for number in range(20):
        call = CallMetrics(shared)
        call.model_in_place(f"theirs-{number}")
        call.tokens(f"theirs-{number}", "text", "input", cached=False, count=7)
    counted = re.findall(r'^voiceassist_relay_tokens_total\{.*model="([^"]*)".*\} 7(?:\.0)?$', shared.render().decode(), re.M)
    assert sorted(counted) == [f"theirs-{number}" for number in range(MAX_MODELS - 1)]


def test_metrics_of_calls_keep_nothing_that_is_the_relay_s() -> None:
    """What a method of the relay's metrics notes must not end up on one call's."""
    kept = {"belongs_to", "use_revisions", "use_models", "config_in_force"}  # the relay's own; no call's part has them
    noting = set()
    for name, method in inspect.getmembers(RelayMetrics, inspect.isfunction):
        targets = [node for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method)))) if isinstance(node, ast.Attribute)]
        if name != "__init__" and any(isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self" for node in targets):
            noting.add(name)
    assert noting == kept
    assert "model_in_place" in vars(CallMetrics), "it calls one of them"
