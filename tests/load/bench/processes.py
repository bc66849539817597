"""The processes of one measurement: generator, Sync stub and the relay under test, each on its core, and what the kernel says of them."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceassist_crds.config import AudioFormat

from . import calls
from .building import HERE, built
from .rows import BASE, LIMIT, OURS, SANS_IO

RELAYS = (LIMIT, SANS_IO, OURS)
_PCM = {AudioFormat.PCM16K: 2, AudioFormat.PCM24K: 3}
"""Samples for each one of mu-law."""
MOST_CALLS = 1000
"""Calls that one relay process takes at most."""


class Silent(Exception):
    """A process did not answer in time, or ended."""


def raise_limits() -> None:
    """As many open files as are allowed: a call of two tracks has three sockets on each side. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Process:
    """A child that says things as lines of JSON, pinned to a core."""

    def __init__(self, command: list[str | Path], core: int | None, environment: dict[str, str] | None = None) -> None:
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        self._child = subprocess.Popen(
            [*pinned, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("BENCH_VERBOSE") else None,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.pid = self._child.pid

    def read(self, seconds: float = 120.0) -> dict[str, Any]:
        """The next line. Raises Silent."""
        assert self._child.stdout is not None
        guard = threading.Timer(seconds, self._child.kill)
        guard.start()
        try:
            while line := self._child.stdout.readline():
                if line.startswith("{"):
                    answer: dict[str, Any] = json.loads(line)
                    return answer
        finally:
            guard.cancel()
        raise Silent(f"{self._child.args}: no answer")

    def ask(self, text: str, seconds: float = 120.0) -> dict[str, Any]:
        """Sends one line and reads the answer."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(text + "\n")
            self._child.stdin.flush()
        return self.read(seconds)

    def kill(self) -> None:
        """Ends it at once."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@dataclass(frozen=True)
class Cores:
    """Which core carries what."""

    relay: int | None
    others: int | None

    @classmethod
    def found(cls) -> Cores:
        """One core for the relay and another for everything else; none of its own where the machine has only one, or no `taskset`."""
        there = sorted(os.sched_getaffinity(0))
        if len(there) < 2 or shutil.which("taskset") is None:
            return cls(None, None)
        return cls(there[-1], there[0])


@dataclass
class Rig:
    """A generator with a relay in front of it."""

    generator: Process
    relay: Process
    ports: dict[str, int]

    def ask(self, text: str) -> dict[str, Any]:
        """A command for the generator."""
        return self.generator.ask(text)

    def rss_kb(self) -> int:
        """Memory of the relay's process."""
        status = Path(f"/proc/{self.relay.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def scrape(self) -> str:
        """The relay's /metrics; only ours has it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['private']}/metrics", timeout=300) as answer:
            text: str = answer.read().decode()
            return text


@contextlib.contextmanager
def rig(
    folder: Path,
    name: str,
    tracks: int,
    cores: Cores,
    *,
    tls: bool,
    most: int = MOST_CALLS,
    launcher: list[str | Path] | None = None,
    rendering_seconds: float = 0.0,
    gather_ms: float | None = None,
    audio_format: AudioFormat = AudioFormat.PCMU,
    base: Path | None = None,
) -> Iterator[Rig]:
    """Starts everything for one relay and ends it. `launcher`: what runs our relay instead of its command; `rendering_seconds`: how long
    a rendering of its /metrics stands; `gather_ms`: the setting of that name, if not its default; `audio_format`: what our relay gives the
    model; `base`: where the checkout of another
    commit is, whose relay the one named `base` is."""
    children: list[Process] = []
    raise_limits()

    def start(command: list[str | Path], core: int | None, environment: dict[str, str] | None = None) -> Process:
        children.append(Process(command, core, environment))
        return children[-1]

    script = folder / f"calls-{tracks}-{most}"
    if not script.exists():
        calls.scripts(script, most, tracks)
    documents = folder / f"documents-{most}"
    if not documents.exists():
        calls.documents(documents, most)
    if not (folder / "cert.pem").exists():
        calls.certificate(folder)
    cert, key = folder / "cert.pem", folder / "key.pem"
    try:
        generator = start([built("loadgen"), script, cert, key], cores.others)
        doors = generator.read()
        url = f"wss://127.0.0.1:{doors['tls']}/v1/realtime" if tls else f"ws://127.0.0.1:{doors['plain']}/v1/realtime"
        environment = {"SSL_CERT_FILE": str(cert)}
        if name == "limit":
            door = doors["tls" if tls else "plain"]
            relay = start([built("limit_proxy"), "0", str(door), str(tracks), str(int(tls))], cores.relay)
        elif name == "sans-io":
            relay = start([sys.executable, HERE / "sans_io_relay.py", url, str(tracks)], cores.relay, environment)
        else:
            stub = start([sys.executable, HERE / "sync_stub.py", documents], cores.others).read()["listening"]["public"]
            tree = base if name == BASE and base is not None else None
            program = launcher or [_python(tree).with_name("voiceassist-relay")]
            config = _our_configuration(folder, url, stub, tracks, gather_ms, audio_format)
            ports_asked = ["--host", "127.0.0.1", "--port", "0", "--metrics-port", "0", "--metrics-seconds", str(rendering_seconds)]
            relay = start([_python(tree), *program, *config, *ports_asked, "--log-level", "warning"], cores.relay, environment)
        ports = relay.read()["listening"]
        generator.ask(f"relay {ports['public']} {relay.pid}")
        generator.ask(f"tracks {tracks}")
        generator.ask(f"pcm {_PCM.get(audio_format, 0)}")
        if name in (OURS, BASE):
            time.sleep(0.5)  # its checks of the model and of Sync are over, and are not a part of what follows
        yield Rig(generator, relay, ports)
    finally:
        for child in reversed(children):
            child.kill()


def _python(tree: Path | None) -> Path:
    """The interpreter of a checkout's environment; without one, this one's."""
    return Path(sys.executable) if tree is None else tree / ".venv/bin/python"


def _our_configuration(
    folder: Path, url: str, stub: int, tracks: int, gather_ms: float | None, audio_format: AudioFormat
) -> list[str | Path]:
    """Options with every feature on: checks, transcription, transcripts, Sync."""
    config: dict[str, Any] = {
        "host": calls.HOST,
        "twilio": {"accountSid": calls.ACCOUNT, "syncServiceSid": "IS" + "0" * 32, "apiUrl": f"http://127.0.0.1:{stub}/{{product}}"},
        "audio": {"tracks": "Both" if tracks == 2 else "Customer"},
        "model": {"provider": "Compatible", "url": url, "check": "Session", "audioFormat": audio_format},
        "prompts": [{"instructions": "You help the agent of a contact centre. " * 40}],
        "limits": {
            "maxCalls": MOST_CALLS,
            "drainGraceSeconds": 0,
            "drainTimeoutSeconds": 0,
            "streamPingSeconds": 0,  # the generator answers no pings, and ends a call that sends one
        },
    }
    if gather_ms is not None:
        config["limits"]["gatherMs"] = gather_ms
    path, secrets = folder / "relay.json", folder / "secrets"
    path.write_text(json.dumps(config))
    secrets.mkdir(exist_ok=True)
    for name, value in calls.SECRETS.items():
        (secrets / name).write_text(value)
    return ["--config", path, "--secrets", secrets]
