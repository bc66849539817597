"""`kubectl voiceassist`: what is asked for, and what is printed. With a real kubectl: tests/cluster/operator/test_operator_canary.py."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_operator.kubectl_plugin.orders import Refused, annotations_for
from voiceassist_operator.kubectl_plugin.tables import history, status

OF = "voiceassist.dev/"
TRIED: dict[str, Any] = {
    "currentRevision": "old1",
    "canaryRevision": "new1",
    "weight": 5,
    "step": 1,
    "steps": 3,
    "waitsFor": "9 min more",
    "canary": {"calls": 3, "turns": 12, "failed": 1},
    "stable": {"calls": 60, "turns": 240, "failed": 2},
}
REJECTED: dict[str, Any] = {"currentRevision": "old1", "rejectedRevision": "new1", "rejectedFor": "12 of 40 turns failed"}
IN_FORCE: dict[str, Any] = {"currentRevision": "new1", "history": [{"revision": "new1"}, {"revision": "old1"}]}


@pytest.mark.parametrize(
    ("order", "prompt", "present", "asked"),
    [
        ("promote", TRIED, {}, {"promote": "new1"}),
        ("promote", TRIED, {"promote": "new1"}, {"promote": "new1.2"}),
        ("promote", TRIED, {"promote": "new1.2"}, {"promote": "new1.3"}),
        ("promote", TRIED, {"promote": "other"}, {"promote": "new1"}),
        ("abort", TRIED, {}, {"abort": "new1"}),
        ("rollback", IN_FORCE, {"abort": "new1.x"}, {"abort": "new1.2"}),
        ("retry", REJECTED, {"retry-revision": "new1"}, {"retry-revision": "new1.2"}),
        ("pause", TRIED, {}, {"hold-rollout": "true"}),
        ("resume", {}, {"hold-rollout": "true"}, {"hold-rollout": "false"}),
    ],
)
def test_kubectl_plugin_orders_name_the_revision(
    order: str, prompt: dict[str, Any], present: dict[str, str], asked: dict[str, str]
) -> None:
    found = annotations_for(order, prompt, {OF + key: value for key, value in present.items()}, "ann: it is Friday")
    assert found == {OF + key: value for key, value in asked.items()} | {OF + "rollout-reason": "ann: it is Friday"}
    assert annotations_for(order, prompt, {}, "")[OF + "rollout-reason"] is None, "what another one said is not said of this"


@pytest.mark.parametrize(
    ("order", "prompt", "words"),
    [
        ("promote", REJECTED, "no canary is tried"),
        ("abort", IN_FORCE, "no canary is tried; rollback takes back new1"),
        ("rollback", TRIED, "new1 is tried: abort takes it back"),
        ("rollback", REJECTED, "new1 was taken back already"),
        ("rollback", {"currentRevision": "old1", "history": [{"revision": "old1"}]}, "no prompt before"),
        (
            "rollback",
            {"currentRevision": "c", "history": [{"revision": "c"}, {"revision": "b", "outcome": "Rejected"}]},
            "no prompt before",
        ),
        ("retry", TRIED, "no prompt was taken back"),
    ],
)
def test_kubectl_plugin_orders_that_mean_nothing_are_refused(order: str, prompt: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        annotations_for(order, prompt, {}, "")


def test_kubectl_plugin_tables_show_both_prompts_side_by_side() -> None:
    lines = status("support", TRIED).splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["in", "force", "old1", "95", "%", "60", "240", "2"],
        ["canary", "new1", "5", "%", "3", "12", "1"],
    ]
    assert lines[3] == "step 1 of 3; waits for 9 min more"
    assert status("support", REJECTED).splitlines()[-1] == "new1 was taken back: 12 of 40 turns failed"
    assert status("support", {}) == "support: no prompt was in force yet\n"


def test_kubectl_plugin_tables_tell_the_history() -> None:
    entries = [
        {
            "revision": "new1",
            "time": "2026-01-02T03:04:05Z",
            "manager": "gitops",
            "outcome": "Rejected",
            "decision": "12 of 40 turns failed",
        },
        {"revision": "old1", "time": "2026-01-01T03:04:05Z", "manager": "kubectl", "cause": "the first"},
    ]
    lines = history({**REJECTED, "history": entries}).splitlines()
    assert lines[1].endswith("Rejected   12 of 40 turns failed")
    assert lines[2].split("   ")[-1].strip() == "In force"
    assert "the first" in lines[2]
