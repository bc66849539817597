"""A condition as data, chains of checks that come to one, and how conditions are merged into a status. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from voiceassist_crds.reasons import ConditionType, Reason

Input = TypeVar("Input")


class Verdict(NamedTuple):
    """What a check says of a condition; `status` None is Unknown."""

    status: bool | None
    reason: Reason
    message: str = ""
    generation: int | None = None
    """The object's generation that it is about, where that is an older one."""


Check = Callable[[Input], Verdict | None]
"""A check says how things are, or gives None where it has nothing to say; its name says what it looks for."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `status` None is Unknown."""

    type: ConditionType
    status: bool | None
    reason: Reason
    message: str
    generation: int | None = None
    """The object's generation that it is about, where that is an older one."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why nothing can be deployed: what is missing and what to do."""

    reason: Reason
    message: str


def first(checks: Sequence[Check[Input]], about: Input) -> Verdict:
    """Returns the first verdict of a chain. Raises LookupError where there is none: a chain ends with a check that always has one."""
    for check in checks:
        if (verdict := check(about)) is not None:
            return verdict
    raise LookupError("no check had anything to say")


_REASONS = {one.value for one in Reason}


def known_condition(status: Mapping[str, Any], kind: ConditionType) -> Verdict | None:
    """Returns a condition as the status has it; None where it is Unknown, or has a reason that this version does not know."""
    for entry in status.get("conditions") or []:
        if entry["type"] == kind.value and entry["status"] != "Unknown" and entry["reason"] in _REASONS:
            return Verdict(entry["status"] == "True", Reason(entry["reason"]), entry["message"], entry.get("observedGeneration"))
    return None


def merge(old: Sequence[Mapping[str, Any]], new: Sequence[Condition], generation: int, now: str) -> list[dict[str, Any]]:
    """Returns the conditions as they are written: `lastTransitionTime` moves only when the status changes."""
    before = {entry.get("type"): entry for entry in old}
    merged = []
    for condition in new:
        status = "Unknown" if condition.status is None else str(condition.status)
        known = before.get(condition.type.value)
        since = known["lastTransitionTime"] if known is not None and known.get("status") == status else now
        merged.append(
            {
                "type": condition.type.value,
                "status": status,
                "reason": condition.reason.value,
                "message": condition.message[:4000],
                "observedGeneration": generation if condition.generation is None else condition.generation,
                "lastTransitionTime": since,
            }
        )
    return merged
