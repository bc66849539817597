"""A bench for the operator: the real process against a real API server, with relays whose answers the test decides."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
from lightkube import Client, KubeConfig
from lightkube.core.exceptions import ApiError

from cluster.operator.clouds import API_KEY, API_SECRET, AUTH_TOKEN, shared
from cluster.waiting import PATIENCE, eventually
from voiceassist_operator.kubernetes.client import RESOURCES

BIN = Path(__file__).parents[3] / ".venv/bin/voiceassist-operator"
CONFIG = "voiceassist.dev/config-revision"
VOICEASSIST = ("voiceassist.dev/v1alpha1", "VoiceAssist")
KINDS = {(kind.api_version, kind.name): resource for kind, resource in RESOURCES.items()}
Manifest = dict[str, Any]
RELEASED = {"voiceassist.dev/credentials": "true"}
"""Labels of a Secret that a VoiceAssist may use."""


class Cluster:
    """Objects of one namespace as dicts, as an administrator."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.namespace = namespace
        config = KubeConfig.from_file(kubeconfig).get()
        self._client = Client(config=config, trust_env=False, timeout=httpx2.Timeout(60.0))

    def get(self, kind: tuple[str, str], name: str) -> Manifest:
        return json.loads(json.dumps(self._client.get(KINDS[kind], name, namespace=self.namespace)))

    def find(self, kind: tuple[str, str], name: str) -> Manifest | None:
        try:
            return self.get(kind, name)
        except ApiError as error:
            if error.status.code == 404:
                return None
            raise

    def list(self, kind: tuple[str, str], labels: Mapping[str, str] | None = None) -> list[Manifest]:
        found = self._client.list(KINDS[kind], namespace=self.namespace, labels=labels)
        return [json.loads(json.dumps(one)) for one in found]

    def create(self, manifest: Manifest) -> Manifest:
        body = {**manifest, "metadata": {"namespace": self.namespace, **manifest["metadata"]}}
        return json.loads(json.dumps(self._client.create(KINDS[body["apiVersion"], body["kind"]](body))))

    def patch(self, kind: tuple[str, str], name: str, body: Manifest, *, status: bool = False, manager: str = "a-person") -> Manifest:
        resource = KINDS[kind].Status if status else KINDS[kind]
        merge = self._client.patch(resource, name, body, namespace=self.namespace, field_manager=manager, patch_type=_MERGE)
        return json.loads(json.dumps(merge))

    def delete(self, kind: tuple[str, str], name: str) -> None:
        self._client.delete(KINDS[kind], name, namespace=self.namespace)

    # The things of the tests

    def secret(self, name: str, **data: str) -> None:
        self.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": RELEASED}, "stringData": data})

    def secrets(self) -> None:
        """The Secrets that `voiceassist` refers to."""
        self.secret("twilio", authToken=AUTH_TOKEN, apiKeySid=API_KEY, apiKeySecret=API_SECRET)
        self.secret("model", apiKey="key-not-to-be-logged")

    def assist(self, name: str = "support") -> Manifest:
        return self.get(VOICEASSIST, name)

    def condition(self, kind: str, name: str = "support") -> Manifest:
        return next(one for one in self.assist(name)["status"]["conditions"] if one["type"] == kind)

    def await_condition(self, kind: str, status: str, reason: str = "", name: str = "support", patience: float = PATIENCE) -> Manifest:
        def look() -> Manifest | None:
            found = self.condition(kind, name)
            assert (found["status"], reason or found["reason"]) == (status, found["reason"]), found
            return found

        return eventually(f"{kind} {status} {reason}", look, patience)

    def pods(self, name: str = "support") -> list[Manifest]:
        """Relay pods that are not being deleted, by name."""
        labels = {"app.kubernetes.io/name": "voiceassist-relay", "app.kubernetes.io/instance": name}
        found = [pod for pod in self.list(("v1", "Pod"), labels) if "deletionTimestamp" not in pod["metadata"]]
        return sorted(found, key=lambda pod: pod["metadata"]["name"])

    def await_pods(self, count: int, name: str = "support") -> list[Manifest]:
        return eventually(f"{count} pods", lambda: pods if len(pods := self.pods(name)) == count else None)


def _merge_type() -> Any:
    from lightkube.types import PatchType

    return PatchType.MERGE


_MERGE = _merge_type()


def voiceassist(name: str = "support", **spec: Any) -> Manifest:
    """An object; `spec` replaces parts of it at the top level. Nothing is to be made for it at Twilio."""
    twilio, service = shared()
    chosen = {
        "host": f"{name}.example.test",
        "twilio": {
            "accountSid": twilio.account_sid,
            "credentialsSecretRef": {"name": "twilio"},
            "sync": {"serviceSid": service},
            "flex": {"configure": False},
            "apiUrl": twilio.template,
        },
        "model": {"apiKeySecretRef": {"name": "model"}},
        "prompt": {"instructions": "You help."},
        "relay": {"drainTimeoutSeconds": 0},
        **spec,
    }
    return {"apiVersion": VOICEASSIST[0], "kind": VOICEASSIST[1], "metadata": {"name": name}, "spec": chosen}


class Relays:
    """What kubelet and relays would do: each pod gets an address on loopback, and `/status` there answers as the test says."""

    def __init__(self) -> None:
        self.answers: dict[str, Manifest] = {}
        self.asked: dict[str, int] = {}
        self._addresses: dict[str, str] = {}
        self._servers: list[ThreadingHTTPServer] = []
        self._free: list[str] = []
        relays = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                own = self.connection.getsockname()[0]
                relays.asked[own] = relays.asked.get(own, 0) + 1
                answer = relays.answers.get(own)
                body = json.dumps(answer).encode()
                self.send_response(200 if answer and self.path == "/status" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.port = self._listen(Handler)

    def _listen(self, handler: type[BaseHTTPRequestHandler], count: int = 12) -> int:
        addresses = [f"127.88.0.{number}" for number in range(1, count + 1)]
        while True:
            with socket.socket() as probe:
                probe.bind((addresses[0], 0))
                port = probe.getsockname()[1]
            try:
                for address in addresses:
                    self._servers.append(ThreadingHTTPServer((address, port), handler))
            except OSError:
                self.close()
                continue
            break
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._free = addresses
        return port

    def close(self) -> None:
        for server in self._servers:
            if self._free:
                server.shutdown()
            server.server_close()
        self._servers.clear()

    def start_all(self, cluster: Cluster, count: int, name: str = "support") -> list[str]:
        """Every pod of an object runs and reports the configuration that it was announced; gives their names."""
        pods = sorted(names(cluster.await_pods(count, name)))
        for pod in pods:
            self.start(cluster, eventually("pod annotated", lambda pod=pod: announced(cluster, pod)))
        return pods

    def start(self, cluster: Cluster, pod: Manifest, **fields: Any) -> str:
        """The pod runs, is ready and reports; gives its address."""
        name = pod["metadata"]["name"]
        address = self._addresses.setdefault(name, self._free[len(self._addresses) % len(self._free)])
        self.report(name, **{"configRevision": pod["metadata"]["annotations"].get(CONFIG, ""), **fields})
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        }
        cluster.patch(("v1", "Pod"), name, {"status": status}, status=True, manager="kubelet")
        return address

    def report(self, pod: str, **fields: Any) -> None:
        """What the pod's relay says of itself from now on."""
        address = self._addresses[pod]
        well = {"ok": True, "since": 1.0}
        before = self.answers.get(address) if (self.answers.get(address) or {}).get("pod") == pod else None
        blank = {
            "version": "0.1.0",
            "pod": pod,
            "configRevision": "",
            "promptRevisions": {},
            "activeCalls": 0,
            "maxCalls": 60,
            "draining": False,
            "ready": True,
            "model": well,
            "sync": well,
        }
        self.answers[address] = {**blank, **(before or {}), **fields}

    def hush(self, pod: str) -> None:
        """The relay answers no more."""
        self.answers.pop(self._addresses[pod], None)


class Operator:
    """The operator as a process."""

    def __init__(self, kubeconfig: Path, log: Path, *arguments: str, custom_endpoints: bool = True, at: Sequence[str] = ()) -> None:
        """`at` stands before the command. Unless they say otherwise it keeps its Lease on a machine that has much else to do."""
        self._log = log
        self._file = log.open("wb")
        consent = ["--allow-custom-endpoints"] if custom_endpoints else []
        self.process = subprocess.Popen(
            [*at, BIN, "run", "--metrics-port", "0", "--log-format", "json", "--lease-seconds", "90", *consent, *arguments],
            env={"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin"},
            stderr=self._file,
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def events(self, event: str) -> list[Manifest]:
        """Log lines with this event."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    def await_event(self, event: str, patience: float = PATIENCE) -> Manifest:
        def look() -> Manifest | None:
            assert self.process.poll() is None, f"the operator ended with {self.process.returncode}:\n{self.log[-3000:]}"
            return next(iter(self.events(event)), None)

        return eventually(f"log line {event!r}", look, patience)

    @property
    def port(self) -> int:
        return int(self.await_event("serving /metrics and /healthz")["port"])

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels, as they are written."""
        text = httpx2.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False).text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def stop(self, number: int = 15, patience: float = PATIENCE) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(patience)
        self._file.close()
        return code

    def kill(self) -> None:
        print(self.log[-20_000:])  # shown by pytest where a test failed
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


def announced(cluster: Cluster, pod: str) -> Manifest | None:
    """The pod, once a configuration was announced to it."""
    found = cluster.get(("v1", "Pod"), pod)
    return found if CONFIG in (found["metadata"].get("annotations") or {}) else None


def names(items: Sequence[Manifest]) -> set[str]:
    return {item["metadata"]["name"] for item in items}
