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
    """Plays, prints, and gives the exit code: 0 if every frame arrived in order, once but for replays, and every turn was handled."""
    facts = await play(stage, paths)
    metrics = await stage.metrics()
    filled, replayed = (
        round(sum(value for name, value in metrics.items() if name.startswith("frames_total{") and f'outcome="{outcome}"' in name))
        for outcome in ("filled", "replayed")
    )
    report = document(facts, filled=filled, replayed=replayed, ledger=bool(stage.model_url))
    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        print("\n".join(_plain(report)))
    found = [f"call {one.call_sid}: {one.trouble}" for one in facts if one.trouble] + complaints(report)
    for line in found:
        print(f"voiceassist-demo: {line}", file=sys.stderr)
    return 1 if found else 0


def _plain(report: dict[str, Any]) -> list[str]:
    lines = []
    for number, call in enumerate(report["calls"], 1):
        heard = f"{call['framesHeard']} heard, {'the same bytes' if call['bytesEqual'] else 'NOT the same bytes'}; "
        if call["framesFilled"]:
            heard += f"{call['framesFilled']} frames of silence filled in; "
        if call["framesReplayed"]:
            heard += f"{call['framesReplayed']} frames heard again by a session that took over; "
        heard = "; " if call["bytesEqual"] is None else f", {heard}"
        lines.append(f"call {number}: {call['framesSent']} frames sent{heard}{call['handled']} of {call['turns']} turns handled")
        for suggestion in call["suggestions"]:
            latency = suggestion["latencyMs"]
            took = "latency unknown" if latency is None or latency["total"] is None else f"{latency['total']} ms"
            if latency is not None and latency["ours"] is not None:
                took += f", ours {latency['ours']} ms"
            lines += [f"  {suggestion['seq']}. {suggestion['question']}", f"     {suggestion['answer']}  ({took})"]
    totals = report["totals"]
    for name, spread in (("latency", totals["latencyMs"]), ("ours", totals["oursMs"])):
        if spread["p50"] is not None:
            lines.append(f"{totals['suggestions']} suggestions; {name} p50 {spread['p50']} ms, p99 {spread['p99']} ms")
    return lines
