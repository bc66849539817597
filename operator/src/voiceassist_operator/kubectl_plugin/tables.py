"""A roll-out of the prompt in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def status(name: str, prompt: Mapping[str, Any]) -> str:
    """Returns where the roll-out is, both prompts side by side."""
    if not prompt.get("currentRevision"):
        return f"{name}: no prompt was in force yet\n"
    canary, weight = prompt.get("canaryRevision", ""), prompt.get("weight", 0)
    rows = [
        ["", "REVISION", "NEW CALLS", "CALLS", "TURNS", "FAILED"],
        _row("in force", prompt["currentRevision"], 100 - weight, prompt, "stable"),
    ]
    if canary:
        rows.append(_row("canary", canary, weight, prompt, "canary"))
    told = _table(rows if canary else [row[:3] for row in rows])
    if canary:
        told += f"step {prompt.get('step')} of {prompt.get('steps')}; waits for {prompt.get('waitsFor') or 'nothing'}\n"
    if prompt.get("rejectedRevision"):
        told += f"{prompt['rejectedRevision']} was taken back: {prompt.get('rejectedFor', '')}\n"
    return told


def history(prompt: Mapping[str, Any]) -> str:
    """Returns the last revisions, the newest first."""
    rows = [["REVISION", "TIME", "WRITTEN BY", "CAUSE", "OUTCOME", "DECIDED", "ASKED FOR"]]
    for entry in prompt.get("history") or []:
        outcome = entry.get("outcome") or ("In force" if entry["revision"] == prompt.get("currentRevision") else "")
        orders = "; ".join(" ".join(filter(None, (one["order"], one["time"], one.get("by")))) for one in entry.get("orders") or [])
        told = [entry.get(name, "") for name in ("time", "manager", "cause")]
        rows.append([entry["revision"], *told, outcome, entry.get("decision", ""), orders])
    return _table(rows)


def _row(what: str, revision: str, weight: int, prompt: Mapping[str, Any], key: str) -> list[str]:
    counts = prompt.get(key) or {}
    return [what, revision, f"{weight} %", *(str(counts.get(name, 0)) for name in ("calls", "turns", "failed"))]


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)
