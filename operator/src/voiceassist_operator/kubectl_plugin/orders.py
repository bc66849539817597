"""What people ask of a roll-out, as annotations of the object. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..policy.resources.metadata import ABORT_ANNOTATION, HOLD_ANNOTATION, PROMOTE_ANNOTATION, REASON_ANNOTATION, RETRY_ANNOTATION
from ..policy.rollout import NEVER_IN_FORCE

ORDERS = {
    "promote": "put the canary in force now",
    "abort": "take the canary back now",
    "rollback": "put the prompt before the one in force in force again",
    "retry": "try the prompt that was taken back again",
    "pause": "let no step be taken",
    "resume": "let steps be taken again",
}


class Refused(Exception):
    """What is asked for cannot be done as things are; the text says why."""


def annotations_for(order: str, prompt: Mapping[str, Any], present: Mapping[str, str], reason: str) -> dict[str, str | None]:
    """Returns the annotations to put on an object, None for one to take away. `prompt` is its `status.prompt`, `present` what it bears.

    Raises Refused.
    """
    asked = _asked(order, prompt, present)
    return {**asked, REASON_ANNOTATION: reason or None}


def _asked(order: str, prompt: Mapping[str, Any], present: Mapping[str, str]) -> dict[str, str | None]:
    canary, rejected = prompt.get("canaryRevision", ""), prompt.get("rejectedRevision", "")
    match order:
        case "promote" | "abort" if not canary:
            raise Refused("no canary is tried" + (f"; rollback takes back {prompt.get('currentRevision')}" if order == "abort" else ""))
        case "promote":
            return _about(PROMOTE_ANNOTATION, canary, present)
        case "abort":
            return _about(ABORT_ANNOTATION, canary, present)
        case "rollback" if canary:
            raise Refused(f"{canary} is tried: abort takes it back")
        case "rollback" if rejected:
            raise Refused(f"{rejected} was taken back already; {prompt.get('currentRevision')} is in force")
        case "rollback" if not [one for one in (prompt.get("history") or [])[1:] if one.get("outcome") not in NEVER_IN_FORCE]:
            raise Refused("the history has no prompt before the one in force")
        case "rollback":
            return _about(ABORT_ANNOTATION, prompt["currentRevision"], present)
        case "retry" if not rejected:
            raise Refused("no prompt was taken back")
        case "retry":
            return _about(RETRY_ANNOTATION, rejected, present)
        case "pause":
            return {HOLD_ANNOTATION: "true"}
        case _:
            return {HOLD_ANNOTATION: "false"}  # not taken away: who wrote it is to be seen


def _about(annotation: str, revision: str, present: Mapping[str, str]) -> dict[str, str | None]:
    """The order; where it stands there from an earlier time, one that differs from it."""
    before, _, number = present.get(annotation, "").partition(".")
    if before != revision:
        return {annotation: revision}
    return {annotation: f"{revision}.{int(number) + 1 if number.isdecimal() else 2}"}
