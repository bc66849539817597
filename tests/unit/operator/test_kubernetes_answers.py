"""What proxies and balancers answer in place of the API server, over real sockets and the real client library: each is an OperatorError
with a delay, and only the API server itself says that something is not there."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from voiceassist_operator.controller.leader_election import LeaderElection
from voiceassist_operator.errors import OperatorError, Permanent, Retryable, UnknownKind
from voiceassist_operator.kubernetes.answers import (
    MAX_STATUS_BYTES,
    NO_SUCH_PATH,
    NOT_FOUND,
    NOT_FROM_THE_API,
    status_of,
    verb_and_resource,
)
from voiceassist_operator.kubernetes.client import Cluster
from voiceassist_operator.kubernetes.kinds import CONFIG_MAP, LEASE, POD_MONITOR, SECRET, VOICEASSIST, Ref
from voiceassist_operator.kubernetes.lease import LeaseTimes

JSON = "Content-Type: application/json"


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")).encode() + body


def api_status(code: int, reason: str, message: str = "it said so") -> bytes:
    return json.dumps(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
    ).encode()


PROXIES = {
    "empty 502 without a type": answer("502 Bad Gateway"),
    "empty 502 as JSON": answer("502 Bad Gateway", JSON),
    "empty 503 with a length only": answer("503 Service Unavailable", "Retry-After: 1"),
    "half of a JSON": answer("502 Bad Gateway", JSON, body=b'{"kind": "Sta'),
    "JSON that is no object": answer("502 Bad Gateway", JSON, body=b"[1]"),
    "JSON of somebody else": answer("500 Internal Server Error", JSON, body=b'{"error": {"code": 500}}'),
    "JSON with a Status of wrong types": answer(
        "500 Oops", JSON, body=b'{"kind":"Status","apiVersion":"v1","code":"x","message":{},"reason":[]}'
    ),
    "JSON without end": answer("500 Oops", JSON, body=b"[" * 40_000),
    "429 of priority and fairness": answer("429 Too Many Requests", JSON, "Retry-After: 1", body=api_status(429, "TooManyRequests")),
    "HTML": answer("502 Bad Gateway", "Content-Type: text/html", body=b"<html>nginx</html>"),
    "HTML 404": answer("404 Not Found", "Content-Type: text/html", body=b"<html>nginx</html>"),
    "empty 404": answer("404 Not Found"),
    "403 of a firewall": answer("403 Forbidden", "Content-Type: text/html", body=b"<html>blocked</html>"),
    "422 of somebody else": answer("422 Unprocessable", JSON, body=b"{}"),
    "a login page's 302": answer("302 Found", "Location: https://login.example/"),
    "401 without a type": answer("401 Unauthorized"),
    "bytes that are no gzip": answer("502 Bad Gateway", JSON, "Content-Encoding: gzip", body=b"no gzip"),
    "more than is read": answer("502 Bad Gateway", JSON, body=b" " * (MAX_STATUS_BYTES * 4)),
    "HTML 200": answer("200 OK", "Content-Type: text/html", body=b"<html>log in</html>"),
    "empty 200": answer("200 OK", JSON),
    "200 with null": answer("200 OK", JSON, body=b"null"),
    "200 with a list": answer("200 OK", JSON, body=b"[1, 2]"),
    "200 with another object": answer("200 OK", JSON, body=b'{"ok": true}'),
    "200 with items of another kind": answer("200 OK", JSON, body=b'{"items": [1], "metadata": {}}'),
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing at all": b"",
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
}
NOT_THERE = {
    "plain": answer("404 Not Found", JSON, body=api_status(404, "NotFound")),
    "with a charset": answer("404 Not Found", "Content-Type: application/json; charset=utf-8", body=api_status(404, "NotFound")),
    "without a type": answer("404 Not Found", body=api_status(404, "NotFound")),
    "gzip": answer("404 Not Found", JSON, "Content-Encoding: gzip", body=gzip.compress(api_status(404, "NotFound"))),
}
MANIFEST = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
LEASE_NOW = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"}}
VERBS: dict[str, Callable[[Cluster], Awaitable[object]]] = {
    "get": lambda cluster: cluster.get(VOICEASSIST, "a", "n"),
    "list": lambda cluster: cluster.list(SECRET, "n"),
    "apply": lambda cluster: cluster.apply(MANIFEST),
    "create": lambda cluster: cluster.create(MANIFEST),
    "replace": lambda cluster: cluster.replace(LEASE_NOW),
}
WITHOUT_AN_ANSWER: dict[str, Callable[[Cluster], Awaitable[object]]] = {
    "patch": lambda cluster: cluster.patch(CONFIG_MAP, "a", "n", {}),
    "delete": lambda cluster: cluster.delete(Ref(CONFIG_MAP, "a"), "n"),
}


class Proxy:
    """Answers every request with these bytes, and closes."""

    def __init__(self) -> None:
        self.answer: Callable[[str, bytes], bytes] = lambda _, __: b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length:")), 0)
            writer.write(self.answer(head, await reader.readexactly(length)))
            await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    made = Proxy()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": address, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "x", "user": {"token": "t"}}],
        }
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        yield made
        while CONNECTED:
            await CONNECTED.pop().close()


CONNECTED: list[Cluster] = []
"""Closed after each test."""


def connect() -> Cluster:
    CONNECTED.append(Cluster.connect(lambda: None))
    return CONNECTED[-1]


async def test_kubernetes_answers_watches_take_no_connection_away_from_passes(proxy: Proxy) -> None:
    over, watching = asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal watching
        await reader.readuntil(b"\r\n\r\n")
        watching += 1
        await over.wait()
        writer.close()

    watches = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.answer = lambda _, __: NOT_THERE["plain"]
    cluster = connect()
    url = f"http://127.0.0.1:{watches.sockets[0].getsockname()[1]}/api/v1/pods?watch=1"
    tasks = [asyncio.create_task(cluster.http.get(url, timeout=120.0)) for _ in range(100)]
    async with watches, asyncio.timeout(100):
        while watching < 100:
            await asyncio.sleep(0.01)
        assert await cluster.get(VOICEASSIST, "a", "n") is None
        over.set()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("given", PROXIES)
async def test_kubernetes_answers_every_answer_of_a_proxy_s_is_an_error_with_a_delay(proxy: Proxy, given: str) -> None:
    proxy.answer = lambda _, __: PROXIES[given]
    cluster = connect()
    verbs = VERBS if PROXIES[given].startswith(b"HTTP/1.1 200") else {**VERBS, **WITHOUT_AN_ANSWER}
    for verb, ask in verbs.items():
        with pytest.raises(OperatorError) as raised:
            await ask(cluster)
        assert type(raised.value) is Retryable, (verb, raised.value)
        assert 0 < raised.value.delay <= 30
        assert "nginx" not in str(raised.value) and "blocked" not in str(raised.value), "its words are not passed on"


@pytest.mark.parametrize("given", NOT_THERE)
async def test_kubernetes_answers_only_the_api_server_says_that_something_is_not_there(proxy: Proxy, given: str) -> None:
    proxy.answer = lambda _, __: NOT_THERE[given]
    cluster = connect()
    assert await cluster.get(VOICEASSIST, "a", "n") is None
    await cluster.patch(CONFIG_MAP, "a", "n", {})
    await cluster.delete(Ref(CONFIG_MAP, "a"), "n")


async def test_kubernetes_answers_what_the_api_server_refuses_is_told_in_its_words(proxy: Proxy) -> None:
    cluster = connect()
    proxy.answer = lambda _, __: answer(
        "422 Unprocessable Entity", "Content-Type: application/json; charset=utf-8", body=api_status(422, "Invalid")
    )
    with pytest.raises(Permanent, match="apply ConfigMap a: it said so"):
        await cluster.apply(MANIFEST)
    proxy.answer = lambda _, __: answer("404 Not Found", "Content-Type: text/plain; charset=utf-8", body=b"404 page not found\n")
    with pytest.raises(UnknownKind):
        await cluster.list(POD_MONITOR, "*")


async def test_kubernetes_answers_a_lease_outlives_what_a_balancer_answers_for_a_moment(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these answers comes once, between renewals that go well."""
    monkeypatch.setattr(LeaseTimes, "renew_every", 0.01)
    monkeypatch.setattr(LeaseTimes, "try_again", 0.01)
    lease = json.dumps({**LEASE_NOW, "spec": {}}).encode()
    bad = list(PROXIES.values())
    answered = renewals = 0

    def api(head: str, body: bytes) -> bytes:
        nonlocal answered, lease, renewals
        answered += 1
        if answered > 4 and answered % 3 == 0 and bad:
            return bad.pop()
        if head.startswith("PUT"):
            lease, renewals = body, renewals + 1
        return answer("200 OK", JSON, body=lease)

    proxy.answer = api
    cluster = connect()
    election = LeaderElection("a", "n", "me")
    await election.acquire(cluster)
    holding = asyncio.create_task(election.hold(cluster))
    begun = time.monotonic()
    while bad and not holding.done() and time.monotonic() - begun < 60:
        await asyncio.sleep(0.02)
    assert not bad, f"{len(bad)} answers were never given"
    before = renewals
    while renewals == before and not holding.done() and time.monotonic() - begun < 60:
        await asyncio.sleep(0.02)
    assert not holding.done(), "the Lease was given up"
    election.may_write()
    holding.cancel()


@pytest.mark.parametrize(
    ("code", "kind", "body", "reason"),
    [
        (404, "application/json", api_status(404, "NotFound"), NOT_FOUND),
        (404, "", api_status(404, "NotFound"), NOT_FOUND),
        (404, "text/plain; charset=utf-8", b"404 page not found\n", NO_SUCH_PATH),
        (502, "text/plain", b"404 page not found\n", NOT_FROM_THE_API),
        (404, "text/plain", b"no such service\n", NOT_FROM_THE_API),
        (500, "application/json", b"\xff\xfe", NOT_FROM_THE_API),
    ],
)
def test_kubernetes_answers_a_status_says_who_it_is_from(code: int, kind: str, body: bytes, reason: str) -> None:
    found = status_of(code, kind, body)
    assert (found["code"], found["reason"]) == (code, reason)


APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"


@pytest.mark.parametrize(
    ("method", "path", "query", "content_type", "told"),
    [
        ("GET", "/api/v1/namespaces/n/secrets/twilio", "", "", ("get", "secrets")),
        ("GET", "/api/v1/secrets", "limit=200", "", ("list", "secrets")),
        ("GET", "/apis/apps/v1/namespaces/n/deployments", "watch=1&resourceVersion=7", "", ("watch", "deployments")),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/a", "force=true", APPLY, ("apply", "deployments")),
        ("PATCH", "/apis/voiceassist.dev/v1alpha1/namespaces/n/voiceassists/a/status", "", MERGE, ("patch", "voiceassists/status")),
        ("POST", "/apis/events.k8s.io/v1/namespaces/n/events", "", "application/json", ("create", "events")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/n/leases/a", "", "application/json", ("update", "leases")),
        ("DELETE", "/api/v1/namespaces/n/configmaps/a", "", "", ("delete", "configmaps")),
    ],
)
def test_kubernetes_answers_requests_are_counted_by_verb_and_resource(
    method: str, path: str, query: str, content_type: str, told: tuple[str, str]
) -> None:
    assert verb_and_resource(method, path, query, content_type) == told


async def test_kubernetes_answers_a_write_whose_connection_breaks_is_sent_once(proxy: Proxy) -> None:
    """Whether it may be sent again, the Lease decides."""
    asked: list[str] = []

    def breaks(head: str, _: bytes) -> bytes:
        asked.append(head.split(" ", 1)[0])
        return b""

    proxy.answer = breaks
    for write in (WITHOUT_AN_ANSWER["delete"], VERBS["replace"]):
        with pytest.raises(Retryable):
            await write(connect())
    assert asked == ["DELETE", "PUT"]
