"""What a cluster would do for the operator's objects: each pod gets an address and runs, and its relay answers with what was announced."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
from lightkube import Client, KubeConfig
from lightkube.resources.core_v1 import Pod

from cluster.operator.bench import CONFIG, Cluster

WELL = {"ok": True, "since": 1.0}
LABELS = {"app.kubernetes.io/name": "voiceassist-relay"}


class PlayedRelays:
    """One server for all addresses of 127.88.0.0/16, and a thread that lets new pods run as a watch brings them."""

    def __init__(self, cluster: Cluster, kubeconfig: Path) -> None:
        self._cluster = cluster
        self._client = Client(config=KubeConfig.from_file(kubeconfig).get(), trust_env=False, timeout=httpx2.Timeout(10.0, read=None))
        self._pods: dict[str, str] = {}
        self._revisions: dict[str, str] = {}
        self.running: set[str] = set()
        """Names of pods that run."""
        self._ended = False
        played = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for each answer

            def do_GET(self) -> None:
                body = json.dumps(played.status(self.connection.getsockname()[0])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        threading.Thread(target=self._run, daemon=True).start()

    def status(self, address: str) -> dict[str, Any]:
        """What the relay at an address says of itself."""
        known = {"configRevision": self._revisions.get(address, ""), "promptRevisions": {}, "pod": ""}
        return {
            **known,
            "version": "0",
            "activeCalls": 0,
            "maxCalls": 60,
            "draining": False,
            "ready": True,
            "model": WELL,
            "sync": WELL,
        }

    def close(self) -> None:
        self._ended = True
        self._server.shutdown()
        self._server.server_close()

    def _run(self) -> None:
        while not self._ended:
            with contextlib.suppress(Exception):  # a watch that ended is begun anew, and brings all once more
                for event, pod in self._client.watch(Pod, namespace=self._cluster.namespace, labels=dict(LABELS)):
                    if self._ended:
                        return
                    if event != "DELETED":
                        self._play(json.loads(json.dumps(pod.to_dict())))
            time.sleep(0.2)

    def _play(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        number = len(self._pods)
        address = self._pods.setdefault(name, f"127.88.{number // 250}.{number % 250 + 1}")
        self._revisions[address] = (pod["metadata"].get("annotations") or {}).get(CONFIG, "")
        if (pod.get("status") or {}).get("podIP") or not self._revisions[address] or name in self.running:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": now}]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
        self._cluster.patch(("v1", "Pod"), name, {"status": status}, status=True, manager="kubelet")
        self.running.add(name)
