"""Runs the cells of the table: starts each relay in turn, raises the number of calls step by step, and takes a sample at each."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import MOST_CALLS, RELAYS, Cores, Rig, rig
from .rows import BASE, OURS, Cell, Sample, fitting

RAMP = 150.0
"""Calls that begin in a second while the load is raised."""


@dataclass(frozen=True)
class Scope:
    """How much is measured: seconds of a sample, rounds, and the loads as (tracks, tls)."""

    seconds: float = 2.5
    rounds: int = 3
    loads: tuple[tuple[int, bool], ...] = ((1, False), (2, False), (1, True), (2, True))
    relays: tuple[str, ...] = RELAYS
    middle: int = 100
    most: int = MOST_CALLS

    base: Path | None = None
    """Where the checkout of another commit is, whose relay takes turns with the others."""


FULL_RUN = Scope()
QUICK = Scope(seconds=1.5, rounds=1, loads=((1, False), (2, True)))


def say(text: str) -> None:
    """Progress, on standard error: standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one run."""
    with tempfile.TemporaryDirectory(prefix="voiceassist-bench-") as folder:
        yield Path(folder)


def _busy(core: int | None) -> tuple[int, int]:
    """Jiffies that a core was busy, and all of them."""
    name = "cpu " if core is None else f"cpu{core} "
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(name))
    numbers = [int(word) for word in line.split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


def settle(there: Rig, seconds: float = 20.0) -> None:
    """Waits until the relay has written to Sync what the calls' beginnings and ends owe: that is no part of a frame's cost."""
    if "private" not in there.ports:
        return
    end, last = time.monotonic() + seconds, -1.0
    while time.monotonic() < end:
        lines = [line for line in there.scrape().splitlines() if line.startswith("voiceassist_relay_twilio_requests_total{")]
        requests = sum(float(line.rsplit(" ", 1)[1]) for line in lines)
        if requests == last:
            return
        last = requests
        time.sleep(0.4)


def sample(there: Rig, cell: Cell, calls: int, seconds: float, base_kb: int, cores: Cores) -> Sample:
    """Brings the load to so many calls and measures it."""
    grown = there.ask(f"grow {calls} {RAMP}")
    settle(there)
    time.sleep(min(0.3, seconds / 3))
    before = _busy(cores.relay)
    seen = there.ask(f"measure {seconds}")
    after = _busy(cores.relay)
    others = (after[0] - before[0]) / max(1, after[1] - before[1]) - seen["relayShare"] if cores.relay is not None else 0.0
    missing = calls - grown["live"] if seen["wrong"] == 0 else 0
    return Sample(
        cell,
        calls,
        seen["frames"],
        seen["joined"],
        seen["wrong"] + seen["repeated"] + seen["failed"] + missing,
        seen["relayUs"],
        seen["p50Us"],
        seen["p99Us"],
        seen["lateP99Us"],
        seen["ownShare"],
        seen["relayShare"],
        (there.rss_kb() - base_kb) / calls,
        max(0.0, others),
        seen["first"],
    )


def warm(there: Rig) -> int:
    """One short call, so that what is loaded once is not put down to the first; returns the memory after it."""
    there.ask("grow 1 100")
    there.ask("end")
    time.sleep(0.2)
    return there.rss_kb()


def measure(scope: Scope, cores: Cores) -> list[Sample]:
    """All samples of a run: in each round every load, and in each load every relay in turn."""
    samples: list[Sample] = []
    highest: dict[tuple[str, int, bool], int] = {}
    with scratch() as folder:
        for number in range(scope.rounds):
            for tracks, tls in scope.loads:
                for name in sorted(scope.relays, key=lambda relay: relay != OURS):  # ours first: the limit is measured under the same count
                    with rig(folder, name, tracks, cores, tls=tls, base=scope.base) as there:
                        base = warm(there)
                        got = []
                        for step, calls in (("1", 1), (str(scope.middle), scope.middle)):
                            got.append(sample(there, Cell(name, step, tracks, tls), calls, scope.seconds, base, cores))
                        last = got[-1]
                        guess = fitting(last.relay_share, last.generator_share, last.calls, scope.most)
                        own = highest.setdefault((name, tracks, tls), min(guess, highest.get((OURS, tracks, tls), guess)))
                        calls = highest.get((OURS, tracks, tls), own) if name == "limit" else own
                        if calls > scope.middle:
                            got.append(sample(there, Cell(name, "highest", tracks, tls), calls, scope.seconds, base, cores))
                            last = got[-1]
                            more = fitting(last.relay_share, last.generator_share, calls, scope.most)
                            if number == 0 and name in (OURS, BASE) and (more > calls * 1.1 or last.relay_share >= 0.7):
                                highest[name, tracks, tls] = calls = (
                                    more  # the cost of a frame falls with the load: once more, nearer to the mark
                                )
                                if more > got[-1].calls:
                                    got[-1] = sample(there, Cell(name, "highest", tracks, tls), calls, scope.seconds, base, cores)
                        samples += got
                        if got[-1].fault:
                            say(f"  {name}: {got[-1].fault}")
                    costs = ", ".join(f"{s.cell.step} ({s.calls}): {s.cpu_us_per_frame:.1f} us" for s in got)
                    say(f"round {number + 1}, {tracks} track(s), {'TLS' if tls else 'plain'}, {name}: {costs}")
    return samples
