"""What clients that scrape /metrics without a pause take of the core that carries the audio: with renderings that stand for a second, and
with one for each request.

    tools/bench.py scrape_cost [--clients N] [--calls N] [--seconds N] [--rounds N] [--anywhere] [--json]

The relay has a core, everything else another, unless `--anywhere` leaves that to the kernel. CPU is the relay's own, as the kernel counts
it. Nothing is asserted: numbers depend on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from load.bench.measuring import RAMP, say, scratch, settle, warm
from load.bench.processes import Cores, Rig, rig
from load.bench.rows import OURS
from voiceassist_relay.metrics.scrapes import SECONDS

WAYS = {"nobody scrapes": (0, SECONDS), "one rendering a second": (1, SECONDS), "one for each request": (1, 0.0)}
"""Whether somebody scrapes, and for how many seconds a rendering stands."""


@dataclass(frozen=True)
class Seen:
    """Shares of one core; answers a second by whether there was a text; milliseconds of frames."""

    way: str
    core: float
    given: float
    refused: float
    p50_ms: float
    p99_ms: float


class Clients:
    """So many that ask again as soon as they have their answer, each on a connection that stays."""

    def __init__(self, port: int) -> None:
        self._port, self._over = port, threading.Event()
        self.given = self.refused = 0

    @contextlib.contextmanager
    def asking(self, count: int) -> Iterator[None]:
        """They ask until the end of the block."""
        threads = [threading.Thread(target=self._ask) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._over.is_set():
            try:
                connection.request("GET", "/metrics")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            if answer.status == 200:
                self.given += 1
            else:
                self.refused += 1
        connection.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def seen(there: Rig, way: str, clients: int, calls: int, seconds: float) -> Seen:
    """One measurement."""
    there.ask(f"grow {calls} {RAMP}")
    settle(there)
    asking = Clients(there.ports["private"])
    with asking.asking(clients):
        time.sleep(1.0)
        given, refused, cpu, began = asking.given, asking.refused, cpu_seconds(there.relay.pid), time.monotonic()
        frames = there.ask(f"measure {seconds}")
        took = time.monotonic() - began
        core, given, refused = cpu_seconds(there.relay.pid) - cpu, asking.given - given, asking.refused - refused
    return Seen(way, core / took, given / took, refused / took, frames["p50Us"] / 1000, frames["p99Us"] / 1000)


def main() -> None:
    """Prints a row for each way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--anywhere", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cores = Cores(None, None) if options.anywhere else Cores.found()
    if cores.others is not None:
        os.sched_setaffinity(0, {cores.others})
    found: dict[str, list[Seen]] = {way: [] for way in WAYS}
    with scratch() as folder:
        for _ in range(options.rounds):
            for way, (somebody, stands) in WAYS.items():
                with rig(folder, OURS, 1, cores, tls=False, rendering_seconds=stands) as there:
                    warm(there)
                    found[way].append(seen(there, way, somebody * options.clients, options.calls, options.seconds))
                    say(str(found[way][-1]))
    rows = [
        Seen(way, *(statistics.median(values) for values in zip(*(tuple(asdict(one).values())[1:] for one in all_), strict=True)))
        for way, all_ in found.items()
    ]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(f"{options.clients} clients, {options.calls} calls; medians of {options.rounds}")
    for row in rows:
        more = row.core - rows[0].core
        print(
            f"{row.way}: the relay takes {row.core:.1%} of its core, {more:.1%} of it for scrapes; "
            f"{row.given:.1f} answers and {row.refused:.1f} refusals a second; frames p50 {row.p50_ms:.1f} ms, p99 {row.p99_ms:.1f} ms"
        )


if __name__ == "__main__":
    main()
