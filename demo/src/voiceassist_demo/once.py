"""`--once`: plays calls to their ends and says what became of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceassist_sim.audio import AudioError, load_call

from .errors import DemoError
from .playing import play
from .report import complaints, document
from .stage import Stage


def recordings(wavs: Sequence[Path], folder: Path, count: int | None) -> list[Path]:
    """What is played: the files that were given, else the sample calls; repeated up to `count`. Raises DemoError for a broken file."""
    chosen = list(wavs) or sorted(folder.glob("*.wav"))
    if not chosen:
        raise DemoError(f"{folder} has no sample calls; run make_calls.py there, or give --wav FILE")
    for path in chosen:
        try:
            load_call(path)
        except (AudioError, OSError) as error:
            text = str(error)
            raise DemoError(text if str(path) in text else f"{path}: {text}") from None
    wanted = count or len(chosen)
    return [chosen[n % len(chosen)] for n in range(wanted)]


async def run_once(stage: Stage, paths: Sequence[Path], *, as_json: bool) -> int:
    """Plays, prints, and gives the exit code: 0 if every frame arrived once and in order and every turn was handled."""
    facts = await play(stage, paths)
    report = document(facts)
    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        print("\n".join(_plain(report)))
    if not stage.model_url:
        return 0  # a real model keeps no ledger for us to compare with
    found = complaints(report)
    for line in found:
        print(f"voiceassist-demo: {line}", file=sys.stderr)
    return 1 if found else 0


def _plain(report: dict[str, Any]) -> list[str]:
    lines = []
    for number, call in enumerate(report["calls"], 1):
        lines.append(
            f"call {number}: {call['framesSent']} frames sent, {call['framesHeard']} heard, "
            f"{'the same bytes' if call['bytesEqual'] else 'NOT the same bytes'}; {call['handled']} of {call['turns']} turns handled"
        )
        for suggestion in call["suggestions"]:
            latency = suggestion["latencyMs"]
            took = f"{latency['total']} ms, ours {latency['ours']} ms" if latency else "latency unknown"
            lines += [f"  {suggestion['seq']}. {suggestion['question']}", f"     {suggestion['answer']}  ({took})"]
    totals = report["totals"]
    if totals["oursMs"]["p50"] is not None:
        lines.append(
            f"{totals['suggestions']} suggestions; latency p50 {totals['latencyMs']['p50']} ms, p99 {totals['latencyMs']['p99']} ms; "
            f"ours p50 {totals['oursMs']['p50']} ms, p99 {totals['oursMs']['p99']} ms"
        )
    return lines
