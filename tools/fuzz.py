#!/usr/bin/env python3
"""Fuzzes what the relay reads from others, with a new seed each time, for so many minutes. What is found is written to tests/fuzz_corpus.

tools/fuzz.py [--minutes M] [--seed N] [TARGET ...]

Inputs are made of the corpus by mutation. A finding (an exception that is not a stated refusal, a difference to `websockets`, an input that
takes longer than a second) is made as short as can be done quickly and kept as a file that says what it is; tests/unit/fuzz replays it from
then on. Exit 1 if there was one.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from fuzzing.mutation import CORPUS, mutated, seeds  # noqa: E402
from fuzzing.targets import TARGETS, Target  # noqa: E402

SLOW_SECONDS = 1.0


def trouble(target: Target, data: bytes) -> str:
    """What goes wrong with this input, in a few words fit for a file's name; empty if nothing does."""
    begun = time.process_time()
    try:
        target(data)
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "voiceassist" in frame.filename]
        where = frames[-1].name.strip("_") if frames else "property"
        return f"{type(error).__name__}-in-{where}"
    return "slow" if time.process_time() - begun > SLOW_SECONDS else ""


def shortened(target: Target, data: bytes, what: str, seconds: float = 5.0) -> bytes:
    """A shorter input with the same trouble."""
    until, step = time.monotonic() + seconds, max(1, len(data) // 2)
    while step and time.monotonic() < until:
        at = 0
        while at < len(data) and time.monotonic() < until:
            less = data[:at] + data[at + step :]
            if trouble(target, less) == what:
                data = less
            else:
                at += step
        step //= 2
    return data


def main() -> int:
    """Exit 0: nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run (default: another one each time)")
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help=", ".join(TARGETS))
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    chance, names = random.Random(seed), options.target or sorted(TARGETS)
    known, tried, found = {name: seeds(name) for name in names}, dict.fromkeys(names, 0), dict[str, int]()
    print(f"seed {seed}", flush=True)
    began, told = time.monotonic(), 0.0
    while (passed := time.monotonic() - began) < options.minutes * 60:
        if passed - told > 10:
            told = passed
            print(f"{passed:6.0f} s  {sum(tried.values())} inputs, {len(found)} findings", flush=True)
        name = chance.choice(names)
        data = mutated(chance, known[name])
        tried[name] += 1
        if not (what := trouble(TARGETS[name], data)):
            continue
        key = f"{name}: {what}"
        found[key] = found.get(key, 0) + 1
        if found[key] == 1:
            data = shortened(TARGETS[name], data, what)
            path = CORPUS / name / f"{what}-{hashlib.sha256(data).hexdigest()[:8]}"
            path.write_bytes(data)
            print(f"FOUND  {key}: {path.relative_to(ROOT)}", flush=True)
    print(", ".join(f"{name} {count}" for name, count in tried.items()), flush=True)
    for key, count in found.items():
        print(f"{count} times  {key}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
