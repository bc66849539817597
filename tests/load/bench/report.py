"""The result as a table in Markdown, and its place in docs/performance.md."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
BUSY = 0.05
"""Share of the relay's core that something else used: more, and the figures are marked."""


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    done = subprocess.run(["cc", "-dumpversion"], capture_output=True, text=True, check=False)
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": len(names),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cc": done.stdout.strip(),
    }


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def table(result: dict[str, Any]) -> str:
    """The rows with what is said beside them."""
    more = {(b["relay"], b["step"], b["tracks"], b["tls"]): b for b in result["beside"]}
    lines = [
        "| relay | calls | tracks | model socket | CPU us/frame (range) | x limit | p50 ms | p99 ms | KB/call | calls/core | generator |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in result["rows"]:
        step = str(row["calls"]) if row["calls"] in (1, result["middle"]) else "highest"
        beside = more[row["relay"], step, row["tracks"], row["tls"]]
        low, high = beside["spreadUs"]
        lines.append(
            f"| {row['relay']} | {row['calls']} | {row['tracks']} | {'TLS' if row['tls'] else 'plain'} | "
            f"{row['cpuUsPerFrame']:.1f} ({low:.1f} to {high:.1f}) | {_number(row['ratioToLimit'], 2)} | {row['p50Ms']:.2f} | "
            f"{row['p99Ms']:.2f} | {row['kbPerCall']:.0f} | {beside['callsPerCore']} | {beside['generatorShare']:.0%} |"
        )
    return "\n".join(lines)


def flat(memory: dict[str, Any]) -> str:
    """KB for each call, moment by moment."""
    rows = [f"{at / 60:5.1f} min  {kb:6.1f} KB" for at, kb in zip(memory["seconds"], memory["kbPerCall"], strict=True)]
    head = (
        f"resident memory for each of {memory['calls']} calls; the audio buffers of both tracks are {memory['replayKb']:.0f} KB of it, "
        f"{memory['replayByChanceKb']:.0f} KB once sessions were replaced"
    )
    return "\n".join([head, *rows, *([f"WRONG: {memory['wrong']}"] if memory["wrong"] else [])])


def _extras(extras: dict[str, Any]) -> list[str]:
    start, burst, memory, scrape = extras["start"], extras["burst"], extras["memory"], extras["scrape"]
    flat = ", ".join(f"{kb:.0f} KB after {at:.0f} s" for kb, at in zip(memory["kbPerCall"], memory["seconds"], strict=True))
    delay = burst["longestLoopDelayUnderMs"]
    return [
        "| what | figure |",
        "|---|---|",
        f"| a call's start and its end, with three frames a track between (over {start['calls']} calls) | "
        f"{start['cpuMsPerCall']:.1f} ms CPU |",
        f"| from the connection to the first frame at the model | p50 {start['firstFrameP50Ms']:.0f} ms, "
        f"p99 {start['firstFrameP99Ms']:.0f} ms |",
        f"| memory kept for a call that has ended | {start['keptKbPerCall']:.1f} KB |",
        f"| {burst['calls']} calls that begin in one second | {burst['failed']} failed; first frame p50 {burst['firstFrameP50Ms']:.0f} ms, "
        f"p99 {burst['firstFrameP99Ms']:.0f} ms; "
        f"frames of {burst['others']} others meanwhile p99 {burst['othersP99Ms']:.0f} ms; "
        f"the loop's longest delay {'over 1000' if delay is None else f'under {delay:.0f}'} ms |",
        f"| memory of one of {memory['calls']} calls with both sessions | {flat} |",
        f"| of that, the two audio buffers | {memory['replayKb']:.0f} KB; beside them {memory['besideReplayKb']:.0f} KB |",
        f"| a scrape of /metrics with {scrape['calls']} calls | the whole request {scrape['bestMs']:.1f} ms at best, "
        f"{scrape['medianMs']:.1f} ms as a rule; rendering takes {scrape['blocksMs']:.1f} ms, in slices |",
        *_drafts(extras),
        *(
            f"| {joined['ms']} ms of audio in one append | {joined['cpuUsPerFrame']:.1f} us/frame, saves {joined['saves']:.0%}; "
            f"p50 {joined['p50Ms']:.1f} ms, p99 {joined['p99Ms']:.1f} ms |"
            for joined in extras["joined"]
        ),
        *by_format(extras["formats"]),
    ]


def by_format(found: list[dict[str, Any]]) -> list[str]:
    """A row for each format of the audio."""
    return [
        f"| {one['format']} to the model, {one['calls']} calls | {one['cpuUsPerFrame']:.1f} us/frame, {one['ratio']:.2f} times PCMU's; "
        f"p50 {one['p50Ms']:.1f} ms, p99 {one['p99Ms']:.1f} ms |"
        for one in found
    ]


def _drafts(found: dict[str, Any]) -> list[str]:
    return [
        f"| last frame of speech to the first draft in Sync, {words} ({found[key]['drafts']} drafts) | p50 {found[key]['p50Ms']:.0f} ms, "
        f"p95 {found[key]['p95Ms']:.0f} ms{wasted.format(found[key]['wastedShare'])} |"
        for key, words, wasted in (
            ("firstDraftInTurn", "asked for at the turn's end", ""),
            ("firstDraft", "with `turnDetection.eager`", "; {:.0%} of all tokens for nothing"),
        )
    ]


def versus(result: dict[str, Any]) -> str:
    """What calls of both commits cost at their beginning and hold, and ours divided by the other's."""
    lines = ["| | base | ours |", "|---|--:|--:|"]
    for kind, key, what in (
        ("start", "cpuMsPerCall", "a call's start and its end, with three frames a track between, ms CPU"),
        ("burst", "firstFrameP99Ms", "200 calls in a second: first frame p99, ms"),
        ("burst", "othersP99Ms", "the same: frames of 50 others meanwhile, p99, ms"),
        ("memory", "kbPerCall", "KB for each call of two sessions"),
        ("firstDraft", "p50Ms", "last frame of speech to the first draft in Sync, ours with `turnDetection.eager`: p50, ms"),
        ("firstDraft", "p95Ms", "the same: p95, ms"),
    ):
        found = [result["begun"][relay][kind][key] for relay in ("base", "ours")]
        lines.append(f"| {what} | " + " | ".join(f"{one[-1] if isinstance(one, list) else one:.1f}" for one in found) + " |")
    ratios = ", ".join(f"{name} {value}" for name, value in result["versusBase"].items() if value is not None)
    return "\n".join([*lines, "", f"Ours divided by the base's: {ratios}."])


def text(result: dict[str, Any]) -> str:
    """All of the result."""
    there = result["machine"]
    lines = [
        f"Taken on {result['date']} with `{result['command']}`: {there['cpu']}, {there['cores']} cores, Linux {there['kernel']}, "
        f"Python {there['python']}, {result['rounds']} round(s).",
        "",
    ]
    if result["busy"]:
        lines += [
            f"**The machine was busy**: other work used up to {result['othersShare']:.0%} of the relay's core. Trust ratios at most.",
            "",
        ]
    lines += [table(result)]
    if result["void"]:
        lines += ["", f"Void and left out: {'; '.join(result['void'])}."]
    if result["faults"]:
        lines += ["", f"Wrong audio: {'; '.join(result['faults'])}."]
    if result.get("extras"):
        lines += ["", *_extras(result["extras"])]
    return "\n".join(lines)


def write(document: Path, result: dict[str, Any]) -> None:
    """Puts the result between the document's markers. Raises ValueError if they are missing."""
    before, found, rest = document.read_text().partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{document} lacks {BEGIN} or {END}")
    document.write_text(f"{before}{BEGIN}\n\n{text(result)}\n\n{END}{after}")
