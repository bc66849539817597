"""Real proxies on loopback: nginx and HAProxy of Debian, Traefik as the test cluster has it; each before one relay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.lab.cache import ensure
from cluster.lab.programs import traefik as traefik_recipe
from support.eventually import eventually
from voiceassist_demo.stage import free_port

START_SECONDS = 30.0


@dataclass
class Proxy:
    """A proxy that runs: its port, its process, and its folder with configuration and log."""

    port: int
    process: asyncio.subprocess.Process
    folder: Path
    reload: Callable[[], None]
    """Has it read its configuration anew, as its ingress controller does when any Ingress changes."""

    def log(self) -> str:
        """What it has written."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


@dataclass
class Proxies:
    """Starts proxies, and ends them all with the block."""

    folder: Path
    running: list[Proxy] = field(default_factory=list)

    async def __aenter__(self) -> Proxies:
        return self

    async def __aexit__(self, *_: object) -> None:
        for proxy in self.running:
            with contextlib.suppress(ProcessLookupError):
                proxy.process.terminate()
        for proxy in self.running:
            try:
                await asyncio.wait_for(proxy.process.wait(), 10)
            except TimeoutError:
                proxy.process.kill()
                await proxy.process.wait()

    async def nginx(self, text: Callable[[int], str], port: int = 0) -> Proxy:
        """Starts nginx; `text` gives its configuration for a port."""
        port, folder = port or free_port(), self._place("nginx")
        (folder / "nginx.conf").write_text(text(port))
        command = [
            found("nginx"),
            "-p",
            str(folder),
            "-c",
            str(folder / "nginx.conf"),
            "-e",
            str(folder / "error.log"),
            "-g",
            "daemon off;",
        ]
        proxy = await self._start(command, port, folder)
        proxy.reload = lambda: proxy.process.send_signal(signal.SIGHUP)
        return proxy

    async def haproxy(self, text: Callable[[int], str], port: int = 0) -> Proxy:
        """Starts HAProxy with its master; `text` gives its configuration for a port."""
        port, folder = port or free_port(), self._place("haproxy")
        (folder / "haproxy.cfg").write_text(text(port))
        proxy = await self._start([found("haproxy"), "-W", "-f", str(folder / "haproxy.cfg")], port, folder)
        proxy.reload = lambda: proxy.process.send_signal(signal.SIGUSR2)
        return proxy

    async def traefik(self, relay: int, *middlewares: dict[str, object], port: int = 0) -> Proxy:
        """Starts Traefik before the relay's port."""
        port, folder = port or free_port(), self._place("traefik")
        names = {f"m{number}": made for number, made in enumerate(middlewares)}
        router = {"rule": "PathPrefix(`/`)", "service": "relay", "middlewares": list(names)}
        http: dict[str, object] = {
            "routers": {"relay": router},
            "services": {"relay": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{relay}"}]}}},
        }
        (folder / "dynamic.yaml").write_text(json.dumps({"http": http | ({"middlewares": names} if names else {})}))
        options = {
            "entrypoints.web.address": f"127.0.0.1:{port}",
            "providers.file.filename": str(folder / "dynamic.yaml"),
            "global.checknewversion": "false",
            "global.sendanonymoususage": "false",
            "log.level": "ERROR",
        }
        program = ensure(traefik_recipe()) / "traefik"
        proxy = await self._start([str(program), *(f"--{name}={value}" for name, value in options.items())], port, folder)
        await eventually(lambda: _routed(port), "Traefik's route", seconds=START_SECONDS)
        return proxy

    def _place(self, name: str) -> Path:
        place = self.folder / f"{name}{len(self.running)}"
        place.mkdir(parents=True)
        return place

    async def _start(self, command: Sequence[str], port: int, folder: Path, reached: Callable[[], bool] | None = None) -> Proxy:
        with (folder / "output.log").open("wb") as out:
            process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)
        proxy = Proxy(port, process, folder, lambda: None)
        self.running.append(proxy)

        def listening() -> bool:
            assert process.returncode is None, proxy.log()
            if reached is not None:
                return reached()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        await eventually(listening, f"{command[0]} listens", seconds=START_SECONDS)
        return proxy


def found(program: str) -> str:
    """The path of a Debian program. Raises FileNotFoundError with the package to install."""
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        raise FileNotFoundError(f"{program} is missing: apt-get install {program}")
    return path


async def _routed(port: int) -> bool:
    """Traefik listens before it has its routes, and answers 404 itself until then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    try:
        return b"\r\n\r\n404 page not found" not in await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


@contextlib.contextmanager
def stopped(proxy: Proxy) -> Iterator[None]:
    """Halts a proxy and its workers, as a machine does that is busy elsewhere; what comes meanwhile waits for it."""
    children = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children").read_text().split()
    halted = [int(child) for child in children] or [proxy.process.pid]
    for pid in halted:
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
    try:
        yield
    finally:
        for pid in halted:
            subprocess.run(["kill", "-CONT", str(pid)], check=True)
