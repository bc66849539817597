#!/usr/bin/env python3
"""Lets calls come and go through the whole line, and checks that the relay ends where it began.

tools/soak.py [--minutes M] [--calls N] [--share S] [--life LOW HIGH] [--session-seconds S] [--json]

A relay and the stand-ins for Twilio and the model run as processes of their own. Every call lives 30 to 90 s, is heard and answered, and is
ended by the agent, by the customer, by a stop with a new start, or by a line that is cut; model sessions live 45 s and are replaced.
With `--life 7200 7200 --session-seconds 3600` the same calls last to the end: what a call holds must not grow while it goes on.
Without --calls the number is what a share (half) of the machine's cores carries: the CPU of a few calls is measured first. Exit 1 if
memory, tasks, sockets or file descriptors did not end where they began (tests/load/soak/verdict.py has the tolerances).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import shutil
import sys
import tempfile
import time
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from load.soak.run import Soaked, affordable, soak  # noqa: E402
from load.soak.traffic import Traffic  # noqa: E402
from voiceassist_demo.stage import Stage, sample_calls  # noqa: E402

LIFE = (30.0, 90.0)
MOST_CALLS = 1000


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stderr.flush()


def lasting(recordings: list[Path], seconds: float, folder: Path) -> list[Path]:
    """The recordings, each repeated until it lasts so long."""
    made = []
    for path in recordings:
        with wave.open(str(path)) as source:
            parameters, audio, once = (
                source.getparams(),
                source.readframes(source.getnframes()),
                source.getnframes() / source.getframerate(),
            )
        made.append(folder / path.name)
        with wave.open(str(made[-1]), "w") as target:
            target.setparams(parameters)
            for _ in range(math.ceil(seconds / once)):
                target.writeframes(audio)
    return made


async def run(options: argparse.Namespace) -> Soaked:
    """The soak itself."""
    with tempfile.TemporaryDirectory(prefix="voiceassist-soak-") as folder:
        recordings, life = sorted(sample_calls().glob("*.wav")), (options.life[0], options.life[1])
        if life[1] > LIFE[1]:  # the calls that are there say nothing more after some 40 s
            recordings = lasting(recordings, min(life[1], options.minutes * 60 + 60), Path(folder))
        config = {"limits": {"maxCalls": MOST_CALLS}}
        async with Stage(Path(folder), config=config, model_arguments=("--session-seconds", str(options.session_seconds))) as stage:
            calls = options.calls
            if not calls:
                cores = os.cpu_count() or 1
                calls, each = await affordable(stage, Traffic(stage, recordings, life), 8, 20, options.share, cores)
                calls = min(calls, MOST_CALLS)
                say(f"a call costs {each:.2%} of a core, stand-ins too; {options.share:.0%} of {cores} cores carry {calls} calls")
            traffic = Traffic(stage, recordings, life, seed=2)
            seconds = options.minutes * 60
            warm = min(60.0, seconds / 4)
            found = await soak(
                stage, traffic, calls, warm_seconds=warm, seconds=seconds, spread=min(30.0, seconds / 8), every=options.every, say=say
            )
            if options.log:
                shutil.copy(stage.relay.child.log, options.log)
            return found


def main() -> int:
    """Exit 0: all ended where it began."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--calls", type=int, default=0, help="calls at once (default: measured)")
    parser.add_argument("--share", type=float, default=0.5, help="of the machine, for the number of calls (default %(default)s)")
    parser.add_argument(
        "--life", type=float, nargs=2, default=LIFE, metavar=("LOW", "HIGH"), help="seconds that a call lasts (default: 30 90)"
    )
    parser.add_argument("--session-seconds", type=float, default=45.0, help="how long a model session lives (default %(default)s)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks (default %(default)s)")
    parser.add_argument("--log", default="", help="keep the relay's log here")
    parser.add_argument("--json", action="store_true", help="the result on standard output")
    options = parser.parse_args()
    found = asyncio.run(run(options))
    if options.json:
        sys.stdout.write(json.dumps(found.as_json(), indent=1) + "\n")
    say(f"ended: {found.endings}; troubles: {found.troubles or 'none'}")
    for row in found.left_over:
        say(f"LEFT OVER  {row}")
    if not found.left_over:
        say("all ended where it began")
    return 1 if found.left_over or found.troubles else 0


if __name__ == "__main__":
    sys.exit(main())
