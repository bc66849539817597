"""A metrics server for the HPA controller: the external metrics API behind an APIService, with one metric, calls."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cluster.lab import Lab
from cluster.waiting import eventually
from support.certificates import for_localhost

GROUP = "external.metrics.k8s.io"
METRIC = "voiceassist_calls"
_ROOT = f"/apis/{GROUP}/v1beta1"
_RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/v1beta1",
    "resources": [{"name": METRIC, "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}],
}


@contextmanager
def metrics_api(lab: Lab, namespace: str, folder: Path, calls: Callable[[], int]) -> Iterator[None]:
    """Serves the metric in the cluster; `calls` gives its value. The API server leads to it by a Service without pods."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == _ROOT:
                self._answer(_RESOURCES)
            elif path.endswith(f"/{METRIC}"):
                item = {"metricName": METRIC, "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z", "value": str(calls())}
                self._answer({"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}, "items": [item]})
            else:
                self.send_error(404)

        def _answer(self, told: dict[str, Any]) -> None:
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(for_localhost(folder))
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        with registered(lab, namespace, server.server_address[1]):
            yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def registered(lab: Lab, namespace: str, local: int) -> Iterator[None]:
    """The metrics API is what a server at this port of 127.0.0.1 answers; by a Service without pods in this namespace."""
    address, port = lab.expose(local)
    service = {"type": "ExternalName", "externalName": address, "ports": [{"port": port}]}
    lab.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics"}, "spec": service}, namespace=namespace)
    name = f"v1beta1.{GROUP}"
    spec = {
        "group": GROUP,
        "version": "v1beta1",
        "service": {"name": "metrics", "namespace": namespace, "port": port},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    lab.apply({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name}, "spec": spec})

    def available() -> bool:
        conditions = lab.get("apiservice", name).get("status", {}).get("conditions", [])
        assert any(one["type"] == "Available" and one["status"] == "True" for one in conditions), conditions
        return True

    try:
        eventually("the metrics API", available)
        yield
    finally:
        lab.kubectl("delete", "apiservice", name, "--ignore-not-found")
