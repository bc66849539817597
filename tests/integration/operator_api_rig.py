"""An API server of few words for an operator as a process: it keeps what is written, tells it to those who watch, and answers oddly when it
is told to. What a real one refuses it does not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from voiceassist_crds import names

Manifest = dict[str, Any]
Odd = Callable[[web.Request], Awaitable[web.StreamResponse]]
GROUP = f"/apis/{names.GROUP}/{names.VERSION}"
_VERSION = {"groupVersion": f"{names.GROUP}/{names.VERSION}", "version": names.VERSION}
NAMESPACES = {
    "name": "namespaces",
    "singularName": "namespace",
    "kind": "Namespace",
    "namespaced": False,
    "verbs": ["get", "list", "watch"],
}
DISCOVERY: dict[str, Manifest] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [NAMESPACES]},
    "/apis": {"groups": [{"name": names.GROUP, "versions": [_VERSION], "preferredVersion": _VERSION}]},
}
ASSISTS = f"{GROUP}/namespaces/shop/{names.PLURAL}"


def merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    both = {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return {key: value for key, value in both.items() if value is not None}


class PlayedApi:
    """Objects by path, in one namespace."""

    def __init__(self) -> None:
        self.there: dict[str, Manifest] = {}
        self.odd: Odd | None = None
        """Answers in place of the API server; Leases apart."""
        self.answered_oddly = 0
        self._versions = itertools.count(100)
        self._watching: list[tuple[str, asyncio.Queue[Manifest]]] = []

    def put(self, path: str, item: Manifest) -> Manifest:
        """Stores an object, and tells of it."""
        before = self.there.get(path)
        place, _, name = path.rpartition("/")
        metadata = {"uid": f"uid-{name}", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z", **item.get("metadata", {})}
        metadata |= {"name": name, "namespace": "shop", "resourceVersion": f"{next(self._versions)}"}
        self.there[path] = {**item, "metadata": metadata}
        for watched, queue in self._watching:
            if watched == place:
                queue.put_nowait({"type": "MODIFIED" if before else "ADDED", "object": self.there[path]})
        return self.there[path]

    def put_assist(self, name: str) -> None:
        """A VoiceAssist that lacks its Secrets."""
        spec = {
            "host": f"{name}.example.com",
            "twilio": {"accountSid": "AC" + "0" * 32, "credentialsSecretRef": {"name": "twilio"}},
            "model": {"apiKeySecretRef": {"name": "model"}},
            "prompt": {"instructions": "You help."},
        }
        self.put(f"{ASSISTS}/{name}", {"apiVersion": f"{names.GROUP}/{names.VERSION}", "kind": names.KIND, "spec": spec})

    def reason(self, name: str) -> str:
        """Of the object's Ready; empty while there is none."""
        conditions = self.there[f"{ASSISTS}/{name}"].get("status", {}).get("conditions", [])
        return next((one["reason"] for one in conditions if one["type"] == "Ready"), "")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.odd is not None and "/leases" not in request.path:
            self.answered_oddly += 1
            return await self.odd(request)
        if "watch" in request.query:
            return await self.watch(request)
        return self.plain(request, await request.read())

    def plain(self, request: web.Request, body: bytes) -> web.Response:
        """What is right."""
        path = request.path.removesuffix("/status")
        if path in DISCOVERY:
            return web.json_response(DISCOVERY[path])
        if path == GROUP:
            named = {"name": names.PLURAL, "singularName": names.KIND.lower(), "kind": names.KIND, "shortNames": [], "categories": []}
            kinds = [{**named, "namespaced": True, "verbs": ["get", "list", "watch", "patch"]}]
            return web.json_response({"kind": "APIResourceList", "groupVersion": f"{names.GROUP}/{names.VERSION}", "resources": kinds})
        if request.method == "GET" and path in self.there:
            return web.json_response(self.there[path])
        if request.method == "GET" and path.rpartition("/")[0].endswith("/shop"):
            items = [item for at, item in self.there.items() if at.rpartition("/")[0] == path]
            selected = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
            items = [item for item in items if not selected or item["metadata"]["name"] == selected]
            return web.json_response({"kind": "List", "metadata": {"resourceVersion": f"{next(self._versions)}"}, "items": items})
        if request.method == "GET":
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}
            return web.json_response(status, status=404)
        given = json.loads(body)
        if request.method == "POST":
            metadata = given["metadata"]
            path += f"/{metadata.get('name') or metadata['generateName'] + str(next(self._versions))}"
        return web.json_response(self.put(path, given if request.method in {"POST", "PUT"} else merged(self.there.get(path, {}), given)))

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """All that is told from now on."""
        made, queue = web.StreamResponse(headers={"Content-Type": "application/json"}), asyncio.Queue[Manifest]()
        await made.prepare(request)
        self._watching.append((request.path, queue))
        since = int(request.query.get("resourceVersion") or 0)
        for at, item in self.there.items():
            if at.rpartition("/")[0] == request.path and int(item["metadata"]["resourceVersion"]) > since:
                queue.put_nowait({"type": "MODIFIED", "object": item})
        try:
            while True:
                await made.write(json.dumps(await queue.get()).encode() + b"\n")
        finally:
            self._watching.remove((request.path, queue))

    def cut(self) -> None:
        """Ends all watches."""
        for transport in self._transports():
            transport.close()

    def _transports(self) -> list[Any]:
        return [one.transport for one in (self._server.connections if self._server else []) if one.transport is not None]

    _server: web.Server | None = None


@contextlib.asynccontextmanager
async def played_api() -> AsyncIterator[tuple[PlayedApi, str]]:
    """One, and its address."""
    api = PlayedApi()
    app = web.Application(client_max_size=8 << 20)
    app.router.add_route("*", "/{path:.*}", api._answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    api._server = runner.server
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield api, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
