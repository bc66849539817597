"""A Prometheus in a pod of the cluster, set up as docs/observability.md says: with that page's scrape job, account and rights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import yaml

from cluster.lab import Lab
from cluster.lab.cache import ensure
from cluster.lab.images import image_name
from cluster.lab.places import REPOSITORY
from cluster.lab.programs import prometheus
from cluster.standing import Json, fetch
from cluster.waiting import eventually

PAGE = REPOSITORY / "docs" / "observability.md"
NAMESPACE = "monitoring"  # as on the page
ACCOUNT = "prometheus"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
PORT = 9090
INTERVAL = 1.0  # seconds between two scrapes, and between two evaluations of rules that say nothing else
Labels = Mapping[str, str]


def told(block: str) -> str:
    """A block of the page, by the word after its language."""
    [found] = re.findall(rf"^```yaml {block}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


def account_and_rights() -> tuple[list[Json], list[Json]]:
    """The page's ServiceAccount, and what gives it rights."""
    objects = list(yaml.safe_load_all(told("rights")))
    account = [one for one in objects if one["kind"] == "ServiceAccount"]
    assert [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in account] == [(NAMESPACE, ACCOUNT)]
    return account, [one for one in objects if one not in account]


class Scraper:
    """What a Prometheus of the cluster answers."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API. Raises OSError."""
        return fetch(f"{self._url}/api/v1/{path}?{urlencode(parameters)}")["data"]

    def query(self, promql: str) -> list[tuple[Labels, float]]:
        """An instant query's series with their values."""
        return [(one["metric"], float(one["value"][1])) for one in self.ask("query", query=promql)["result"]]

    def samples(self, series: str, seconds: float) -> dict[float, float]:
        """One series' samples of the last seconds as they are kept, by time, nothing filled in. Raises ValueError for several series."""
        found = self.ask("query", query=f"{series}[{seconds:.0f}s]")["result"]
        if len(found) > 1:
            raise ValueError(f"{series} is {len(found)} series: {[one['metric'] for one in found]}")
        return {float(at): float(value) for one in found for at, value in one["values"]}

    def targets(self) -> dict[str, str]:
        """Health of what is scraped, by the pod's namespace and name."""
        active = self.ask("targets", state="active")["activeTargets"]
        return {f"{one['labels']['namespace']}/{one['labels']['pod']}": one["health"] for one in active}


def _pod() -> Json:
    # Built outside and mounted from the node: an image of its own would have to be built, kept and loaded for this pod alone.
    program = {"name": "program", "hostPath": {"path": str(ensure(prometheus())), "type": "Directory"}}
    options = {"config.file": "/etc/prometheus/prometheus.yaml", "storage.tsdb.path": "/data", "web.listen-address": f":{PORT}"}
    container = {
        "name": "prometheus",
        "image": image_name("sim"),
        "imagePullPolicy": "Never",
        "command": ["/program/prometheus", *(f"--{name}={value}" for name, value in options.items())],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": PORT}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "program", "mountPath": "/program", "readOnly": True},
            {"name": "config", "mountPath": "/etc/prometheus"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes = [program, {"name": "config", "configMap": {"name": "prometheus"}}, {"name": "data", "emptyDir": {}}]
    spec = {
        "serviceAccountName": ACCOUNT,
        "terminationGracePeriodSeconds": 2,
        "securityContext": {"fsGroup": 10001},
        "containers": [container],
        "volumes": volumes,
    }
    labels = {"app.kubernetes.io/name": "prometheus"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "prometheus", "labels": labels}, "spec": spec}


@contextmanager
def scraping(lab: Lab, rules: Mapping[str, str]) -> Iterator[Scraper]:
    """A Prometheus that is ready, with the page's job, the page's account without its rights, and rule files given by name."""
    every = {"scrape_interval": f"{INTERVAL:g}s", "scrape_timeout": f"{INTERVAL:g}s", "evaluation_interval": f"{INTERVAL:g}s"}
    own = yaml.safe_dump({"global": every, "rule_files": list(rules)})
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prometheus"}}
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}  # for the program's mount
    account, rights = account_and_rights()
    try:
        lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}, *account)
        lab.apply(config | {"data": {"prometheus.yaml": f"{own}{told('scrape')}", **rules}}, _pod(), namespace=NAMESPACE)
        lab.kubectl("wait", "pod/prometheus", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=300s")
        address = lab.get("pod", "prometheus", "-n", NAMESPACE)["status"]["podIP"]
        scraper = Scraper(f"http://127.0.0.1:{lab.forward(address, PORT)}")
        eventually("Prometheus", lambda: scraper.ask("status/runtimeinfo"))
        yield scraper
    finally:
        for one in rights:
            lab.kubectl("delete", one["kind"], one["metadata"]["name"], "--ignore-not-found")
        lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
