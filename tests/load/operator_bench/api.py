"""An API server that is played: objects with versions, generations and owners of fields, listings, watches and server-side apply.

One namespace. It costs a fraction of a real one's CPU, so an operator's own costs show; what it refuses, and how fast it is, says nothing
of a real one. A Deployment's pod is there at once, and runs when its configuration was announced to it; its relay answers.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from voiceassist_operator.kubernetes.kinds import KINDS, MANAGER, OPTIONAL, Kind

Item = dict[str, Any]
CONFIG = "voiceassist.dev/config-revision"
COUNTED = {"deployments", "voiceassists"}
"""Kinds that count generations."""
PLURALS = {kind.plural: kind for kind in KINDS if kind not in OPTIONAL}
WELL = {"ok": True, "since": 1.0}
HISTORY = 20_000
"""Events of one kind that a watch may go back to."""


def fields(value: Any) -> Item:
    """As the API server says it of what was applied, lists as a whole."""
    return {f"f:{key}": fields(one) for key, one in value.items()} if isinstance(value, dict) else {}


def merged(old: Any, new: Any) -> Any:
    """A merge patch."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    both = {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return {key: value for key, value in both.items() if value is not None}


def _selects(query: Mapping[str, str]) -> Callable[[Item], bool]:
    labels = [one for one in query.get("labelSelector", "").split(",") if one]
    wanted = [one for one in query.get("fieldSelector", "").split(",") if one]

    def of(item: Item) -> bool:
        there = item["metadata"].get("labels") or {}
        for one in labels:
            key, sign, value = one.partition("!=") if "!=" in one else one.partition("=")
            if (not sign and key not in there) or (sign == "=" and there.get(key) != value) or (sign == "!=" and there.get(key) == value):
                return False
        for one in wanted:
            key, _, value = one.partition("=")
            if (item["metadata"]["name"] if key == "metadata.name" else item.get(key)) != value:
                return False
        return True

    return of


class PlayedApi:
    """The server; `await start()`, then `url` and `relay_port`."""

    def __init__(self, namespace: str = "team") -> None:
        self.namespace = namespace
        self.there: dict[str, dict[str, Item]] = {plural: {} for plural in PLURALS}
        self.asked: Counter[tuple[str, str, str]] = Counter()
        """Requests by user agent's kind ("kopf" or not), verb and resource."""
        self.changed: Callable[[str, Item], None] = lambda _plural, _item: None
        """Told of each object that was written."""
        self._events: dict[str, list[tuple[int, str, Item]]] = {plural: [] for plural in PLURALS}
        self._news: dict[str, asyncio.Event] = {}
        self._version = itertools.count(100)
        self._now = 100
        self._addresses: dict[str, str] = {}
        self._revisions: dict[str, str] = {}
        self._runners: list[web.AppRunner] = []
        self.url = ""
        self.relay_port = 0

    async def start(self) -> None:
        self._news = {plural: asyncio.Event() for plural in PLURALS}
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        relays = web.Application()
        relays.router.add_get("/status", self._status)
        ports = []
        for one, host in ((app, "127.0.0.1"), (relays, "0.0.0.0")):
            runner = web.AppRunner(one, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, host, 0).start()
            self._runners.append(runner)
            ports.append(runner.addresses[0][1])
        self.url, self.relay_port = f"http://127.0.0.1:{ports[0]}", ports[1]

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    def kubeconfig(self) -> str:
        return json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": self.url}}],
                "users": [{"name": "x", "user": {"token": "t"}}],
            }
        )

    # Objects

    def put(self, plural: str, item: Item, kind: str = "") -> Item:
        """Stores an object as somebody left it."""
        name = item["metadata"]["name"]
        before = self.there[plural].get(name)
        self._now = next(self._version)
        content = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
        changed = before is None or any(before.get(key) != value for key, value in content.items())
        generation = ((before or {"metadata": {}})["metadata"].get("generation") or 0) + changed
        made = {
            "uid": f"uid-{plural}-{self._now}",
            "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **item["metadata"],
            "namespace": self.namespace,
            "resourceVersion": str(self._now),
            **({"generation": generation} if plural in COUNTED else {}),
        }
        of = PLURALS[plural]
        stored = {"apiVersion": of.api_version, "kind": of.name, **item, "metadata": made}
        self.there[plural][name] = stored
        self._tell(plural, "ADDED" if before is None else "MODIFIED", stored)
        if plural == "deployments" and before is None:
            self._make_pod(stored)
        if plural == "pods":
            self._run_pod(stored)
        self.changed(plural, stored)
        return stored

    def remove(self, plural: str, name: str) -> None:
        item = self.there[plural].pop(name, None)
        if item is not None:
            self._now = next(self._version)
            self._tell(plural, "DELETED", {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._now)}})

    def _tell(self, plural: str, what: str, item: Item) -> None:
        self._events[plural].append((self._now, what, item))
        if len(self._events[plural]) > HISTORY:
            del self._events[plural][: HISTORY // 2]
        news, self._news[plural] = self._news[plural], asyncio.Event()
        news.set()

    def _make_pod(self, deployment: Item) -> None:
        labels, name = deployment["spec"]["template"]["metadata"]["labels"], f"{deployment['metadata']['name']}-1"
        number = len(self._addresses)
        self._addresses[name] = f"127.88.{number // 250}.{number % 250 + 1}"
        self.put("pods", {"metadata": {"name": name, "labels": labels}, "status": {"phase": "Pending"}})

    def _run_pod(self, pod: Item) -> None:
        name = pod["metadata"]["name"]
        address, revision = self._addresses[name], (pod["metadata"].get("annotations") or {}).get(CONFIG, "")
        self._revisions[address] = revision
        if (pod.get("status") or {}).get("podIP") or not revision:
            return
        conditions = [{"type": "Ready", "status": "True"}]
        self.put("pods", {**pod, "status": {"phase": "Running", "podIP": address, "conditions": conditions}})
        counts = {"readyReplicas": 1, "updatedReplicas": 1, "replicas": 1, "observedGeneration": 1}
        deployment = self.there["deployments"][name.removesuffix("-1")]
        self.put("deployments", {**deployment, "status": counts})

    async def _status(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        revision = self._revisions.get(request.transport.get_extra_info("sockname")[0], "")
        said = {"configRevision": revision, "promptRevisions": {}, "pod": "", "version": "0", "activeCalls": 0, "maxCalls": 60}
        return web.json_response({**said, "draining": False, "ready": True, "model": WELL, "sync": WELL})

    # Requests

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        if len(parts) <= (1 if parts[0] == "api" else 2) or parts[-1] in {"v1", "v1alpha1"}:
            return self._discovery(parts)
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        if parts[0] == "namespaces" and len(parts) > 2:
            parts = parts[2:]
        plural, name, sub = parts[0], parts[1] if len(parts) > 1 else "", parts[2] if len(parts) > 2 else ""
        if plural == "namespaces":
            metadata = {"name": self.namespace, "uid": "uid", "resourceVersion": "1"}
            return web.json_response({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})
        if plural not in PLURALS:
            return web.Response(status=404, text="404 page not found\n")
        watch = request.query.get("watch") in {"1", "true"}
        verb = {"GET": "get" if name else "watch" if watch else "list", "POST": "create", "PUT": "update", "DELETE": "delete"}
        who = "kopf" if "kopf" in request.headers.get("User-Agent", "") else ""
        self.asked[who, verb.get(request.method, "patch"), f"{plural}/{sub}" if sub else plural] += 1
        if watch:
            return await self._watch(request, plural)
        if request.method == "GET" and not name:
            return self._list(request, plural)
        body = json.loads(await request.read() or b"{}")
        return self._one(request, plural, name, sub, body)

    def _one(self, request: web.Request, plural: str, name: str, sub: str, body: Item) -> web.Response:
        before = self.there[plural].get(name)
        if request.method == "POST":
            metadata = body["metadata"]
            metadata.setdefault("name", f"{metadata.pop('generateName', '')}{next(self._version)}")
            if plural == "events":
                return web.json_response({**body, "metadata": {**metadata, "resourceVersion": "1"}}, status=201)
            if metadata["name"] in self.there[plural]:
                return self._refusal(409, "AlreadyExists")
            return web.json_response(self.put(plural, body), status=201)
        if request.method == "PATCH" and "apply" in request.headers["Content-Type"]:
            return self._apply(plural, name, before, body)
        if before is None:
            return self._refusal(404, "NotFound")
        if request.method == "GET":
            return web.json_response(before)
        if request.method == "PUT":
            if body["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
                return self._refusal(409, "Conflict")
            return web.json_response(self.put(plural, body))
        if request.method == "DELETE":
            self.remove(plural, name)
            return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        return web.json_response(self.patch(plural, name, {"status": body["status"]} if sub else body))

    def patch(self, plural: str, name: str, body: Item) -> Item:
        """A merge patch; one that changes nothing makes no version."""
        before = self.there[plural][name]
        item = merged(before, body)
        return before if item == before else self.put(plural, item)

    def _apply(self, plural: str, name: str, before: Item | None, body: Item) -> web.Response:
        given = body["metadata"]
        if before is None and "uid" in given:
            return self._refusal(409, "Conflict")
        if before is not None and any(
            given.get(key, before["metadata"][key]) != before["metadata"][key] for key in ("uid", "resourceVersion")
        ):
            return self._refusal(409, "Conflict")
        manifest = {**body, "metadata": {key: value for key, value in given.items() if key != "resourceVersion"}}
        item = merged(copy.copy(before or {}), manifest)
        managed = fields({key: value for key, value in manifest.items() if key not in {"apiVersion", "kind"}})
        for key in ("f:name", "f:namespace", "f:uid"):
            managed["f:metadata"].pop(key, None)
        entry = {"manager": MANAGER, "operation": "Apply", "fieldsV1": managed}
        item = {**item, "metadata": {**item["metadata"], "managedFields": [entry]}}
        return web.json_response(before if item == before else self.put(plural, item))

    def _list(self, request: web.Request, plural: str) -> web.Response:
        selected = _selects(request.query)
        items = sorted((one for one in self.there[plural].values() if selected(one)), key=lambda one: str(one["metadata"]["name"]))
        begin, limit = int(request.query.get("continue") or 0), int(request.query.get("limit") or 100_000)
        metadata = {"resourceVersion": str(self._now)}
        if begin + limit < len(items):
            metadata["continue"] = str(begin + limit)
        form = _form(request)
        of = PLURALS[plural]
        page = [form(one) for one in items[begin : begin + limit]]
        return web.json_response({"kind": f"{of.name}List", "apiVersion": of.api_version, "metadata": metadata, "items": page})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        selected, form = _selects(request.query), _form(request)
        at = int(request.query.get("resourceVersion") or self._now)
        until = time.monotonic() + float(request.query.get("timeoutSeconds") or 3600)
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        while time.monotonic() < until:
            news, events = self._news[plural], self._events[plural]
            begin = len(events)
            while begin and events[begin - 1][0] > at:
                begin -= 1
            due = [{"type": what, "object": form(item)} for _, what, item in events[begin:] if selected(item)]
            at = events[-1][0] if events else at
            if due:
                if request.transport is None or request.transport.is_closing():
                    break
                await answer.write(b"".join(json.dumps(one).encode() + b"\n" for one in due))
                continue
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await news.wait()
            except TimeoutError:
                break
        return answer

    def _refusal(self, code: int, reason: str) -> web.Response:
        return web.json_response({"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": reason}, status=code)

    def _discovery(self, parts: list[str]) -> web.Response:
        if parts == ["api"]:
            return web.json_response({"kind": "APIVersions", "versions": ["v1"]})
        groups = {kind.group for kind in PLURALS.values() if kind.group}
        if parts == ["apis"]:
            versions = {group: next(kind.version for kind in PLURALS.values() if kind.group == group) for group in groups}
            found = [
                {"name": group, "versions": [{"groupVersion": f"{group}/{one}", "version": one}], "preferredVersion": {"version": one}}
                for group, one in versions.items()
            ]
            return web.json_response({"kind": "APIGroupList", "groups": found})
        group = "" if parts[0] == "api" else parts[1]
        of = [kind for kind in PLURALS.values() if kind.group == group]
        resources = [_resource(kind) for kind in of]
        if not group:
            resources.append({**resources[0], "name": "namespaces", "singularName": "namespace", "kind": "Namespace", "namespaced": False})
        return web.json_response({"kind": "APIResourceList", "groupVersion": "/".join(parts[1:]), "resources": resources})


def _resource(kind: Kind) -> Item:
    verbs = ["get", "list", "watch", "create", "patch", "delete", "update"]
    return {"name": kind.plural, "singularName": kind.name.lower(), "kind": kind.name, "namespaced": True, "verbs": verbs}


def _form(request: web.Request) -> Callable[[Item], Item]:
    if "PartialObjectMetadata" not in request.headers.get("Accept", ""):
        return lambda item: item
    return lambda item: {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
