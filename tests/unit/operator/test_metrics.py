"""The operator's metrics, by what Prometheus reads."""

from __future__ import annotations

import gc

from prometheus_client import Gauge
from prometheus_client.parser import text_string_to_metric_families

from voiceassist_operator.metrics import OperatorMetrics


def samples(metrics: OperatorMetrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {(one.name, tuple(value for _, value in sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_metrics_conditions_of_an_object_come_and_go() -> None:
    metrics = OperatorMetrics()
    metrics.conditions("n", "a", [{"type": "Ready", "status": "False", "reason": "NotReady"}])
    metrics.conditions("n", "b", [{"type": "Ready", "status": "True", "reason": "Ready"}])
    metrics.conditions("n", "a", [{"type": "Ready", "status": "Unknown", "reason": "Unknown"}])
    name = "voiceassist_operator_condition"
    found = {labels: value for (one, labels), value in samples(metrics).items() if one == name}
    assert found == {("a", "n", "Unknown", "Ready"): 1, ("b", "n", "True", "Ready"): 1}, "one series a condition: what it is now"
    reasons = {labels for one, labels in samples(metrics) if one == "voiceassist_operator_condition_reason"}
    assert reasons == {("a", "n", "Unknown", "Ready"), ("b", "n", "Ready", "Ready")}, "one reason a condition: the last"
    metrics.rolled_out("n", "a", 1.0)
    metrics.canary("n", "a", "CanaryRejected")
    rejected = {labels: value for (one, labels), value in samples(metrics).items() if one == "voiceassist_operator_prompt_rollouts_total"}
    assert {labels for labels, value in rejected.items() if value} == {("CanaryRejected", "a", "n")}
    assert ("CanaryRejected", "b", "n") in rejected, "there before the first one, so that a rate sees that one too"
    metrics.forget("n", "a")
    assert not [labels for _, labels in samples(metrics) if "a" in labels]
    assert {labels[0] for (one, labels) in samples(metrics) if one == name} == {"b"}
    metrics.forget("n", "a")


def test_metrics_conditions_of_many_objects_are_kept_as_what_they_are() -> None:
    def made() -> int:
        gc.collect()
        return sum(type(one) is Gauge for one in gc.get_objects())

    metrics, before = OperatorMetrics(), None
    for number in range(50):
        kinds = ("Ready", "RelayAvailable", "PromptRolledOut")
        metrics.conditions("n", f"{number}", [{"type": kind, "status": "True", "reason": "Well"} for kind in kinds])
        before = before or made()
    assert made() == before
    assert sum(name == "voiceassist_operator_condition" for name, _ in samples(metrics)) == 150


def test_metrics_verbs_count() -> None:
    metrics = OperatorMetrics()
    metrics.reconciled("ok", 0.2)
    metrics.wrote("Service")
    metrics.rolled_out("n", "a", 1.2)
    metrics.leading(True)
    found = samples(metrics)
    assert found["voiceassist_operator_reconcile_duration_seconds_count", ("ok",)] == 1
    assert found["voiceassist_operator_writes_total", ("Service",)] == 1
    assert found["voiceassist_operator_rollout_seconds_bucket", ("1.5", "a", "n")] == 1
    assert found["voiceassist_operator_leading", ()] == 1
    assert {name for name, _ in found if not name.startswith("voiceassist_operator_")} <= {
        name for name, _ in found if name.startswith("process_")
    }
