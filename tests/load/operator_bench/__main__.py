"""Prints what the operator costs for so many objects, in one run beside a bare operator and, with --base, beside an earlier commit."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from lightkube import Client, KubeConfig
from lightkube.resources.core_v1 import ConfigMap

from cluster.lab import Lab, missing_prerequisites
from cluster.operator.bench import VOICEASSIST, Cluster, voiceassist
from cluster.operator.clouds import clouds
from cluster.waiting import established
from load.operator_bench.played import PlayedRelays

ROOT = Path(__file__).parents[3]
CRD = ROOT / "crds/voiceassists.voiceassist.dev.yaml"
PATIENCE = 600.0
TICK = os.sysconf("SC_CLK_TCK")
Row = dict[str, float | str | None]


class Ended(Exception):
    """An operator did not come to the end."""


@dataclass
class Subject:
    """A kind of operator, and how its process is started."""

    name: str
    command: Callable[[str, int, int], list[str]]
    """By namespace, the relays' port, and the port for metrics."""
    path: str = ""
    """PYTHONPATH."""
    measured: bool = True
    """Has metrics."""


@dataclass
class Running:
    """An operator's process, and what it took so far."""

    user: str
    plane: Lab
    process: subprocess.Popen[bytes]
    metrics_port: int
    began: float = field(default_factory=time.monotonic)

    def cpu(self) -> float:
        """Seconds of user and system time."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / TICK

    def megabytes(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def requests(self) -> int:
        """All that were answered so far, watches and the Lease included."""
        return sum(event["stage"] == "ResponseComplete" for event in self.plane.audit_events(self.user))


def ours(lease_seconds: float) -> Callable[[str, int, int], list[str]]:
    code = "from voiceassist_operator.cli import main; main()"

    def command(namespace: str, port: int, metrics: int) -> list[str]:
        arguments = ["--namespace", namespace, "--lease-namespace", namespace, "--relay-port", str(port), "--metrics-port", str(metrics)]
        lease = ("--lease-seconds", f"{lease_seconds:g}")
        return [sys.executable, "-c", code, "run", "--allow-custom-endpoints", "--log-level", "warning", *lease, *arguments]

    return command


class Appearing:
    """When each object's ConfigMap came to hold a text; told by a watch."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._client = Client(config=KubeConfig.from_file(kubeconfig).get(), trust_env=False, timeout=httpx2.Timeout(None))
        self._namespace = namespace
        self.seen: dict[tuple[str, str], float] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                for _, item in self._client.watch(ConfigMap, namespace=self._namespace):
                    name = item.metadata.name if item.metadata else ""
                    if name and name.endswith("-relay") and item.data:
                        text = item.data.get("prompt") or json.loads(item.data["relay.json"])["prompts"][0]["instructions"]
                        self.seen.setdefault((name.removesuffix("-relay"), text), time.monotonic())

    def seconds(self, sent: dict[tuple[str, str], float], operator: Running) -> list[float]:
        """Waits until all that was sent is there. Returns how long each took, in order of length."""
        limit = time.monotonic() + PATIENCE
        while missing := sent.keys() - self.seen.keys():
            if (code := operator.process.poll()) is not None:
                raise Ended(f"ended by itself with {code}; {len(missing)} of {len(sent)} ConfigMaps are missing")
            if time.monotonic() > limit:
                raise Ended(f"{len(missing)} of {len(sent)} ConfigMaps did not come within {PATIENCE:g} s")
            time.sleep(0.05)
        return sorted(self.seen[key] - at for key, at in sent.items())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


def paced(count: int, a_second: float, act: Callable[[int], None]) -> None:
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number / a_second - time.monotonic()))
        act(number)


class Bench:
    """One subject from no object to so many, at rest, edited, and started again."""

    def __init__(self, plane: Lab, subject: Subject, objects: int, idle: float, folder: Path, secrets: int) -> None:
        self.plane, self.subject, self.objects, self.idle, self.folder, self.secrets = plane, subject, objects, idle, folder, secrets
        self.row: Row = {"operator": subject.name, "objects": objects}

    @contextlib.contextmanager
    def running(self, namespace: str, port: int) -> Iterator[Running]:
        user = f"{self.subject.name}-{time.monotonic_ns()}"
        kubeconfig = self.plane.outside_kubeconfig(user, "system:masters")
        environment = {"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin", "HOME": str(self.folder), "PYTHONPATH": self.subject.path}
        with (self.folder / f"{user}.log").open("wb") as log:
            metrics = free_port()
            process = subprocess.Popen(self.subject.command(namespace, port, metrics), env=environment, stdout=log, stderr=log)
            try:
                yield Running(user, self.plane, process, metrics)
                if process.poll() is not None:
                    print(f"bench-operator: {self.subject.name} has ended by itself with {process.returncode}", file=sys.stderr)
            finally:
                process.kill()
                process.wait()

    def run(self) -> None:
        """Fills the row. Raises Ended."""
        with self.plane.namespace(f"bench-{self.subject.name}") as namespace:
            cluster = Cluster(self.plane.outside_kubeconfig(), namespace)
            cluster.secrets()
            for number in range(self.secrets):
                value = base64.b64encode(os.urandom(187_500)).decode()
                cluster.create(
                    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"foreign-{number}"}, "stringData": {"a": value}}
                )
            relays = PlayedRelays(cluster)
            appearing = Appearing(self.plane.outside_kubeconfig(), namespace)
            try:
                with self.running(namespace, relays.port) as operator:
                    self._grow(cluster, appearing, operator)
                    self._rest(operator)
                    if self.subject.measured:
                        self._scrape(operator)
                    self._edit(cluster, appearing, operator)
                with self.running(namespace, relays.port) as operator:
                    self._restart(operator)
            finally:
                relays.close()
                for one in cluster.list(VOICEASSIST):
                    cluster.patch(VOICEASSIST, one["metadata"]["name"], {"metadata": {"finalizers": None}})

    def _grow(self, cluster: Cluster, appearing: Appearing, operator: Running) -> None:
        """Half of the objects at 10 a second, half at 50."""
        relay = {"replicas": 1, "drainTimeoutSeconds": 0}

        def made(number: int) -> tuple[str, str]:
            name, text = f"object-{number}", f"You help {number}."
            cluster.create(voiceassist(name, prompt={"instructions": text}, relay=relay))
            return name, text

        made(10_000)
        appearing.seconds({("object-10000", "You help 10000."): time.monotonic()}, operator)
        time.sleep(10)
        half = self.objects // 2
        requests, cpu = operator.requests(), operator.cpu()
        for rate, numbers in ((10, range(half)), (50, range(half, self.objects))):
            sent: dict[tuple[str, str], float] = {}

            def one(index: int, numbers: range = numbers, sent: dict[tuple[str, str], float] = sent) -> None:
                began = time.monotonic()
                sent[made(numbers[index])] = began

            paced(len(numbers), rate, one)
            took = appearing.seconds(sent, operator)
            self.row |= {f"pickup p50 at {rate}/s, s": at(took, 0.5), f"pickup p99 at {rate}/s, s": at(took, 0.99)}
        self._settle(operator)
        self.row["requests for a new object"] = (operator.requests() - requests) / self.objects
        self.row["CPU for a new object, ms"] = (operator.cpu() - cpu) / self.objects * 1000

    def _settle(self, operator: Running) -> None:
        """Until the requests become as few as they are at rest, two minutes at most."""
        before = operator.requests()
        for _ in range(12):
            time.sleep(10)
            now = operator.requests()
            if now - before <= max(15, self.objects // 20):
                return
            before = now

    def _rest(self, operator: Running) -> None:
        requests, cpu, begin = operator.requests(), operator.cpu(), time.monotonic()
        time.sleep(self.idle)
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
        self.row["prompt edit at 50/s p99, s"] = at(appearing.seconds(sent, operator), 0.99)
        self._settle(operator)
        self.row["requests for an edit"] = (operator.requests() - requests) / self.objects
        self.row["CPU for an edit, ms"] = (operator.cpu() - cpu) / self.objects * 1000

    def _restart(self, operator: Running) -> None:
        """Until the requests come to rest: measured to 2 s."""
        before, last = -1, operator.began
        while operator.process.poll() is None and time.monotonic() - operator.began < PATIENCE:
            now = operator.requests()
            if now - before > max(10, self.objects // 100):
                last = time.monotonic()
            elif time.monotonic() - last > 15 and now > 3:
                break
            before = now
            time.sleep(2)
        self.row["restart until at rest, s"] = last - operator.began
        self.row["requests of a restart"] = float(before)


def tables(rows: list[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row if name != "operator"))
    lines = [f"| | {' | '.join(str(row['operator']) for row in rows)} |", f"|---|{'--:|' * len(rows)}"]
    for name in names:
        cells = [f"{value:.3g}" if isinstance(value := row.get(name), int | float) else "" for row in rows]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


@contextlib.contextmanager
def subjects(base: str, folder: Path, lease_seconds: float, *, bare: bool) -> Iterator[list[Subject]]:
    """The operator as it is, the bare one, and that of a commit."""
    script = [sys.executable, str(Path(__file__).with_name("bare.py"))]
    found = [Subject("ours", ours(lease_seconds))]
    if bare:
        found.append(Subject("bare", lambda namespace, *_: [*script, "--namespace", namespace], measured=False))
    if not base:
        yield found
        return
    tree = folder / "base"
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", tree, base], check=True, capture_output=True)
    try:
        path = os.pathsep.join(str(tree / one / "src") for one in ("operator", "crds"))
        yield [*found, Subject(f"base-{base[:8].lower()}", ours(lease_seconds), path)]
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=False, capture_output=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--objects", type=int, default=100)
    options.add_argument("--idle", type=float, default=60.0, help="seconds of rest that are measured")
    options.add_argument("--secrets", type=int, default=0, help="Secrets of 250 kB of somebody else's, in the same namespace")
    options.add_argument("--base", default="", metavar="COMMIT", help="beside the operator of this commit")
    options.add_argument("--no-bare", action="store_true")
    options.add_argument("--lease-seconds", type=float, default=15.0, help="longer where the machine has other work, too")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    if missing := missing_prerequisites():
        print(f"bench-operator: {'; '.join(missing)}", file=sys.stderr)
        return 1
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as name,
        Lab() as plane,
        subjects(given.base, Path(name), given.lease_seconds, bare=not given.no_bare) as found,
    ):
        plane.control_plane_only()
        plane.kubectl("apply", "--server-side", "-f", str(CRD))
        established(plane, "voiceassists.voiceassist.dev")
        try:
            for subject in found:
                bench = Bench(plane, subject, given.objects, given.idle, Path(name), given.secrets)
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
