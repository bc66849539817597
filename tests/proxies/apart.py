"""Network namespaces in a row, of which none passes packets on: what is tested, Squid, and the clouds. Who is in the first reaches Squid
and nothing else, by whatever address it dials."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.lab.forwarding import Forwarding

PROXY, PROXY_PORT = "192.0.2.1", 3128
CLOUDS = "198.51.100.1"
_LINKS = (("inside", "192.0.2.2/30", "proxy", f"{PROXY}/30"), ("proxy", "198.51.100.2/30", "clouds", f"{CLOUDS}/30"))


@dataclass
class Apart:
    """The three namespaces, by name, as the processes that hold them."""

    holders: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _forwarders: dict[str, Forwarding] = field(default_factory=dict)

    def network(self, name: str) -> Path:
        """A namespace, to be entered."""
        return Path(f"/proc/{self.holders[name].pid}/ns/net")

    def at(self, name: str) -> tuple[str, ...]:
        """What stands before a command that is to run there."""
        return ("nsenter", f"--net={self.network(name)}", "--")

    def run(self, name: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command there."""
        return subprocess.run([*self.at(name), *command], capture_output=True, text=True, timeout=120, check=False)

    def dialled(self, name: str, address: str, port: int) -> str:
        """Why no connection can be made from there; empty where one can."""
        dial = f"import socket; socket.create_connection(({address!r}, {port}), 30)"
        return self.run(name, [sys.executable, "-c", dial]).stderr

    def forwarder(self, name: str) -> Forwarding:
        """For the test itself, which is in none of them."""
        if name not in self._forwarders:
            self._forwarders[name] = Forwarding(self.network(name))
        return self._forwarders[name]

    def close(self) -> None:
        """Ends what holds them."""
        for forwarder in self._forwarders.values():
            forwarder.close()
        for holder in self.holders.values():
            assert holder.stdin is not None and holder.stdout is not None
            holder.stdin.close()
            holder.wait(60)
            holder.stdout.close()


@contextlib.contextmanager
def apart() -> Iterator[Apart]:
    """Makes the namespaces; needs root. Each is held by a process that ends with this one, however that ends."""
    made = Apart()
    try:
        for name in ("inside", "proxy", "clouds"):
            command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat >/dev/null"]
            holder = made.holders[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"up\n", f"no network namespace for {name}"
        for left, left_address, right, right_address in _LINKS:
            _linked(made, left, left_address, right, right_address)
        yield made
    finally:
        made.close()


def _linked(made: Apart, left: str, left_address: str, right: str, right_address: str) -> None:
    commands = [
        (left, ["ip", "link", "add", "name", f"to-{right}", "type", "veth", "peer", f"to-{left}", "netns", str(made.holders[right].pid)]),
        (left, ["ip", "address", "add", left_address, "dev", f"to-{right}"]),
        (left, ["ip", "link", "set", "dev", f"to-{right}", "up"]),
        (right, ["ip", "address", "add", right_address, "dev", f"to-{left}"]),
        (right, ["ip", "link", "set", "dev", f"to-{left}", "up"]),
    ]
    for where, command in commands:
        done = made.run(where, command)
        assert done.returncode == 0, (command, done.stderr)
