"""The test cluster itself: what the other tests take for granted about it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.lab import CommandError, Lab, LabError, keeper
from cluster.lab.addresses import INGRESS, INGRESS_DOMAIN
from cluster.lab.enclosure import Enclosure, reap
from cluster.lab.images import DISTRIBUTIONS, all_images, image_archive, image_name
from cluster.lab.lab import PATIENCE
from cluster.lab.places import REPOSITORY
from cluster.waiting import eventually

SERVER = "from http.server import *; import sys, socket\n" + (
    "class H(BaseHTTPRequestHandler):\n"
    "  def do_GET(self):\n"
    "    self.send_response(200); self.end_headers(); self.wfile.write(socket.gethostname().encode())\n"
    "ThreadingHTTPServer(('', 8080), H).serve_forever()\n"
)


def deployment(name: str, replicas: int = 2, image: str = image_name("sim")) -> dict[str, Any]:
    """A Deployment of one of our images that answers every request with its pod's name; pods spread over the nodes."""
    labels = {"app": name}
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", SERVER],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [spread],
        "containers": [container],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def ingress(name: str, host: str) -> dict[str, Any]:
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": {"rules": [rule]}}


def pods(lab: Lab, namespace: str) -> dict[str, str]:
    """The names of the ready pods, each with its node."""
    found = {}
    for pod in lab.get("pods", "-n", namespace)["items"]:
        ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"].get("conditions", []))
        if ready and "deletionTimestamp" not in pod["metadata"]:
            found[pod["metadata"]["name"]] = pod["spec"]["nodeName"]
    return found


def leftovers(name: str) -> list[str]:
    """What a cluster of this name has left: its folder, cgroups, mounts, and processes that work for it or in its namespaces."""
    left = [str(path) for path in Path("/tmp").glob(f"{name}*")]
    left += map(str, keeper.cgroups_named(name))
    left += [line for line in Path("/proc/mounts").read_text().splitlines() if name in line]
    mine = str(os.getpid())
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != mine:
            with contextlib.suppress(OSError):
                if name in (command := (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")):
                    left.append(f"process {process.name}: {command}")
    return left


def answer_through_ingress(lab: Lab, host: str, *, server_name: str | None = None) -> tuple[int, str]:
    """Status and body of GET https://host/ through Traefik, with the certificate verified."""
    context = ssl.create_default_context(cafile=str(lab.authority))
    connection = http.client.HTTPConnection(host)
    with socket.create_connection(("127.0.0.1", lab.ingress_port), timeout=60) as plain:
        connection.sock = context.wrap_socket(plain, server_hostname=server_name or host)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def test_the_nodes_are_ready_and_the_versions_agree(lab: Lab) -> None:
    ready = [c["status"] for node in lab.get("nodes")["items"] for c in node["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True", "True"]
    versions = json.loads(lab.kubectl("version", "-o", "json"))
    assert versions["serverVersion"]["gitVersion"] == versions["clientVersion"]["gitVersion"] != "v0.0.0-master+$Format:%H$"
    assert "WARNING" not in lab.helm("version", "--short")


def test_a_deployment_of_our_image_runs_as_nobody_on_a_read_only_file_system(lab: Lab, namespace: str) -> None:
    started = time.monotonic()
    lab.apply(deployment("hello"), namespace=namespace)
    lab.kubectl("rollout", "status", "deployment/hello", "-n", namespace, "--timeout=300s")
    print(f"two pods rolled out in {time.monotonic() - started:.1f} s")
    assert len(pods(lab, namespace)) == 2
    inside = ("exec", "-n", namespace, "deployment/hello", "--")
    assert lab.kubectl(*inside, "id", "-u").strip() == "10001"
    with pytest.raises(CommandError, match="Read-only file system"):
        lab.kubectl(*inside, "touch", "/opt/voiceassist/x")


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_an_image_holds_its_distribution_and_no_tools(lab: Lab, namespace: str, distribution: str) -> None:
    manifest = deployment("hello", 1, image_name(distribution))
    lab.apply(manifest, namespace=namespace)
    lab.kubectl("rollout", "status", "deployment/hello", "-n", namespace, "--timeout=300s")
    look = f"""
import compileall, importlib.metadata, importlib.util, pathlib, shutil, sys
name = "voiceassist_{distribution}"
module = pathlib.Path(importlib.util.find_spec(name).origin)
print(importlib.metadata.version(name), importlib.util.find_spec("pip"), shutil.which("gcc"), shutil.which("voiceassist-{distribution}"))
print(pathlib.Path(importlib.util.cache_from_source(str(module))).exists(), sys.flags.dont_write_bytecode)
"""
    first, second = lab.kubectl("exec", "-n", namespace, "deployment/hello", "--", "python3", "-c", look).splitlines()
    assert first == f"0.0.0 None None /opt/voiceassist/bin/voiceassist-{distribution}"
    assert second == "True 1"
    secrets = lab.kubectl(
        "exec", "-n", namespace, "deployment/hello", "--", "sh", "-c", "ls -A /run/secrets /build 2>/dev/null; env | grep -i pip || true"
    )
    assert secrets.strip() == "", "what the build was given is not part of the image"


def test_names_services_and_the_ingress_with_tls(lab: Lab, namespace: str) -> None:
    host = f"{namespace}.{INGRESS_DOMAIN}"
    lab.apply(deployment("hello"), service("hello"), ingress("hello", host), namespace=namespace)
    lab.kubectl("rollout", "status", "deployment/hello", "-n", namespace, "--timeout=300s")
    started = time.monotonic()
    eventually("an answer", lambda: answer_through_ingress(lab, host)[0] == 200)
    print(f"the ingress answers {time.monotonic() - started:.1f} s after the roll-out")
    names = set(pods(lab, namespace))
    eventually("requests for both pods", lambda: {answer_through_ingress(lab, host)[1] for _ in range(4)} == names)
    with pytest.raises(ssl.SSLCertVerificationError):
        answer_through_ingress(lab, host, server_name="elsewhere.example.com")

    get = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
    inside = ("exec", "-n", namespace, "deployment/hello", "--", "python3", "-c")
    # Until a node's kube-proxy knows of the pods, their Service refuses.
    eventually("an answer", lambda: lab.kubectl(*inside, get, f"http://hello.{namespace}.svc.cluster.local").strip() in names)
    eventually("an answer by the search list of resolv.conf", lambda: lab.kubectl(*inside, get, "http://hello").strip() in names)
    resolve = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
    assert lab.kubectl(*inside, resolve, host).strip() == INGRESS, "pods reach the ingress under its public name"
    with pytest.raises(CommandError, match="Name or service not known"):
        lab.kubectl(*inside, resolve, "api.example.com")
    connect = "import socket; socket.create_connection(('203.0.113.1', 443), 60)"
    with pytest.raises(CommandError, match="unreachable"):
        lab.kubectl(*inside, connect)


async def test_a_server_outside_is_reached_by_pods_only_where_it_is_exposed(lab: Lab, namespace: str) -> None:
    lab.apply(deployment("hello", 1), namespace=namespace)
    await asyncio.to_thread(lab.kubectl, "rollout", "status", "deployment/hello", "-n", namespace, "--timeout=300s")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())  # reads to the end: half-closed connections are carried too
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ip, exposed = lab.expose(port)
    ask = (
        "import socket, sys\ns = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60); s.sendall(b'x' * 300000); s.shutdown(1)\n"
        "print(len(b''.join(iter(lambda: s.recv(65536), b''))))"
    )
    inside = ("exec", "-n", namespace, "deployment/hello", "--", "python3", "-c", ask)
    async with server:
        assert (await asyncio.to_thread(lab.kubectl, *inside, ip, str(exposed))).strip() == "300000"
        with pytest.raises(CommandError, match="refused"):
            await asyncio.to_thread(lab.kubectl, *inside, ip, str(port if port != exposed else port + 1))
    with pytest.raises(CommandError, match="reset"):  # the server has ended: a pod sees that, and no silence
        await asyncio.to_thread(lab.kubectl, *inside, ip, str(exposed))


def test_the_audit_log_tells_who_asked_for_what(lab: Lab, namespace: str) -> None:
    kubeconfig = lab.outside_kubeconfig("somebody")
    kubectl = shutil.which("kubectl", path=lab.environment["PATH"])
    assert kubectl is not None
    done = subprocess.run(
        [kubectl, "--kubeconfig", kubeconfig, "get", "secrets", "-n", namespace], capture_output=True, text=True, check=False
    )
    assert 'User "somebody" cannot list resource "secrets"' in done.stderr
    found = [event for event in lab.audit_events("somebody") if event.get("objectRef", {}).get("resource") == "secrets"]
    assert [(event["verb"], event["objectRef"]["namespace"], event["annotations"]["authorization.k8s.io/decision"]) for event in found] == [
        ("list", namespace, "forbid")
    ]


def test_pods_that_break_the_restricted_standard_are_refused(lab: Lab, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "c", "image": image_name("sim")}]},
    }
    with pytest.raises(CommandError, match='violates PodSecurity "restricted'):
        lab.apply(pod, namespace=namespace)


def test_a_node_takes_over_when_the_other_is_drained(lab: Lab, namespace: str) -> None:
    lab.apply(deployment("hello"), service("hello"), namespace=namespace)
    lab.kubectl("rollout", "status", "deployment/hello", "-n", namespace, "--timeout=300s")
    by_node = {node: pod for pod, node in pods(lab, namespace).items()}
    assert set(by_node) == {"node0", "node1"}

    address = lab.get("pod", by_node["node1"], "-n", namespace)["status"]["podIP"]
    get = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
    across = lab.kubectl("exec", "-n", namespace, by_node["node0"], "--", "python3", "-c", get, f"http://{address}:8080")
    assert across.strip() == by_node["node1"], "pods talk across nodes"

    try:
        started = time.monotonic()
        lab.kubectl("drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
        eventually("both on one node", lambda: sorted(pods(lab, namespace).values()) == ["node0", "node0"])
        print(f"drained and moved in {time.monotonic() - started:.1f} s")
        assert by_node["node1"] not in pods(lab, namespace)
    finally:
        lab.kubectl("uncordon", "node1")


# Clusters of these tests' own: what is left when one ends, in order or not


@pytest.mark.needs_lab
def test_down_leaves_nothing() -> None:
    lab = Lab()
    with lab:
        lab.up(nodes=1)
        lab.load(*[image_archive(recipe) for recipe in all_images() if recipe.what == "sim-image"])
        lab.apply(deployment("hello", 1), namespace="default")
        lab.kubectl("rollout", "status", "deployment/hello", "--timeout=300s")
        name = lab.folder.name
        processes = set(lab.enclosure.processes())
        commands = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes}
        assert {"pause", "etcd", "kubelet", "containerd", "containerd-shim", "python3"} <= commands
        assert len(leftovers(name)) > 5, "the way to look for leftovers sees a cluster that is up"
    print(", ".join(f"{what}: {seconds:.1f} s" for what, seconds in lab.seconds.items()))
    assert leftovers(name) == []
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []
    assert not any(Path(folder).exists() for folder in ("/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/opt/containerd"))


_OWNER = "import sys, time; from cluster.lab import Lab; lab = Lab().control_plane_only(); print(lab.folder, flush=True); time.sleep(600)"


@pytest.fixture
def owner() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that has brought up a control plane, and the cluster's folder."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    with subprocess.Popen([sys.executable, "-c", _OWNER], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        try:
            yield process, folder
        finally:
            process.kill()


@pytest.mark.needs_lab
def test_a_cluster_ends_with_its_owner(owner: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = owner
    processes = set(Enclosure.read(folder).processes())
    assert len(processes) >= 3, "pause, etcd, the API server"
    process.kill()
    started = time.monotonic()
    eventually("nothing left", lambda: leftovers(folder.name) == [])
    print(f"gone {time.monotonic() - started:.1f} s after its owner was killed")
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.needs_lab
def test_the_next_run_removes_what_a_killed_keeper_has_left(owner: tuple[subprocess.Popen[str], Path]) -> None:
    _, folder = owner
    enclosure = Enclosure.read(folder)
    processes = set(enclosure.processes())
    assert folder.name not in reap(), "a cluster that is alive is left alone"
    os.kill(enclosure.keeper, signal.SIGKILL)
    eventually("their end", lambda: not [pid for pid in processes if Path(f"/proc/{pid}").exists()])
    assert folder.is_dir()
    assert keeper.cgroups_named(folder.name)
    assert folder.name in reap()
    assert leftovers(folder.name) == []


@pytest.mark.needs_lab
def test_what_does_not_come_up_says_why_and_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.lab.control_plane.AUDIT_POLICY", {"kind": "Nonsense"})
    lab = Lab()
    started = time.monotonic()
    with pytest.raises(LabError, match=r"(?s)the API server did not come up\n.*apiserver's log:\n.*[Aa]udit policy"):
        lab.control_plane_only()
    assert time.monotonic() - started < PATIENCE, "at once, not after the time limit"
    assert "down" in lab.seconds
