"""What all relays counted of a roll-out, added up so that a pod that ended or began anew takes nothing away. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from voiceassist_crds.status import PromptCounts, RolloutCounts

_FIELDS = tuple(PromptCounts.model_fields)
MAX_PODS = 200
"""Pods whose counts are kept apart; older ones are added to what is over. More relays at once than that are not deployed."""


class Report(NamedTuple):
    """What one pod said."""

    pod: str
    counts: RolloutCounts


def merged(record: Mapping[str, Any], reports: Iterable[Report]) -> dict[str, Any]:
    """Returns the record `{pods: {pod: {since, prompts}}, over: {revision: counts}}` with what pods report now.

    A pod's report stands in place of its last one. One with another `since` is of another process: what the last one counted is over, and
    is added to `over`. So are pods that are heard of no more, when there are too many.
    """
    pods = {name: dict(entry) for name, entry in dict(record.get("pods") or {}).items()}
    over = {revision: tuple(counts) for revision, counts in dict(record.get("over") or {}).items()}
    for report in reports:
        before = pods.pop(report.pod, None)
        if before is not None and before["since"] != report.counts.since:
            _add(over, before["prompts"])
        prompts = {revision: list(_figures(counts)) for revision, counts in sorted(report.counts.prompts.items())}
        pods[report.pod] = {"since": report.counts.since, "prompts": prompts}
    while len(pods) > MAX_PODS:
        _add(over, pods.pop(next(iter(pods)))["prompts"])
    return {"pods": pods, "over": {revision: list(counts) for revision, counts in over.items()}}


def total(record: Mapping[str, Any], revision: str) -> PromptCounts:
    """Returns what all relays counted of one revision."""
    found: dict[str, tuple[int, ...]] = {}
    _add(found, record.get("over") or {})
    for entry in (record.get("pods") or {}).values():
        _add(found, entry["prompts"])
    return PromptCounts(**dict(zip(_FIELDS, found.get(revision, (0,) * len(_FIELDS)), strict=False)))


def _figures(counts: PromptCounts) -> tuple[int, ...]:
    return tuple(getattr(counts, name) for name in _FIELDS)


def _add(to: dict[str, tuple[int, ...]], more: Mapping[str, Any]) -> None:
    for revision, counts in more.items():
        before = to.get(revision, (0,) * len(_FIELDS))
        to[revision] = tuple(a + b for a, b in zip_longest(before, counts, fillvalue=0))  # a version before counted fewer things
