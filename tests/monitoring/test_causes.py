"""Alerts on causes under promtool: each fires for its fault after its time, for nobody else, and clears."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from monitoring.promtool import alerts_at, counter, gauge
from voiceassist_monitoring.causes import CAUSES
from voiceassist_monitoring.windows import MINUTE

WHO = 'namespace="shop",name="support"'
OTHER = 'namespace="shop",name="sales"'
SUPPORT = {"namespace": "shop", "name": "support"}
UP = {'voiceassist_operator_leading{pod="a"}': gauge((120 * MINUTE, 1)), 'voiceassist_operator_leading{pod="b"}': gauge((120 * MINUTE, 0))}
RECONCILING = {'voiceassist_operator_reconcile_duration_seconds_count{outcome="ok"}': counter((120 * MINUTE, 0.1))}


@dataclass(frozen=True)
class Row:
    """One fault: well for 20 minutes, then broken for 20, then well. `minutes` after its start the alert has not fired, then it has."""

    id: str
    alert: str
    inputs: dict[str, str]
    quiet: int
    fires: int
    severity: str = "critical"
    labels: tuple[tuple[str, str], ...] = tuple(SUPPORT.items())
    clears: int = 2


def broken(well: float, bad: float) -> str:
    return gauge((20 * MINUTE, well), (20 * MINUTE, bad), (40 * MINUTE, well))


def condition(kind: str, status: str, well: float, bad: float, who: str = WHO) -> dict[str, str]:
    return {f'voiceassist_operator_condition{{{who},type="{kind}",status="{status}"}}': broken(well, bad)}


def reason(kind: str, name: str, well: float = 0, bad: float = 1) -> dict[str, str]:
    return {f'voiceassist_operator_condition_reason{{{WHO},type="{kind}",reason="{name}"}}': broken(well, bad)}


def lost(kind: str, each_minute: float) -> dict[str, str]:
    steady = {f'voiceassist_relay_upgrades_total{{{WHO},outcome="accepted"}}': counter((80 * MINUTE, 0.1))}
    spans = (20 * MINUTE, 0.0), (20 * MINUTE, each_minute / 60), (40 * MINUTE, 0.0)
    return steady | {f'voiceassist_relay_streams_lost_total{{{WHO},reason="{kind}"}}': counter(*spans)}


def foreign(kind: str, each_hour: float) -> dict[str, str]:
    """Of two relays one meets objects that somebody else made; another object's meet none."""
    spans = (20 * MINUTE, 0.0), (20 * MINUTE, each_hour / 3600), (40 * MINUTE, 0.0)
    series = "voiceassist_relay_foreign_objects_total"
    still = counter((80 * MINUTE, 0.0))
    return {
        f'{series}{{{WHO},pod="a",kind="{kind}"}}': counter(*spans),
        f'{series}{{{WHO},pod="b",kind="{kind}"}}': still,
        f'{series}{{{OTHER},pod="c",kind="{kind}"}}': still,
    }


def used(limit: str, well: float, bad: float) -> dict[str, str]:
    """Another object with the same limit is far from it."""
    series = "voiceassist_operator_limit_used_ratio"
    return {f'{series}{{{WHO},limit="{limit}"}}': broken(well, bad), f'{series}{{{OTHER},limit="{limit}"}}': broken(0.1, 0.1)}


def moves(**each_minute: float) -> dict[str, str]:
    return {
        f'voiceassist_relay_moves_total{{{WHO},outcome="{outcome}"}}': counter(
            (20 * MINUTE, 0.0), (20 * MINUTE, often / 60), (40 * MINUTE, 0.0)
        )
        for outcome, often in each_minute.items()
    }


def peer(name: str) -> dict[str, str]:
    """Of two relays one cannot reach a peer; another object's can."""
    series = "voiceassist_relay_peer_up"
    return {
        f'{series}{{{WHO},pod="a",peer="{name}"}}': broken(1, 0),
        f'{series}{{{WHO},pod="b",peer="{name}"}}': broken(1, 1),
        f'{series}{{{OTHER},pod="c",peer="{name}"}}': broken(1, 1),
    }


ROWS = [
    Row(
        "no relay",
        "VoiceAssistNoRelayReady",
        condition("RelayAvailable", "False", 0, 1) | condition("RelayAvailable", "False", 0, 0, OTHER),
        1,
        3,
    ),
    Row("model", "VoiceAssistModelRefusing", peer("model"), 1, 3),
    Row("sync", "VoiceAssistSyncFailing", peer("sync"), 1, 3),
    Row("twilio refuses", "VoiceAssistCredentialsRefused", reason("SyncConfigured", "TwilioRefused"), 0, 2),
    Row("model refuses", "VoiceAssistCredentialsRefused", reason("ModelReachable", "ModelRefused"), 0, 2),
    Row(
        "prompt",
        "VoiceAssistPromptStuck",
        condition("PromptRolledOut", "False", 0, 1) | condition("RelayAvailable", "True", 1, 1),
        2,
        4,
        "warning",
    ),
    Row(
        "a canary is taken back",
        "VoiceAssistPromptRejected",
        condition("PromptRolledOut", "False", 0, 1)
        | condition("RelayAvailable", "True", 1, 1)
        | reason("PromptRolledOut", "RolledOut", 1, 0)
        | reason("PromptRolledOut", "CanaryRejected"),
        0,
        2,
        "warning",
    ),
    Row("relays cut off", "VoiceAssistRelaysCutOff", condition("RelaysConnected", "False", 0, 1), 4, 6, "warning"),
    Row("a planted object", "VoiceAssistForeignObjects", foreign("map", 20), 0, 2, "warning", clears=18),
    Row(
        "nobody leads",
        "VoiceAssistOperatorNotReconciling",
        RECONCILING | {'voiceassist_operator_leading{pod="a"}': broken(1, 0)},
        4,
        6,
        "warning",
        (),
    ),
    Row(
        "nothing is reconciled",
        "VoiceAssistOperatorNotReconciling",
        UP
        | {
            'voiceassist_operator_reconcile_duration_seconds_count{outcome="ok"}': counter(
                (20 * MINUTE, 1), (20 * MINUTE, 0), (40 * MINUTE, 1)
            )
        },
        9,
        12,
        "warning",
        (),
    ),
    Row(
        "nearly full",
        "VoiceAssistNearCapacity",
        {f'voiceassist_relay_active_calls{{{WHO},pod="{pod}"}}': broken(10, calls) for pod, calls in (("a", 58), ("b", 50))}
        | {f'voiceassist_relay_max_calls{{{WHO},pod="{pod}"}}': broken(60, 60) for pod in "ab"},
        9,
        12,
        "warning",
    ),
    Row("as many calls as may be", "VoiceAssistCallLimitReached", used("calls", 0.5, 1), 0, 2, "warning"),
    Row(
        "starts are refused",
        "VoiceAssistCallLimitReached",
        {f"voiceassist_relay_starts_over_limit_total{{{WHO}}}": counter((20 * MINUTE, 0), (20 * MINUTE, 0.02), (40 * MINUTE, 0))},
        0,
        3,
        "warning",
        clears=7,
    ),
    Row(
        "a day's budget nearly spent",
        "VoiceAssistBudgetNearlySpent",
        used("budget_day", 0.3, 0.8) | used("budget_month", 0.3, 0.3),
        4,
        6,
        "warning",
    ),
    Row("a month's budget nearly spent", "VoiceAssistBudgetNearlySpent", used("budget_month", 0.3, 0.9), 4, 6, "warning"),
    Row(
        "a budget spent",
        "VoiceAssistBudgetSpent",
        used("budget_day", 0.3, 1.1) | reason("WithinLimits", "WithinLimits", 1, 0) | reason("WithinLimits", "BudgetSpent"),
        0,
        2,
        "warning",
    ),
    Row("sockets break", "VoiceAssistStreamsLost", lost("socket", 2), 3, 6, "warning", clears=18),
    Row("no call can be moved", "VoiceAssistMovesFailing", moves(refused=2), 0, 5, "warning", clears=18),
]

NOT = {
    "scaled to zero": ("VoiceAssistNoRelayReady", condition("RelayAvailable", "False", 0, 1) | reason("RelayAvailable", "NoRelays")),
    "no relay at all": ("VoiceAssistPromptStuck", condition("PromptRolledOut", "False", 0, 1) | condition("RelayAvailable", "True", 1, 0)),
    "a canary that takes its time": (
        "VoiceAssistPromptStuck",
        condition("PromptRolledOut", "False", 0, 1)
        | condition("RelayAvailable", "True", 1, 1)
        | reason("PromptRolledOut", "CanaryProgressing"),
    ),
    "at 85 %": (
        "VoiceAssistNearCapacity",
        {f"voiceassist_relay_active_calls{{{WHO}}}": broken(51, 51), f"voiceassist_relay_max_calls{{{WHO}}}": broken(60, 60)},
    ),
    "far from every limit": ("VoiceAssistBudgetNearlySpent", used("budget_day", 0.1, 0.79) | used("calls", 0.2, 0.99)),
    "one of many": ("VoiceAssistStreamsLost", lost("socket", 0.05)),
    "a transfer": ("VoiceAssistStreamsLost", lost("superseded", 3)),
    "most calls move": ("VoiceAssistMovesFailing", moves(moved=3, never_came=1)),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_cause_fires_after_its_time_and_clears(row: Row, bare_rules: Path, tmp_path: Path) -> None:
    inputs = row.inputs if row.alert == "VoiceAssistOperatorNotReconciling" else UP | RECONCILING | row.inputs
    alert = {**dict(row.labels), "severity": row.severity}
    nobody: dict[str, list[dict[str, str]]] = {cause.alert: [] for cause in CAUSES}
    at = {
        20 * MINUTE: nobody,
        (20 + row.quiet) * MINUTE: nobody,
        (20 + row.fires) * MINUTE: nobody | {row.alert: [alert]},
        39 * MINUTE: nobody | {row.alert: [alert]},
        (40 + row.clears) * MINUTE: nobody,
    }
    alerts_at(bare_rules, tmp_path, inputs, at, MINUTE)


@pytest.mark.parametrize("name", NOT)
def test_what_is_no_fault_wakes_nobody(name: str, bare_rules: Path, tmp_path: Path) -> None:
    _, inputs = NOT[name]
    nobody: dict[str, list[dict[str, str]]] = {cause.alert: [] for cause in CAUSES}
    alerts_at(bare_rules, tmp_path, UP | RECONCILING | inputs, dict.fromkeys((20 * MINUTE, 39 * MINUTE, 60 * MINUTE), nobody), MINUTE)


def test_no_operator_at_all(bare_rules: Path, tmp_path: Path) -> None:
    alert = [{"severity": "warning"}]
    name = "VoiceAssistOperatorNotReconciling"
    alerts_at(bare_rules, tmp_path, {"up": gauge((20 * MINUTE, 1))}, {4 * MINUTE: {name: []}, 6 * MINUTE: {name: alert}}, MINUTE)


def test_every_cause_has_a_row() -> None:
    assert {row.alert for row in ROWS} == {cause.alert for cause in CAUSES}
