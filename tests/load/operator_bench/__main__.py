"""Prints what the operator costs for so many objects, in one run beside a bare operator and, with --base, beside an earlier commit."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
from lightkube import Client, KubeConfig
from lightkube.resources.core_v1 import ConfigMap

from cluster.lab import Lab, missing_prerequisites
from cluster.operator.bench import VOICEASSIST, Cluster, voiceassist
from cluster.operator.clouds import clouds
from cluster.waiting import established
from load.operator_bench.audit import Audit
from load.operator_bench.played import PlayedRelays
from load.operator_bench.subjects import ROOT, Ended, Running, Subject, free_port, subjects

CRD = ROOT / "crds/voiceassists.voiceassist.dev.yaml"
Row = dict[str, float | str | None]


class Appearing:
    """When each object's ConfigMap came to hold a text; told by a watch."""

    def __init__(self, kubeconfig: Path, namespace: str, patience: float) -> None:
        self._client = Client(config=KubeConfig.from_file(kubeconfig).get(), trust_env=False, timeout=httpx2.Timeout(None))
        self._namespace, self._patience = namespace, patience
        self.seen: dict[tuple[str, str], float] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                for _, item in self._client.watch(ConfigMap, namespace=self._namespace):
                    now, name = time.monotonic(), item.metadata.name if item.metadata else ""
                    if name and name.endswith("-relay") and item.data:
                        text = item.data.get("prompt") or json.loads(item.data["relay.json"])["prompts"][0]["instructions"]
                        self.seen.setdefault((name.removesuffix("-relay"), text), now)

    def seconds(self, sent: dict[tuple[str, str], float], operator: Running) -> list[float]:
        """Waits until all that was sent is there. Returns how long each took, in order of length."""
        limit = time.monotonic() + self._patience
        while missing := sent.keys() - self.seen.keys():
            operator.alive()
            if time.monotonic() > limit:
                raise Ended(f"{len(missing)} of {len(sent)} ConfigMaps did not come within {self._patience:g} s")
            time.sleep(0.05)
        return sorted(self.seen[key] - at for key, at in sent.items())


def at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


def paced(count: int, a_second: float, act: Callable[[int], None]) -> None:
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number / a_second - time.monotonic()))
        act(number)


class Bench:
    """One subject from no object to so many, at rest, edited, started again, and taken over."""

    def __init__(self, plane: Lab, subject: Subject, audit: Audit, folder: Path, options: argparse.Namespace) -> None:
        self.plane, self.subject, self.audit, self.folder, self.options = plane, subject, audit, folder, options
        self.objects: int = options.objects
        self.namespace = f"bench-{subject.name}"
        self.row: Row = {"operator": subject.name, "objects": self.objects}

    @contextlib.contextmanager
    def running(self, port: int) -> Iterator[Running]:
        user = f"{self.subject.name}-{time.monotonic_ns()}"
        kubeconfig = self.plane.outside_kubeconfig(user, "system:masters")
        environment = {"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin", "HOME": str(self.folder), "PYTHONPATH": self.subject.path}
        metrics, path = free_port(), self.folder / f"{user}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(self.subject.command(self.namespace, port, metrics), env=environment, stdout=log, stderr=log)
            operator = Running(user, self.audit, process, metrics, path)
            try:
                yield operator
            finally:
                operator.end()
                if self.options.logs:
                    print(path.read_text()[-5000:], file=sys.stderr)

    def run(self) -> None:
        """Fills the row. Raises Ended. What was made stays: its removal would be beside the next one's measurements."""
        self.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        outside = self.plane.outside_kubeconfig()
        cluster = Cluster(outside, self.namespace)
        cluster.secrets()
        for number in range(self.options.secrets):
            value = base64.b64encode(os.urandom(187_500)).decode()
            cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"foreign-{number}"}, "stringData": {"a": value}})
        relays = PlayedRelays(cluster, outside)
        appearing = Appearing(outside, self.namespace, self.options.patience)
        try:
            with self.running(relays.port) as operator:
                self._grow(cluster, appearing, operator, relays)
                self._rest(operator)
                if not self.subject.bare:
                    self._scrape(operator)
                self._edit(cluster, appearing, operator)
                if not self.subject.bare:
                    self.row["late renewals of the Lease"] = operator.late_renewals()
            with self.running(relays.port) as operator:
                self._restart(operator)
                if not self.subject.bare:
                    self._take_over(operator, relays)
        finally:
            relays.close()

    def _grow(self, cluster: Cluster, appearing: Appearing, operator: Running, relays: PlayedRelays) -> None:
        """Half of the objects at 10 a second, half at 50."""
        relay = {"replicas": 1, "drainTimeoutSeconds": 0}

        def made(number: int) -> tuple[str, str]:
            name, text = f"object-{number}", f"You help {number}."
            cluster.create(voiceassist(name, prompt={"instructions": text}, relay=relay))
            return name, text

        made(10_000)
        appearing.seconds({("object-10000", "You help 10000."): time.monotonic()}, operator)
        time.sleep(5)
        half = self.objects // 2
        requests, cpu = operator.requests(), operator.cpu()
        for rate, numbers in ((10, range(half)), (50, range(half, self.objects))):
            sent: dict[tuple[str, str], float] = {}

            def one(index: int, numbers: range = numbers, sent: dict[tuple[str, str], float] = sent) -> None:
                began = time.monotonic()
                sent[made(numbers[index])] = began

            begin = time.monotonic()
            paced(len(numbers), rate, one)
            took = appearing.seconds(sent, operator)
            self.row |= {f"pickup p50 at {rate}/s, s": at(took, 0.5), f"pickup p99 at {rate}/s, s": at(took, 0.99)}
            self.row[f"made a second, of {rate}"] = len(numbers) / (max(max(sent.values()) - begin, len(numbers) / rate))
            if not self.subject.bare:
                self._until_they_run(operator, relays, 1 + numbers.stop)
        self._settle(operator)
        self.row["requests for a new object"] = (operator.requests() - requests) / self.objects
        self.row["CPU for a new object, ms"] = (operator.cpu() - cpu) / self.objects * 1000

    def _until_they_run(self, operator: Running, relays: PlayedRelays, count: int) -> None:
        """The cluster's own controllers make some five pods a second, which takes longer than anything else."""
        limit = time.monotonic() + self.options.patience
        while len(relays.running) < count:
            operator.alive()
            if time.monotonic() > limit:
                raise Ended(f"{len(relays.running)} of {count} pods were made and told their configuration")
            time.sleep(0.5)

    def _settle(self, operator: Running) -> None:
        """Until the requests become as few as they are at rest, a minute at most."""
        before = operator.requests()
        for _ in range(6):
            time.sleep(10)
            operator.alive()
            now = operator.requests()
            if now - before <= max(15, self.objects // 20):
                return
            before = now

    def _rest(self, operator: Running) -> None:
        requests, cpu, begin = operator.requests(), operator.cpu(), time.monotonic()
        time.sleep(self.options.idle)
        passed = time.monotonic() - begin
        asked = (operator.requests() - requests) / passed
        self.row |= {"idle requests a second": asked, "idle requests a second for an object": asked / self.objects}
        self.row["idle share of a core"] = (operator.cpu() - cpu) / passed
        self.row["memory, MiB"] = operator.megabytes()

    def _scrape(self, operator: Running) -> None:
        """What /metrics weighs, and for how long the loop answers nothing else meanwhile."""
        address = f"http://127.0.0.1:{operator.metrics_port}"
        waits: list[float] = []
        with httpx2.Client(trust_env=False, timeout=60.0) as scraping, httpx2.Client(trust_env=False, timeout=60.0) as asking:
            ended = threading.Event()

            def ask() -> None:
                while not ended.is_set():
                    began = time.monotonic()
                    asking.get(f"{address}/healthz")
                    waits.append(time.monotonic() - began)
                    time.sleep(0.01)

            asker = threading.Thread(target=ask)
            asker.start()
            began = time.monotonic()
            sizes = [len(scraping.get(f"{address}/metrics").content) for _ in range(5)]
            took = (time.monotonic() - began) / 5
            ended.set()
            asker.join()
        self.row |= {"/metrics, MB": sizes[-1] / 1e6, "/metrics, s": took, "longest wait of /healthz meanwhile, s": max(waits)}

    def _edit(self, cluster: Cluster, appearing: Appearing, operator: Running) -> None:
        sent: dict[tuple[str, str], float] = {}
        requests, cpu = operator.requests(), operator.cpu()

        def one(number: int) -> None:
            began, text = time.monotonic(), f"You help otherwise {number}."
            cluster.patch(VOICEASSIST, f"object-{number}", {"spec": {"prompt": {"instructions": text}}})
            sent[f"object-{number}", text] = began

        paced(self.objects, 50, one)
        took = appearing.seconds(sent, operator)
        self.row |= {"prompt edit at 50/s p50, s": at(took, 0.5), "prompt edit at 50/s p99, s": at(took, 0.99)}
        self._settle(operator)
        self.row["requests for an edit"] = (operator.requests() - requests) / self.objects
        self.row["CPU for an edit, ms"] = (operator.cpu() - cpu) / self.objects * 1000

    def _all_looked_at(self, operator: Running) -> float:
        """Waits for it. Returns when, in epoch seconds: of the bare operator, when it had applied so many; else to some 0.3 s."""
        limit = time.monotonic() + self.options.patience
        while time.monotonic() < limit:
            operator.alive()
            if not self.subject.bare:
                if operator.looked_at() > self.objects:
                    return time.time()
            else:
                applied = [
                    when for when, verb, resource in self.audit.answered(operator.user) if (verb, resource) == ("patch", "configmaps")
                ]
                if len(applied) > self.objects:
                    return sorted(applied)[self.objects]
            time.sleep(0.3)
        raise Ended(f"not all were looked at within {self.options.patience:g} s")

    def _restart(self, operator: Running) -> None:
        self.row["restart until all are looked at, s"] = self._all_looked_at(operator) - operator.began
        self._settle(operator)
        self.row["requests of a restart"] = float(operator.requests())

    def _take_over(self, first: Running, relays: PlayedRelays) -> None:
        """The one that leads is killed, and leaves its Lease to run out."""
        with self.running(relays.port) as second:
            time.sleep(5)
            first.end(signal.SIGKILL)
            killed = time.time()
            while not second.leads():
                second.alive()
                if time.time() - killed > 60:
                    raise Ended("the Lease was not taken over within a minute")
                time.sleep(0.1)
            led = time.time()
            self.row["from SIGKILL until the next one leads, s"] = led - killed
            self.row["from there until all are looked at, s"] = self._all_looked_at(second) - led


def tables(rows: list[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row if name != "operator"))
    lines = [f"| | {' | '.join(str(row['operator']) for row in rows)} |", f"|---|{'--:|' * len(rows)}"]
    for name in names:
        cells = [f"{value:.3g}" if isinstance(value := row.get(name), int | float) else "" for row in rows]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--objects", type=int, default=100)
    options.add_argument("--idle", type=float, default=60.0, help="seconds of rest that are measured")
    options.add_argument("--secrets", type=int, default=0, help="Secrets of 250 kB of somebody else's, in the same namespace")
    options.add_argument("--base", default="", metavar="COMMIT", help="beside the operator of this commit")
    options.add_argument("--no-bare", action="store_true")
    options.add_argument("--patience", type=float, default=300.0, help="seconds for any step; who needs longer is given up")
    options.add_argument("--lease-seconds", type=float, default=15.0, help="longer where the machine has other work, too")
    options.add_argument("--logs", action="store_true", help="the end of each operator's log on stderr")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    if missing := missing_prerequisites():
        print(f"bench-operator: {'; '.join(missing)}", file=sys.stderr)
        return 1
    rows: list[Row] = []
    ended = False
    with (
        tempfile.TemporaryDirectory() as name,
        Lab() as plane,
        subjects(given.base, Path(name), given.lease_seconds, bare=not given.no_bare) as found,
    ):
        plane.control_plane_only()
        plane.kubectl("apply", "--server-side", "-f", str(CRD))
        established(plane, "voiceassists.voiceassist.dev")
        audit = Audit(plane.folder / "audit" / "audit.log")
        try:
            for subject in found:
                bench = Bench(plane, subject, audit, Path(name), given)
                rows.append(bench.row)
                try:
                    bench.run()
                except Ended as error:  # what was measured until then stands
                    print(f"bench-operator: {subject.name}: {error}", file=sys.stderr)
                    ended = True
                print(json.dumps(bench.row), file=sys.stderr)
        finally:
            clouds().close()
    print(json.dumps(rows) if given.json else tables(rows))
    return int(ended)


if __name__ == "__main__":
    sys.exit(main())
