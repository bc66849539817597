"""What the path's tests stand on: the chart as a release, the stand-ins as pods, VoiceAssists, and what they tell."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from cluster.lab import Lab
from cluster.lab.addresses import INGRESS_DOMAIN, Family, bracketed
from cluster.lab.errors import CommandError
from cluster.lab.places import REPOSITORY
from cluster.lab.sandbox import ACCOUNT, AUTHORITY_SECRET, authority_secret, sync_service, with_our_images

CHART = REPOSITORY / "charts" / "voiceassist"
VALUES = REPOSITORY / "tests" / "cluster" / "values.yaml"
SANDBOX = REPOSITORY / "examples" / "sandbox.yaml"
Json = dict[str, Any]


def fetch(
    url: str, body: Any = None, *, method: str | None = None, form: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    """JSON from a server of the cluster. Raises OSError with the answer's text when it is no success."""
    data = form if form is not None else (None if body is None else json.dumps(body).encode())
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise OSError(f"{url}: {error.code} {error.read().decode(errors='replace')[:500]}") from None


def service_url(lab: Lab, namespace: str, service: str) -> str:
    """Where this machine reaches a Service."""
    spec = lab.get("service", service, "-n", namespace)["spec"]
    return f"http://127.0.0.1:{lab.forward(spec['clusterIP'], spec['ports'][0]['port'])}"


# The release


def helm_values(**values: Any) -> list[str]:
    """--set options for dotted names, given with a double underscore for the dot."""
    return [f"--set={key.replace('__', '.')}={json.dumps(value) if isinstance(value, bool) else value}" for key, value in values.items()]


@contextmanager
def released(lab: Lab, namespace: str, name: str = "voiceassist", **values: Any) -> Iterator[str]:
    """The chart installed with the helm command in a namespace that exists; uninstalled afterwards, when its objects are gone."""
    lab.apply(authority_secret(lab), namespace=namespace)
    arguments = [
        "-n",
        namespace,
        "--values",
        VALUES,
        f"--set=endpoint.caSecret={AUTHORITY_SECRET}",
        *helm_values(**values),
        "--wait",
        "--timeout",
        "10m",
    ]
    try:
        lab.helm("install", name, CHART, "--take-ownership", "--force-conflicts", *arguments)  # the CRD stays when a release goes
        yield name
        where = ["--all-namespaces"] if values.get("watch__allNamespaces") else ["-n", namespace]
        lab.kubectl("delete", "voiceassists", "--all", *where, "--timeout=300s")
    finally:
        lab.helm("uninstall", name, "-n", namespace, "--ignore-not-found", "--wait=false")


# The stand-ins


def sandbox_objects(authority: str, family: Family, *hosts: str) -> list[Json]:
    """The stand-ins of the example, whose streams come as Twilio's do: by TLS, through the ingress controller."""
    objects = with_our_images(SANDBOX.read_text().replace("--host=0.0.0.0", f'"--host={family.everywhere}"'))
    twilio = next(one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == "sandbox-twilio")
    pod = twilio["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["args"] = [one for one in container["args"] if not one.startswith("--connect-to")]
    container["args"] += [*(f"--connect-to={host}={bracketed(family.ingress)}:443" for host in hosts), "--ca=/etc/authority/ca.crt"]
    container["volumeMounts"] = [
        {"name": "authority", "mountPath": "/etc/authority", "readOnly": True},
        {"name": "recordings", "mountPath": "/tmp"},  # of calls whose recording comes with them
    ]
    pod["volumes"] = [{"name": "authority", "configMap": {"name": "authority"}}, {"name": "recordings", "emptyDir": {}}]
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}, "data": {"ca.crt": authority}}
    return [held, *objects]


@dataclass(frozen=True)
class Sandbox:
    """The two stand-ins in a namespace, as this machine reaches them."""

    namespace: str
    twilio: str
    model: str
    sync_service: str


def sandbox(lab: Lab, namespace: str, *hosts: str) -> Sandbox:
    """The stand-ins in a namespace, ready, with a Sync service."""
    lab.apply(*sandbox_objects(lab.authority.read_text(), lab.first, *hosts), namespace=namespace)
    for name in ("sandbox-twilio", "sandbox-openai"):
        lab.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=300s")
    twilio, model = service_url(lab, namespace, "sandbox-twilio"), service_url(lab, namespace, "sandbox-openai")
    return Sandbox(namespace, twilio, model, sync_service(lab, namespace))


# VoiceAssists


def host_of(namespace: str, name: str = "support") -> str:
    """A public name of the object's own, which leads to the ingress controller inside of the cluster."""
    return f"{name}-{namespace}.{INGRESS_DOMAIN}"


def voiceassist(place: Sandbox, name: str = "support", instructions: str = "Write what the agent can say next.", **relay: Any) -> Json:
    """A VoiceAssist for the stand-ins."""
    return {
        "apiVersion": "voiceassist.dev/v1alpha1",
        "kind": "VoiceAssist",
        "metadata": {"name": name, "namespace": place.namespace},
        "spec": {
            "host": host_of(place.namespace, name),
            "ingress": {"className": "traefik", "tlsSecretName": f"{name}-tls"},
            "twilio": {
                "accountSid": ACCOUNT,
                "credentialsSecretRef": {"name": "sandbox-twilio"},
                "sync": {"serviceSid": place.sync_service},
                "flex": {"configure": False},  # objects of several tests share the account
                "apiUrl": f"http://sandbox-twilio.{place.namespace}/{{product}}",  # for the operator, too, which may be elsewhere
            },
            "model": {
                "provider": "Compatible",
                "url": "ws://sandbox-openai/v1/realtime",
                "apiKeySecretRef": {"name": "sandbox-openai"},
                "check": "Session",  # what the stand-in hears is the calls' alone
            },
            "prompt": {"instructions": instructions},
            "relay": {
                "replicas": 1,
                "drainTimeoutSeconds": 5,
                "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
                **relay,
            },
        },
    }


def tls_secret(lab: Lab, name: str = "support") -> Json:
    """The object's certificate, signed by the cluster's authority: the one for every name below the ingress domain."""
    pair = lab.folder / "pki"
    data = {"tls.crt": (pair / "ingress.crt").read_text(), "tls.key": (pair / "ingress.key").read_text()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": f"{name}-tls"}, "stringData": data}


def put(lab: Lab, *objects: Json) -> None:
    """kubectl apply, in the objects' own namespaces."""
    lab.apply(*objects)


def condition(lab: Lab, namespace: str, kind: str = "Ready", name: str = "support") -> Json:
    """One condition of a VoiceAssist; empty before it is there."""
    found = lab.get("voiceassist", name, "-n", namespace).get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})


class Told(NamedTuple):
    """An event about a VoiceAssist."""

    seconds: float
    """Since the object was created."""
    type: str
    reason: str
    note: str


def events(lab: Lab, namespace: str, name: str = "support") -> list[Told]:
    """What `kubectl describe` would list of a VoiceAssist, in order."""
    created = _time(lab.get("voiceassist", name, "-n", namespace)["metadata"]["creationTimestamp"])
    found = lab.get("events.events.k8s.io", "-n", namespace)["items"]
    ours = [one for one in found if (one["regarding"]["kind"], one["regarding"]["name"]) == ("VoiceAssist", name)]
    return sorted(Told(_time(one["eventTime"]) - created, one["type"], one["reason"], one.get("note", "")) for one in ours)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def wait_ready(lab: Lab, namespace: str, name: str = "support", seconds: int = 300) -> None:
    """kubectl wait, as a user would; fails with what `kubectl describe` says."""
    try:
        lab.kubectl("wait", "--for=condition=Ready", f"voiceassist/{name}", "-n", namespace, f"--timeout={seconds}s")
    except CommandError as error:
        told = lab.kubectl("describe", f"voiceassist/{name}", "-n", namespace)
        pods = lab.kubectl("get", "pods", "-A", "-o", "wide")
        raise AssertionError(f"{error}\n{told}\n{pods}\n{operator_log(lab)}") from None


def operator_log(lab: Lab) -> str:
    """The last lines of every operator that runs."""
    lines = []
    for pod in lab.get("pods", "-A", "-l", "app.kubernetes.io/name=voiceassist-operator")["items"]:
        metadata = pod["metadata"]
        lines.append(lab.kubectl("logs", metadata["name"], "-n", metadata["namespace"], "--tail=30"))
    return "\n".join(lines)


def relay_pods(lab: Lab, namespace: str, name: str = "support") -> list[Json]:
    """The relay pods that are there to stay."""
    selector = f"app.kubernetes.io/name=voiceassist-relay,app.kubernetes.io/instance={name}"
    pods = lab.get("pods", "-n", namespace, "-l", selector)["items"]
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def status_urls(lab: Lab, namespace: str, name: str = "support") -> dict[str, str]:
    """Where each relay pod tells its state, by the pod's name."""
    found = {}
    for pod in relay_pods(lab, namespace, name):
        if ip := pod["status"].get("podIP"):
            found[pod["metadata"]["name"]] = f"http://127.0.0.1:{lab.forward(ip, 9090)}/status"
    return found


def starts(pods: list[Json]) -> dict[str, int]:
    """Pods by UID with the restarts of their containers: equal before and after means that nothing was restarted."""
    return {pod["metadata"]["uid"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", [])) for pod in pods}


def standing(lab: Lab, namespace: str, name: str = "support", *, ready: bool = True, instructions: str = "", **relay: Any) -> Sandbox:
    """Stand-ins and one VoiceAssist in a namespace that the release watches."""
    place = sandbox(lab, namespace, host_of(namespace, name))
    lab.apply(tls_secret(lab, name), namespace=namespace)
    body = voiceassist(place, name, **relay)
    if instructions:
        body["spec"]["prompt"]["instructions"] = instructions
    put(lab, body)
    if ready:
        wait_ready(lab, namespace, name)
    return place
