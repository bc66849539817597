"""Asks the forwarder process of one cluster for connections into its network and out of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from cluster.lab import forwarder
from cluster.lab.errors import LabError


class Forwarding:
    """The forwarder of one cluster, started when first used, and ended with this process at the latest."""

    def __init__(self, network: Path) -> None:
        self._network = network
        self._process: subprocess.Popen[str] | None = None
        self._asked: dict[tuple[str, str, int], int] = {}
        self._lock = threading.Lock()

    def _ask(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", forwarder.__file__, str(self._network)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
                answer: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "it has ended"}')
            except BrokenPipeError:
                answer = {"error": "it has ended"}
        if "error" in answer:
            raise LabError(f"the forwarder cannot {request['do']} {request['to']}: {answer['error']}")
        return answer

    def _listen(self, do: str, listen: str, ip: str, port: int, own: int = 0) -> int:
        known = self._asked.get((do, ip, port))
        if known is None:
            known = self._asked[do, ip, port] = int(self._ask(do=do, listen=(listen, own), to=(ip, port))["port"])
        return known

    def forward(self, ip: str, port: int, own: int = 0) -> int:
        """The port of this machine's 127.0.0.1 that leads to ip:port in the cluster's network; `own`, or any free one."""
        return self._listen("forward", "127.0.0.1", ip, port, own)

    def expose(self, at: str, port: int, own: int = 0) -> int:
        """The port of `at`, an address in the cluster's network, that leads to `port` of this machine's 127.0.0.1; `own`, or any."""
        return self._listen("expose", at, "127.0.0.1", port, own)

    def reaches(self, ip: str, port: int) -> bool:
        """Does something listen at ip:port in the cluster's network?"""
        return bool(self._ask(do="reach", to=(ip, port))["reached"])

    def close(self) -> None:
        """End the forwarder, and with it every connection that it carries."""
        process, self._process = self._process, None
        self._asked.clear()
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
