"""The rule groups: recorded error ratios and burn-rate alerts of each objective, and the alerts on causes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .causes import CAUSES, Cause
from .slo import Slo
from .windows import TRUE, BurnWindow, Scale, Severity

RUNBOOKS = "https://github.com/voiceassist/voiceassist/blob/main/docs/runbooks"
Rule = dict[str, Any]
Group = dict[str, Any]


def groups(slos: Sequence[Slo], scale: Scale = TRUE, interval: float = 30) -> list[Group]:
    """Every group. `interval` is seconds between evaluations, not scaled."""
    recorded = [_group(f"voiceassist-{slo.id.replace('_', '-')}", _slo_rules(slo, scale), interval) for slo in slos]
    return [*recorded, _group("voiceassist-causes", [_cause_rule(cause, scale) for cause in CAUSES], interval)]


def _group(name: str, rules: list[Rule], interval: float) -> Group:
    return {"name": name, "interval": TRUE.duration(interval), "rules": rules}


def _slo_rules(slo: Slo, scale: Scale) -> list[Rule]:
    windows = [window for window in scale.windows if slo.page or window.severity is Severity.WARNING]
    if not windows:  # a scale that leaves out all of an objective's windows: the shortest pair stands in for them
        windows = list(scale.windows[:1])
    spans = sorted({span for window in windows for span in (window.short, window.long)})
    records = [{"record": slo.recorded(scale.duration(span)), "expr": slo.error_ratio(scale.duration(span))} for span in spans]
    return [*records, *(_burn_rule(slo, window, scale) for window in windows)]


def _burn_rule(slo: Slo, window: BurnWindow, scale: Scale) -> Rule:
    whom = "{{ $labels.namespace }}/{{ $labels.name }}"
    long, short = scale.duration(window.long), scale.duration(window.short)
    limit = f"{window.rate:g} * {slo.budget:g}"
    expression = f"{slo.recorded(long)} > {limit}\nand {slo.recorded(short)} > {limit}\nand {slo.events(long)} >= {slo.minimum_events}"
    severity = window.severity if slo.page else Severity.WARNING
    return {
        "alert": slo.alert,
        "expr": expression,
        "labels": {"severity": severity.value, "long_window": long, "short_window": short},
        "annotations": {
            "summary": f"{slo.title}: the error budget of {whom} burns {window.rate:g} times too fast",
            "description": (
                f"{{{{ $value | humanizePercentage }}}} of the events of the last {long} were bad, as were those of the last {short}; "
                f"the objective of {slo.objective:.4g} over {slo.window} allows {slo.budget:.4g}."
            ),
            "runbook_url": f"{RUNBOOKS}/{slo.alert}.md",
        },
    }


def _cause_rule(cause: Cause, scale: Scale) -> Rule:
    return {
        "alert": cause.alert,
        "expr": cause.expression(scale),
        "for": scale.duration(cause.lasting),
        "labels": {"severity": cause.severity.value},
        "annotations": {
            "summary": cause.summary,
            "description": cause.description,
            "runbook_url": f"{RUNBOOKS}/{cause.alert}.md",
        },
    }


def alert_names(slos: Sequence[Slo]) -> tuple[str, ...]:
    """Every alert's name, once; each has a runbook of that name."""
    return (*(slo.alert for slo in slos), *(cause.alert for cause in CAUSES))
