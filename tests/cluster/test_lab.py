"""The test cluster itself: what the other tests take for granted about it."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from typing import Any

import pytest

from cluster.greeting import deployment
from cluster.lab import CommandError, Lab
from cluster.lab.addresses import INGRESS_DOMAIN
from cluster.lab.images import DISTRIBUTIONS, image_name
from cluster.waiting import eventually


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
    eventually("two pods that are ready", lambda: len(pods(lab, namespace)) == 2)
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
    assert lab.kubectl(*inside, resolve, host).strip() == lab.first.ingress, "pods reach the ingress under its public name"
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


def test_what_is_read_is_what_kubectl_prints(lab: Lab, namespace: str) -> None:
    lab.apply(deployment("hello", 1), service("hello"), namespace=namespace)
    asked = [
        ("service", "hello", "-n", namespace),
        ("service/hello", "-n", namespace),
        ("namespace", namespace),
        ("crd",),
        ("ingressclass.networking.k8s.io",),
        ("svc,configmaps", "-n", namespace),
        ("services", "-n", namespace, "-l", "app=nobody-s"),
        ("services", "-A"),
        ("services",),
    ]
    for arguments in asked:
        printed = json.loads(lab.kubectl("get", *arguments, "-o", "json"))
        printed.pop("metadata" if printed["kind"] == "List" else "", None)  # of a list: nothing
        assert lab.get(*arguments) == printed, arguments
    for arguments in (("service", "bye", "-n", namespace), ("nothings",)):
        words = []
        for ask in (lambda arguments=arguments: lab.get(*arguments), lambda arguments=arguments: lab.kubectl("get", *arguments)):
            with pytest.raises(CommandError) as failed:
                ask()
            words.append(failed.value.stderr.strip().replace('"', "'"))
        assert words[0] == words[1]


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
