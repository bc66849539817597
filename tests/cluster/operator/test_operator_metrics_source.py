"""The number of relays by a real source of metrics: relays' own series, Prometheus, prometheus-adapter, the HPA controller, the object.

What the adapter and the autoscaler are told is what docs/scaling.md says.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.lab import Lab
from cluster.lab.cache import ensure
from cluster.lab.programs import prometheus_adapter
from cluster.operator.bench import VOICEASSIST, Cluster, voiceassist
from cluster.operator.metrics_api import GROUP, registered
from cluster.waiting import eventually
from voiceassist_demo.prometheus import Prometheus
from voiceassist_demo.stage import free_port
from voiceassist_relay.metrics.relay_metrics import RelayMetrics

pytestmark = [pytest.mark.timeout(600, func_only=True), pytest.mark.usefixtures("operator")]

PAGE = (Path(__file__).parents[3] / "docs/scaling.md").read_text()
OF_CONTROLLER = [{"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}]
HOLDS_SECONDS = 10.0
"""Five looks of the HPA controller."""


def told(block: str) -> Any:
    """A block of the page, by the word after its language."""
    [found] = re.findall(rf"^```yaml {block}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return yaml.safe_load(found)


def _serving(metrics: RelayMetrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics.render()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Relays:
    """Two relays of the object as a Prometheus sees them, by the metrics that relays have."""

    def __init__(self, namespace: str) -> None:
        self._metrics, self._servers, self.addresses = [RelayMetrics() for _ in range(2)], list[ThreadingHTTPServer](), list[str]()
        for metrics in self._metrics:
            metrics.belongs_to(namespace, "support")
            server = ThreadingHTTPServer(("127.0.0.1", 0), _serving(metrics))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            self._servers.append(server)
            self.addresses.append(f"127.0.0.1:{server.server_address[1]}")

    def have(self, calls: int) -> None:
        """So many calls, all together."""
        first, second = self._metrics
        first.active_calls.set(calls // 3)
        second.active_calls.set(calls - calls // 3)

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def adapter(plane: Lab, namespace: str, folder: Path, prometheus: str) -> Iterator[None]:
    """prometheus-adapter, by which the API server answers for the metrics API."""
    config = folder / "adapter.yaml"
    config.write_text(yaml.safe_dump(told("prometheus-adapter")))
    kubeconfig, port = plane.outside_kubeconfig(), free_port()
    asks = (f"--{what}-kubeconfig={kubeconfig}" for what in ("lister", "authentication", "authorization"))
    serves = (f"--secure-port={port}", "--bind-address=127.0.0.1", f"--cert-dir={folder / 'adapter'}")
    finds = (f"--prometheus-url={prometheus}", f"--config={config}", "--metrics-relist-interval=1s", "--metrics-max-age=1m")
    program = ensure(prometheus_adapter()) / "prometheus-adapter"
    with (folder / "adapter.log").open("wb") as log:
        process = subprocess.Popen([program, *asks, *serves, *finds], stdout=log, stderr=log)
        try:
            with registered(plane, namespace, port):
                yield
        except BaseException:
            print((folder / "adapter.log").read_text()[-3000:])
            raise
        finally:
            process.terminate()
            process.wait(30)


def reader() -> list[dict[str, Any]]:
    """That the HPA controller may read the metrics: the adapter's chart brings it."""
    name, rights = "voiceassist-test-external-metrics", "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list"]}]
    role = {"apiGroup": rights, "kind": "ClusterRole", "name": name}
    return [
        {"apiVersion": f"{rights}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{rights}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": OF_CONTROLLER,
        },
    ]


async def test_relays_follow_their_own_series_by_prometheus_adapter_and_stay_where_it_is_away(
    plane: Lab, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.secrets()
    cluster.create(voiceassist(relay={"drainTimeoutSeconds": 0}))
    relays = Relays(cluster.namespace)
    relays.have(120)
    plane.apply(*reader())

    def are(count: int) -> bool:
        conditions = plane.get("hpa", "support", "-n", cluster.namespace).get("status", {}).get("conditions", [])
        deployment = cluster.get(("apps/v1", "Deployment"), "support-relay")["spec"]["replicas"]
        asked = cluster.get(VOICEASSIST, "support")["spec"]["relay"]["replicas"]
        assert (asked, deployment) == (count, count), conditions
        return True

    def active() -> dict[str, Any]:
        conditions = plane.get("hpa", "support", "-n", cluster.namespace)["status"]["conditions"]
        return next(one for one in conditions if one["type"] == "ScalingActive")

    async with contextlib.AsyncExitStack() as until:
        until.callback(relays.close)
        prometheus = Prometheus(tmp_path / "prometheus", free_port())
        seen = await until.enter_async_context(contextlib.AsyncExitStack())
        await seen.enter_async_context(prometheus)
        prometheus.scrape({"relays": relays.addresses})
        until.enter_context(adapter(plane, cluster.namespace, tmp_path, prometheus.url))
        await asyncio.to_thread(plane.apply, told("autoscaler"), namespace=cluster.namespace)
        await asyncio.to_thread(eventually, "three relays for 120 calls", lambda: are(3))
        relays.have(190)
        await asyncio.to_thread(eventually, "five relays for 190 calls", lambda: are(5))
        assert active()["reason"] == "ValidMetricFound"
        relays.have(0)  # and nobody hears of it
        await seen.aclose()
        await asyncio.to_thread(eventually, "the metric is away", lambda: active()["reason"] == "FailedGetExternalMetric")
        await asyncio.sleep(HOLDS_SECONDS)
        assert are(5)
