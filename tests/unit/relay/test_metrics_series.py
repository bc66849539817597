"""The series of one relay: all that its code and hostile peers can make of them, counted; the documents' figure is the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from voiceassist_crds.reasons import Refusal
from voiceassist_relay.interfaces import TurnTiming
from voiceassist_relay.metrics import labels as closed
from voiceassist_relay.metrics.relay_metrics import PREFIX, RelayMetrics
from voiceassist_relay.realtime.core import failures

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "relay/src/voiceassist_relay"
TIMING = TurnTiming(1.0, 1.5, requested=1.5, created=1.6, first_delta=1.8, finished=2.0)
HOSTILE = [f"made up {number}" for number in range(100)]
MANY = [f"{number:010x}" for number in range(100)]
CODES = (
    failures.KEY_CODES
    | failures.QUOTA_CODES
    | failures.FIELD_CODES
    | failures.MODEL_CODES
    | failures.REQUEST_CODES
    | failures.OTHER_CODES
    | {"invalid_request_error"}
)


def samples(metrics: RelayMetrics) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(metrics.render().decode()) for sample in family.samples]


def everything(metrics: RelayMetrics, *more: str) -> None:
    """Each verb with each value that its label can have, and with `more` values that it cannot."""
    revisions, models = [*MANY, *more], [*MANY, *more]
    for revision in revisions:
        for outcome in (*closed.TURNS, *more):
            metrics.turn(outcome, revision, TIMING)
        for verdict in (*closed.VERDICTS, *more):
            metrics.feedback(revision, verdict, instead_of=verdict)
        metrics.suggestion_published(revision, TIMING, 2.5)
        metrics.config_in_force(revision)
    for model in models:
        for modality in ("text", "audio", *more):
            for direction in ("input", "output", *more):
                for cached in (False, True):
                    metrics.tokens(model, modality, direction, cached, 1)
    for track, outcome in (*closed.FRAMES, *((one, one) for one in more)):
        metrics.frames(track, outcome)
    for product in (*(product for product, _ in closed.TWILIO), *more):
        for outcome in (*(outcome for _, outcome in closed.TWILIO), *more):
            metrics.twilio_request(product, outcome)
    for path in (*(path for path, _ in closed.HTTP), *more):
        for status in range(100, 600):
            metrics.http(path, status)
    for verb, values in (
        (metrics.dropped, closed.QUEUES),
        (metrics.http_refused, closed.HTTP_REFUSED),
        (metrics.stream_lost, closed.STREAM_ENDS),
        (metrics.stream_restarted, closed.RESTARTS),
        (metrics.reconnected, closed.RECONNECTS),
        (metrics.model_error, closed.MODEL_ERRORS),
        (metrics.unknown, closed.PEERS),
        (metrics.gap, closed.GAPS),
        (metrics.other_version, closed.OTHER_VERSION),
        (metrics.foreign_object, closed.FOREIGN_OBJECTS),
        (lambda reason: metrics.feedback_reason(reason, instead_of=reason), closed.FEEDBACK_REASONS),
    ):
        for value in (*values, *more):
            verb(value)
    for outcome in (*closed.MOVES, *more):
        metrics.call_moved(outcome, 1.0)
    metrics.start_over_limit()
    metrics.move_gap(0.1)
    metrics.restart_gap(0.1)
    for outcome in (*closed.PUBLISHED, *more):
        metrics.published(outcome, 0.1)
    for refusal in Refusal:
        metrics.upgrade(refusal)
    for peer in ("model", "sync"):
        metrics.peer(peer, True)
    gauges = (
        metrics.active_calls,
        metrics.max_calls,
        metrics.tasks,
        metrics.draining,
        metrics.unreached_relays,
        metrics.moving_calls,
        metrics.nowhere_to_move,
    )
    for gauge in gauges:
        gauge.set(1)
    metrics.frame_forwarded(0.001)
    metrics.suggestion_painted(1.0)
    metrics.first_words(1.0)
    for outcome in (*closed.EARLY, *more):
        metrics.early_over(outcome)
    metrics.early_wasted(1)
    metrics.loop_delay(0.001)
    metrics.paused(0.002)
    metrics.config_refused()


@pytest.fixture
def full() -> RelayMetrics:
    metrics = RelayMetrics()
    metrics.belongs_to("shop", "support")
    metrics.use_revisions(MANY)
    metrics.use_models(MANY)
    everything(metrics, *HOSTILE[:12])
    return metrics


def test_metrics_nothing_makes_more_series_than_the_bound(full: RelayMetrics) -> None:
    found = samples(full)
    assert len({(sample.name, *sorted(sample.labels.items())) for sample in found}) == len(found) < closed.MOST_SERIES
    (stated,) = re.findall(r"(\d+) series at the very most", (ROOT / "docs/observability.md").read_text())
    assert len(found) == int(stated)


def test_metrics_the_bound_is_reached_by_all_that_is_counted(full: RelayMetrics) -> None:
    """Else the count above would leave something out: every series of ours was written to."""
    idle = [s for s in samples(full) if s.name.startswith(PREFIX) and not s.name.endswith("_bucket") and not s.value]
    assert idle == []


def test_metrics_revisions_and_models_change_and_the_series_do_not_grow(full: RelayMetrics) -> None:
    before = len(samples(full))
    for number in range(20):
        several = [f"{number}-{one}" for one in range(6)]
        full.use_revisions(several)
        full.use_models(several)
        for one in several:
            full.turn("suggested", one, TIMING)
            full.tokens(one, "text", "input", True, 1)
    assert len(samples(full)) == before
    full.use_revisions(["r"])
    full.use_models(["m"])
    assert {s.labels["revision"] for s in samples(full) if s.name == PREFIX + "turns_total"} == {"r", "other"}
    assert {s.labels["model"] for s in samples(full) if s.name == PREFIX + "tokens_total"} == {"m", "other"}


def test_metrics_what_can_happen_is_there_before_it_happens() -> None:
    """A rate sees the first event of a kind: its series was there, at 0; only further revisions and models may come anew."""
    metrics = RelayMetrics()
    metrics.use_revisions(["r"])
    metrics.use_models(["m"])
    metrics.config_in_force("c")
    metrics.peer("model", True)
    metrics.peer("sync", True)

    def names() -> set[tuple[str, ...]]:
        return {(s.name, *(f"{key}={value}" for key, value in sorted(s.labels.items()) if key != "revision")) for s in samples(metrics)}

    before = names()
    assert not [s for s in samples(metrics) if s.name.endswith("_total") and s.name.startswith(PREFIX) and s.value]
    everything(metrics)
    more = {name for name in names() - before if not set(name) & {"model=other", "outcome=other", "status=other", "verdict=other"}}
    assert more == set()


def test_metrics_every_code_of_the_models_has_its_series() -> None:
    assert {failures.label(code) for code in CODES} | {"other"} <= set(closed.MODEL_ERRORS)
    assert {failures.label("new", kind) for kind in ("server_error", "rate_limit_exceeded", "invalid_request_error", "newer")} <= set(
        closed.MODEL_ERRORS
    )


VERBS = {
    # the place of the label among the arguments, and what it may be; without the verbs that map everything themselves
    "frames": (1, {outcome for _, outcome in closed.FRAMES}),
    "dropped": (0, set(closed.QUEUES)),
    "stream_lost": (0, set(closed.STREAM_ENDS)),
    "stream_restarted": (0, set(closed.RESTARTS)),
    "model_error": (0, set(closed.MODEL_ERRORS)),
    "unknown": (0, set(closed.PEERS)),
    "gap": (0, set(closed.GAPS)),
    "published": (0, set(closed.PUBLISHED)),
    # on the way to a verb
    "ModelFault": (0, set(closed.MODEL_ERRORS)),
    "Replace": (0, set(closed.RECONNECTS)),
    "replace": (0, set(closed.RECONNECTS)),
    "Over": (0, set(closed.RECONNECTS)),
    "_settle": (1, set(closed.TURNS)),
    "_handled": (1, set(closed.TURNS)),
    "_drop": (0, set(closed.TURNS)),
    "EarlyOver": (0, set(closed.EARLY)),
}


def written() -> Iterator[tuple[str, str, str]]:
    """Where the code writes a label as a text: the place, the verb, the text."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                verb = getattr(node.func, "attr", getattr(node.func, "id", ""))
                of_a_text = verb == "replace" and not node.keywords  # not a session's, but a text's
                if verb in VERBS and not of_a_text and len(node.args) > VERBS[verb][0]:
                    for one in ast.walk(node.args[VERBS[verb][0]]):
                        if isinstance(one, ast.Constant) and isinstance(one.value, str):
                            yield f"{path.relative_to(SOURCE)}:{node.lineno}", verb, one.value


def test_metrics_labels_that_the_code_writes_are_in_the_lists() -> None:
    found = list(written())
    assert [(where, verb, text) for where, verb, text in found if text not in VERBS[verb][1]] == []
    assert {verb for _, verb, _ in found} == set(VERBS), "a verb that is gone proves nothing"


def test_metrics_the_text_is_what_the_client_would_write(full: RelayMetrics) -> None:
    """But for the labels that all series bear. Moments of creation, which nobody reads, are in neither."""
    full.config_in_force('odd "name" \\ with\na line')
    ours = {(s.name, *sorted(s.labels.items())): s.value for s in samples(full)}
    assert {dict(key[1:])["namespace"] for key in ours} == {"shop"}
    theirs = {
        (s.name, *sorted({"namespace": "shop", "name": "support", **s.labels}.items())): s.value
        for family in text_string_to_metric_families(generate_latest(full.registry).decode())
        for s in family.samples
    }
    assert [key for key in theirs if key[0].endswith("_created")] == [], "the client makes them, and they cost a third of a scrape"
    assert ours.keys() == theirs.keys()
    assert [key for key, value in ours.items() if value != theirs[key] and not key[0].startswith("process_")] == []
    kinds = {family.name: family.type for family in text_string_to_metric_families(full.render().decode())}
    assert kinds == {family.name: family.type for family in full.registry.collect()}
