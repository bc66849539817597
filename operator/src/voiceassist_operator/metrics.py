"""The operator's metrics: constructed once, injected, written to by verbs. All names begin with `voiceassist_operator_`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

PREFIX = "voiceassist_operator_"
OTHER_VERSION = ("relay_status", "relay_status_field", "object_spec_field", "object_status_field")
"""What of another version may not be known: a relay's whole answer, a field of it, a field of an object's spec or status."""
CANARY_EVENTS = ("CanaryBegun", "CanaryStep", "CanaryEnded", "CanaryRejected", "PromptLost")
"""What is told of a canary of the prompt, as its Kubernetes events are named."""


class _ConditionSeries(Collector):
    """A series for each condition of each object, made as it is scraped: kept, those of a thousand objects would be 20 MB."""

    _type = "gauge"

    def __init__(
        self, name: str, words: str, label: str, part: int, known: Mapping[tuple[str, str], Mapping[str, tuple[str, str]]]
    ) -> None:
        """`part` of what is `known` of a condition is the value of `label`."""
        self._name, self._documentation, self._labelnames = PREFIX + name, words, ("namespace", "name", "type", label)
        self._part, self._known = part, known

    def describe(self) -> Iterable[Metric]:
        """Yields the metric without series."""
        yield GaugeMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterable[Metric]:
        """Yields the metric; in any thread."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for (namespace, name), conditions in list(self._known.items()):
            for kind, one in conditions.items():
                family.add_metric((namespace, name, kind, one[self._part]), 1.0)
        yield family


class OperatorMetrics:
    """Every metric of the operator, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        buckets = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
        self._duration = Histogram(
            PREFIX + "reconcile_duration_seconds", "Reconciles by outcome.", ["outcome"], buckets=buckets, registry=self.registry
        )
        self._conditions: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        """Status and reason of each condition, by object and type; what is held by an object is replaced as a whole."""
        said = "1 for the status that a condition has; there is none for the others."
        self.registry.register(_ConditionSeries("condition", said, "status", 0, self._conditions))
        self.registry.register(
            _ConditionSeries("condition_reason", "1 for the reason that a condition has.", "reason", 1, self._conditions)
        )
        self._limits = Gauge(
            PREFIX + "limit_used_ratio",
            "The part of a limit of an object that is used: limit is calls (at once), budget_day or budget_month; what is given and known.",
            ["namespace", "name", "limit"],
            registry=self.registry,
        )
        self._limits_used: dict[tuple[str, str], Mapping[str, float]] = {}
        self._leading = Gauge(PREFIX + "leading", "1 while this replica holds the Lease.", registry=self.registry)
        self._writes = Counter(PREFIX + "writes_total", "Writes to the cluster, by kind.", ["kind"], registry=self.registry)
        self._requests = Counter(
            PREFIX + "api_requests_total", "Requests to the API server, without kopf's.", ["verb", "resource"], registry=self.registry
        )
        self._twilio = Counter(
            PREFIX + "twilio_requests_total", "Requests to Twilio, by product and outcome.", ["product", "outcome"], registry=self.registry
        )
        self._other_version = Counter(
            PREFIX + "other_version_total",
            "What another version wrote and this one does not know: fields of relays' answers and of objects, and whole answers.",
            ["what"],
            registry=self.registry,
        )
        self._log_dropped = Counter(
            PREFIX + "log_lines_dropped_total", "Log lines dropped as nobody read the log in time.", registry=self.registry
        )
        self._canaries = Counter(
            PREFIX + "prompt_rollouts_total",
            "What became of canaries of the prompt.",
            ["namespace", "name", "event"],
            registry=self.registry,
        )
        for what in OTHER_VERSION:
            self._other_version.labels(what)
        self._rollout = Histogram(
            PREFIX + "rollout_seconds",
            "From a new configuration until every relay reports it.",
            ["namespace", "name"],
            buckets=(0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60),
            registry=self.registry,
        )

    def other_version(self, what: str, count: int = 1) -> None:
        """Something that another version wrote is not known here; `what` is one of OTHER_VERSION."""
        self._other_version.labels(what).inc(count)

    def log_dropped(self, lines: int) -> None:
        """So many log lines found no room, or no reader."""
        self._log_dropped.inc(lines)

    def render(self) -> bytes:
        """Returns the exposition in Prometheus's text format."""
        return generate_latest(self.registry)

    def reconciled(self, outcome: str, seconds: float) -> None:
        """A reconcile ended: ok, retry, refused, not_leading, error."""
        self._duration.labels(outcome).observe(seconds)

    def conditions(self, namespace: str, name: str, conditions: Sequence[Mapping[str, Any]]) -> None:
        """The conditions of one object."""
        new = {one["type"]: (one["status"], one["reason"]) for one in conditions}
        old = self._conditions.get((namespace, name))
        if new == old:
            return
        if old is None:  # there before the first roll-out ends, so that a rate sees that one too
            self._rollout.labels(namespace, name)
            for event in CANARY_EVENTS:
                self._canaries.labels(namespace, name, event)
        self._conditions[namespace, name] = new

    def limits_used(self, namespace: str, name: str, used: Mapping[str, float]) -> None:
        """The share of each limit of an object that is used; a limit that is not there any more has no series."""
        before = self._limits_used.pop((namespace, name), {})
        for limit in before.keys() - used.keys():
            self._limits.remove(namespace, name, limit)
        for limit, share in used.items():
            self._limits.labels(namespace, name, limit).set(share)
        if used:
            self._limits_used[namespace, name] = used

    def forget(self, namespace: str, name: str) -> None:
        """An object is gone."""
        self.limits_used(namespace, name, {})
        known = self._conditions.pop((namespace, name), None)
        if known is not None:
            self._rollout.remove(namespace, name)
            for event in CANARY_EVENTS:
                self._canaries.remove(namespace, name, event)

    def leading(self, yes: bool) -> None:
        """Whether this replica holds the Lease."""
        self._leading.set(int(yes))

    def wrote(self, kind: str) -> None:
        """A write to the cluster."""
        self._writes.labels(kind).inc()

    def asked_api(self, verb: str, resource: str) -> None:
        """A request to the API server: get, list, watch, create, update, apply, patch, delete; the resource by its plural."""
        self._requests.labels(verb, resource).inc()

    def twilio_request(self, product: str, outcome: str) -> None:
        """A request to Twilio ended, each repetition by itself: ok, refused, busy (429), unclear (5xx, no answer)."""
        self._twilio.labels(product, outcome).inc()

    def canary(self, namespace: str, name: str, event: str) -> None:
        """A canary of the prompt has come to something; `event` is one of CANARY_EVENTS."""
        self._canaries.labels(namespace, name, event).inc()

    def rolled_out(self, namespace: str, name: str, seconds: float) -> None:
        """Every relay of an object reports a new configuration."""
        self._rollout.labels(namespace, name).observe(seconds)
