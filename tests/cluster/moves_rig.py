"""For calls that move on a cluster: the stand-ins with recordings of the test's own, the relays' logs, and what is done to relays."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import tarfile
import wave
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from cluster.calling import Agents
from cluster.lab import Lab
from cluster.lab.keeper import cgroups_named
from cluster.lab.sandbox import sync_service
from cluster.standing import Sandbox, host_of, relay_pods, sandbox_objects, service_url
from integration.moves_rig import asking_on_a_line, log_lines
from voiceassist_relay.logs import call_hash

CALLS_FOLDER = "/calls"
_UNPACK = f"import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|gz').extractall('{CALLS_FOLDER}')"
Call = dict[str, Any]


def customer_on_a_line(folder: Path, seconds: float, call: int) -> Path:
    """The customer's side alone of such a recording: half as much to bring into the cluster."""
    path = asking_on_a_line(folder, seconds, call)
    with wave.open(str(path)) as source:
        both = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2").reshape(-1, 2)
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(8000)
        target.writeframes(both[:, 0].tobytes())
    return path


def with_a_silence(path: Path, begin: float, seconds: float) -> Path:
    """The same recording with a quiet line of so many seconds put in at `begin` (seconds), in a file of its own."""
    with wave.open(str(path)) as source:
        spoken = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
    quiet = (np.random.default_rng(zlib.crc32(path.name.encode())).integers(-4, 4, int(seconds * 8000)) * 8 + 4).astype("<i2")
    at, made = int(begin * 50) * 160, path.with_name(f"quiet-{path.name}")
    with wave.open(str(made), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(8000)
        target.writeframes(np.concatenate([spoken[:at], quiet, spoken[at:]]).tobytes())
    return made


def sandbox_with(lab: Lab, namespace: str, node: str, recordings: Sequence[Path]) -> Sandbox:
    """The stand-ins, on one node, and these recordings in them."""
    objects = sandbox_objects(lab.authority.read_text(), lab.first, host_of(namespace))
    for one in objects:
        if one["kind"] == "Deployment":
            pod = one["spec"]["template"]["spec"]
            container = pod["containers"][0]
            container["resources"]["limits"]["memory"] = "2Gi"  # recordings of minutes, and what was heard of them
            container["resources"]["requests"]["cpu"] = "600m"  # a share of the machine, which other work has too
            container["readinessProbe"] |= {"timeoutSeconds": 10, "failureThreshold": 30}
            pod["nodeSelector"] = {"kubernetes.io/hostname": node}
            container.setdefault("volumeMounts", []).append({"name": "calls", "mountPath": CALLS_FOLDER})
            pod.setdefault("volumes", []).append({"name": "calls", "emptyDir": {}})
    lab.apply(*objects, namespace=namespace)
    for name in ("sandbox-twilio", "sandbox-openai"):
        lab.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=300s")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for recording in recordings:
            archive.add(recording, recording.name)
    unpack = ["kubectl", "exec", "-i", "-n", namespace, "deployment/sandbox-twilio", "--", "python3", "-c", _UNPACK]
    with lab.popen(unpack, stdin=subprocess.PIPE) as process:
        process.communicate(packed.getvalue(), timeout=300)
    assert process.returncode == 0
    twilio, model = service_url(lab, namespace, "sandbox-twilio"), service_url(lab, namespace, "sandbox-openai")
    return Sandbox(namespace, twilio, model, sync_service(lab, namespace))


class ClusterStage:
    """The stand-ins and relays of a namespace, as the account of moves asks them: as `Stage` has them for processes on loopback."""

    def __init__(self, lab: Lab, place: Sandbox, folder: Path, http: aiohttp.ClientSession, agents: Agents) -> None:
        self.lab, self.place, self.folder, self.http, self.agents = lab, place, folder, http, agents
        self.twilio_url, self.model_url = place.twilio, place.model
        self._logs: dict[tuple[str, int], subprocess.Popen[Any]] = {}
        self._followed = 0
        folder.mkdir()

    async def get(self, url: str) -> Any:
        async with self.http.get(url) as answer:
            return await answer.json(content_type=None)

    async def get_bytes(self, url: str) -> bytes:
        async with self.http.get(url) as answer:
            return await answer.read()

    async def send(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        async with self.http.request(method, url, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def start(self, recording: Path, faults: dict[str, Any] | None = None) -> Call:
        """A call that an agent has taken, with assist; it goes on until somebody hangs up. `faults`: of its streams."""
        wanted = {"recording": f"{CALLS_FOLDER}/{recording.name}", "hangUp": None}
        status, call = await self.send("POST", f"{self.twilio_url}/_sim/calls", wanted)
        assert status == 201, call
        if faults is not None:
            await self.put_faults(call, **faults)
        status, answer = await self.agents.act("start", call)
        assert status == 200, answer
        return dict(call)

    async def put_faults(self, call: Call, **faults: Any) -> None:
        """Readings of a call's streams, from now on, if it was started with any."""
        status, told = await self.send("PUT", f"{self.twilio_url}/_sim/calls/{call['callSid']}/stream-faults", faults)
        assert status == 200, told

    def pods(self) -> list[dict[str, Any]]:
        """The relay pods that are there to stay; the logs of new ones are followed from now on."""
        found = relay_pods(self.lab, self.place.namespace)
        for pod in found:
            for container in pod["status"].get("containerStatuses", []):
                key = (pod["metadata"]["name"], container["restartCount"])
                cut = key in self._logs and self._logs[key].poll() is not None  # as the API server or the kubelet was away
                if (cut or key not in self._logs) and "running" in container["state"]:
                    # Into a file of its own: who follows a container that has just gone is told that alone, and what was read stays.
                    self._followed += 1
                    with (self.folder / f"relay-{key[0]}-{key[1]}-{self._followed}.log").open("wb") as log:
                        command = ["kubectl", "logs", "-f", key[0], "-n", self.place.namespace]
                        self._logs[key] = self.lab.popen(command, stdout=log, stderr=subprocess.DEVNULL)
        return found

    def ready(self) -> list[dict[str, Any]]:
        """Those of them that are ready."""
        return [
            pod
            for pod in self.pods()
            if any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        ]

    def settled(self, count: int) -> list[dict[str, Any]]:
        """The ready ones, if there are so many and no others, not even ones that end; else nothing."""
        ready = self.ready()
        there = self.lab.get("pods", "-n", self.place.namespace, "-l", "app.kubernetes.io/name=voiceassist-relay")["items"]
        return ready if len(ready) == count == len(there) else []

    def ended_at(self, pod: dict[str, Any]) -> int:
        """Calls whose last line is in this relay's log."""
        return len(self.told("call over", pod["metadata"]["name"]))

    def told(self, event: str, relay: str = "*") -> list[dict[str, Any]]:
        """Lines of all relays' logs, or of one pod's."""
        return [line for line in log_lines(self.folder, f"relay-{relay}-*.log") if line.get("event") == event]

    def has_told_all(self, calls: Sequence[Call]) -> bool:
        """Whether the logs have each call's last line."""
        told = {line["call"] for line in self.told("call over") if line["reason"] != "moved"}
        return all(call_hash(call["callSid"]) in told for call in calls)

    def close(self) -> None:
        for process in self._logs.values():
            process.terminate()
            process.wait(30)


@asynccontextmanager
async def cluster_stage(lab: Lab, place: Sandbox, folder: Path) -> AsyncIterator[ClusterStage]:
    async with aiohttp.ClientSession() as http, Agents(lab, host_of(place.namespace)) as agents:
        stage = ClusterStage(lab, place, folder, http, agents)
        try:
            yield stage
        finally:
            stage.close()


@contextmanager
def served_first(lab: Lab) -> Iterator[None]:
    """The nodes' pods come before whatever else this machine does: relays that wait for a core for seconds are taken for gone."""
    before: dict[Path, str] = {}
    try:
        for node in lab.nodes:
            for cgroup in cgroups_named(f"{lab.enclosure.cgroup}-{node.name}"):
                for name, most in (("cpu.shares", "262144"), ("cpu.weight", "10000")):
                    with suppress(FileNotFoundError):
                        before[cgroup / name] = (cgroup / name).read_text().strip()
                        (cgroup / name).write_text(most)
        assert before, "cgroups with a share of the cores"
        yield
    finally:
        for path, share in before.items():
            path.write_text(share)


def relay_processes(pod: dict[str, Any]) -> list[int]:
    """The processes of a pod's own container, of the operator's too."""
    uid, found = pod["metadata"]["uid"], []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            of_the_pod = entry.name.isdigit() and f"pod{uid}" in (entry / "cgroup").read_text()
            if of_the_pod and b"voiceassist" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def kill(pod: dict[str, Any]) -> None:
    """SIGKILL to every process of a pod's relay container."""
    for process in relay_processes(pod):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


async def until(what: str, look: Callable[[], Any], seconds: float = 180.0) -> Any:
    """The first true thing that a blocking `look` gives, which runs beside the loop."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        if found := await asyncio.to_thread(look):
            return found
        assert loop.time() < deadline, f"{what}: not within {seconds:.0f} s"
        await asyncio.sleep(0.5)
