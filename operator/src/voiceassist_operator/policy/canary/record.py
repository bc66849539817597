"""A roll-out as it is kept in `status.prompt`, and what is told of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .counts import total
from .progress import Progress


def from_status(prompt: Mapping[str, Any]) -> Progress | None:
    """Returns what the status says; None where no prompt was ever in force."""
    if not prompt.get("currentRevision"):
        return None
    kept = prompt.get("rollout") or {}
    return Progress(
        stable=prompt["currentRevision"],
        canary=prompt.get("canaryRevision", ""),
        weight=prompt.get("weight", 0),
        step=max(prompt.get("step", 1) - 1, 0),
        steps=prompt.get("steps", 0),
        waits_for=prompt.get("waitsFor", ""),
        started=kept.get("started", 0),
        looked=kept.get("looked", 0),
        seconds=kept.get("seconds", 0),
        lasted=kept.get("lasted", 0),
        step_calls=kept.get("stepCalls", 0),
        step_turns=kept.get("stepTurns", 0),
        counts=kept.get("counts") or {},
        rejected=prompt.get("rejectedRevision", ""),
        rejected_for=prompt.get("rejectedFor", ""),
        obeyed=tuple(kept.get("obeyed") or ()),
        held=bool(kept.get("held")),
        number=kept.get("number", 0),
    )


def to_status(progress: Progress) -> dict[str, Any]:
    """Returns it as the status has it."""
    status: dict[str, Any] = {"currentRevision": progress.stable}
    kept: dict[str, Any] = {"obeyed": list(progress.obeyed)} if progress.obeyed else {}
    kept |= {"number": progress.number} if progress.number else {}
    kept |= {"held": True} if progress.held else {}
    if progress.canary:
        status |= {"canaryRevision": progress.canary, "weight": progress.weight, "step": progress.step + 1, "steps": progress.steps}
        status |= {"waitsFor": progress.waits_for}
        for who, revision in (("canary", progress.canary), ("stable", progress.stable)):
            counts = total(progress.counts, revision)
            status[who] = {"calls": counts.calls, "turns": counts.turns, "failed": counts.failed}
        kept |= {"started": int(progress.started), "looked": int(progress.looked), "seconds": int(progress.seconds)}
        kept |= {"lasted": int(progress.lasted)}
        kept |= {"stepCalls": progress.step_calls, "stepTurns": progress.step_turns, "counts": progress.counts}
    if progress.rejected:
        status |= {"rejectedRevision": progress.rejected, "rejectedFor": progress.rejected_for}
    return {**status, "rollout": kept} if kept else status


def decided(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Returns whether one `status.prompt` differs from another in what calls get: to be recorded before it is acted upon."""
    return any(before.get(name) != after.get(name) for name in ("currentRevision", "canaryRevision", "weight", "rejectedRevision"))


class Told(NamedTuple):
    """An event about a roll-out."""

    reason: str
    text: str
    warning: bool = False


def news(before: Progress | None, after: Progress) -> list[Told]:
    """Returns what is to be told of a step from one look to the next."""
    if before is None:
        return []
    if after.lost:
        text = f"the text of prompt {after.lost}, which was in force, is kept nowhere any more: its ConfigMap and the relays' were deleted"
        return [Told("PromptLost", f"{text}; {after.stable} is in its place", warning=True)]
    if after.rejected and after.rejected != before.rejected:
        text = f"prompt {after.rejected} is withdrawn, {after.stable} is in force for all calls: {after.rejected_for}"
        return [Told("CanaryRejected", text, warning=True)]
    if after.canary and after.canary != before.canary:
        text = (
            f"prompt {after.canary} begins with {after.weight} % of new calls; {after.stable} stays in force; waits for {after.waits_for}"
        )
        return [Told("CanaryBegun", text)]
    if after.canary and after.step != before.step:
        return [Told("CanaryStep", f"prompt {after.canary} gets {after.weight} % of new calls (step {after.step + 1} of {after.steps})")]
    if before.canary and not after.canary:
        what = "is in force for all new calls" if after.stable == before.canary else "is no longer tried: the object says otherwise"
        return [Told("CanaryEnded", f"prompt {before.canary} {what}")]
    return []
