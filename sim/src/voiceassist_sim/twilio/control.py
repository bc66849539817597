"""The control API under ``/_sim``: what a test or the demo does to the simulated account, over HTTP and JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .account import Account
from .browser.control import browser_operations
from .control_admin import admin_operations
from .control_bodies import Handler, guarded, known, one_of, read_json
from .control_events import live_feed
from .control_settings import change_settings, settings_json
from .errors import TwilioError, bad_parameter
from .faults import FaultRule
from .streams.request import Recording
from .sync_model import Kind, SyncObject
from .taskrouter import Worker

if TYPE_CHECKING:
    from voiceassist_sim.audio import CallRecording

MAX_UPLOAD_BYTES = 64 << 20


def control_routes(account: Account) -> list[web.RouteDef]:
    """All operations; errors are Twilio's error body, or 400 with the same shape for a request that does not fit."""
    control = _Control(account)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/_sim/healthz", control.health),
        ("GET", "/_sim/account", control.account_facts),
        ("GET", "/_sim/calls", control.list_calls),
        ("POST", "/_sim/calls", control.create_call),
        ("POST", "/_sim/calls/{sid}/answer", control.answer_call),
        ("POST", "/_sim/calls/{sid}/complete", control.complete_call),
        ("POST", "/_sim/calls/{sid}/transfer", control.transfer),
        ("PUT", "/_sim/calls/{sid}/stream-faults", control.call_stream_faults),
        ("GET", "/_sim/workers", control.list_workers),
        ("POST", "/_sim/workers", control.add_worker),
        ("POST", "/_sim/workers/{sid}/token", control.flex_token),
        ("POST", "/_sim/flex-tokens/revoke", control.revoke_token),
        ("POST", "/_sim/reservations/{sid}", control.set_reservation),
        ("POST", "/_sim/tasks/{sid}", control.end_task),
        ("GET", "/_sim/streams", control.list_streams),
        ("GET", "/_sim/streams/{sid}", control.stream),
        ("GET", "/_sim/stream-faults", control.stream_faults),
        ("PUT", "/_sim/stream-faults", control.stream_faults),
        ("GET", "/_sim/sync", control.sync_dump),
        ("GET", "/_sim/sync/messages", control.sync_messages),
        ("GET", "/_sim/sync/{service}/view", control.sync_view),
        ("GET", "/_sim/requests", control.requests),
        ("POST", "/_sim/faults/release", control.release),
        ("GET", "/_sim/faults", control.faults),
        ("PUT", "/_sim/faults", control.faults),
        ("GET", "/_sim/settings", control.settings),
        ("PUT", "/_sim/settings", control.settings),
        ("GET", "/_sim/events", lambda request: live_feed(account, request)),
    ]
    table += admin_operations(account)
    table += browser_operations(account)
    return [*(web.route(method, path, guarded(handler)) for method, path, handler in table), web.route("*", "/_sim/{rest:.*}", _nothing)]


class _Control:
    def __init__(self, account: Account) -> None:
        self._account = account

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def account_facts(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "accountSid": self._account.account_sid,
                "apiKeys": list(self._account.credentials.keys),
                "workspaceSid": self._account.taskrouter.workspace_sid,
                "template": f"{request.scheme}://{request.host}/{{product}}",
            }
        )

    # Calls

    async def list_calls(self, _: web.Request) -> web.Response:
        account = self._account
        return web.json_response(
            {
                "calls": [
                    {
                        "callSid": call.sid,
                        "status": call.status,
                        "created": call.created,
                        "ended": call.ended,
                        "playing": call.began_playing is not None,
                        "seconds": len(call.recording.customer) / 8000,
                        "taskSid": account.task_of(call.sid),
                        "streams": [{"streamSid": sid, "name": one.order.name, "active": one.active} for sid, one in call.streams.items()],
                    }
                    for call in account.calls
                ]
            }
        )

    async def create_call(self, request: web.Request) -> web.Response:
        given = await read_json(request, limit=MAX_UPLOAD_BYTES)
        known(given, "recording", "worker", "status", "reservation", "playFrom", "hangUp", "attributes")
        hang_up = given.get("hangUp")
        if hang_up not in (None, "recording") and (isinstance(hang_up, bool) or not isinstance(hang_up, int | float) or hang_up < 0):
            raise bad_parameter("hangUp must be null, 'recording' or a number of seconds")
        attributes = given.get("attributes")
        if attributes is not None and not isinstance(attributes, dict):
            raise bad_parameter("attributes must be an object")
        created = self._account.create_call(
            await _recording(given.get("recording")),
            worker_sid=self._worker(given.get("worker")).sid,
            status=one_of(given, "status", "in-progress", "ringing", "queued"),
            reservation=one_of(given, "reservation", "accepted", "pending", "rejected", "timeout", "wrapping", "completed"),
            play_from="now" if one_of(given, "playFrom", "first-stream", "now") == "now" else "first-stream",
            hang_up=hang_up,
            attributes=attributes,
        )
        return web.json_response(created.as_json(), status=201)

    async def answer_call(self, request: web.Request) -> web.Response:
        self._account.answer_call(request.match_info["sid"])
        return web.json_response({})

    async def complete_call(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        known(given, "status")
        status = one_of(given, "status", "completed", "failed", "canceled", "no-answer", "busy")
        self._account.complete_call(request.match_info["sid"], status)
        return web.json_response({})

    async def transfer(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        known(given, "worker", "status")
        self._account.task_of(request.match_info["sid"])
        worker = self._worker(given.get("worker"))
        held = self._account.transfer(request.match_info["sid"], worker.sid, status=one_of(given, "status", "accepted", "pending"))
        return web.json_response(self._worker_json(worker) | {"reservationSid": held.sid}, status=201)

    # Workers

    async def list_workers(self, _: web.Request) -> web.Response:
        workers = self._account.taskrouter.workers.values()
        return web.json_response(
            {"workers": [{"workerSid": one.sid, "name": one.name, "identity": one.identity, "roles": list(one.roles)} for one in workers]}
        )

    async def add_worker(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        return web.json_response(self._worker_json(self._worker(given)), status=201)

    async def flex_token(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        known(given, "ttl", "withWorker")
        ttl = given.get("ttl", 3600)
        if isinstance(ttl, bool) or not isinstance(ttl, int | float):
            raise bad_parameter("ttl must be a number of seconds")
        token = self._account.flex_token(request.match_info["sid"], ttl=ttl, with_worker=bool(given.get("withWorker", True)))
        return web.json_response({"flexToken": token}, status=201)

    async def revoke_token(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        return web.json_response({"revoked": self._account.flex_tokens.revoke(str(given.get("token", "")))})

    async def set_reservation(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        self._account.set_reservation(request.match_info["sid"], str(given.get("status", "")))
        return web.json_response({})

    async def end_task(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        taskrouter = self._account.taskrouter
        status = one_of(given, "status", "wrapping", "completed", "canceled")
        taskrouter.end_task(taskrouter.task(request.match_info["sid"]), status, self._account.clock())
        return web.json_response({})

    # Streams

    async def list_streams(self, _: web.Request) -> web.Response:
        return web.json_response({"streams": self._account.streams.stats()})

    async def stream(self, request: web.Request) -> web.Response:
        stream = self._account.streams.get(request.match_info["sid"])
        if stream is None:
            raise TwilioError(404, 20404, "No such stream")
        return web.json_response(stream.stats)

    async def stream_faults(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            self._account.streams.faults.update(await read_json(request))
        return web.json_response(self._account.streams.faults.to_json())

    async def call_stream_faults(self, request: web.Request) -> web.Response:
        self._account.calls.get(request.match_info["sid"])
        faults = self._account.streams.faults_of(request.match_info["sid"])
        faults.update(await read_json(request))
        return web.json_response(faults.to_json())

    # Sync

    async def sync_dump(self, _: web.Request) -> web.Response:
        account = self._account
        rows = [_object_json(found) for _, found in account.sync.all_objects(account.clock())]
        services = [
            {"sid": one.sid, "friendlyName": one.friendly_name, "aclEnabled": one.acl_enabled} for one in account.sync.services.values()
        ]
        return web.json_response({"services": services, "objects": rows})

    async def sync_messages(self, request: web.Request) -> web.Response:
        return web.json_response({"messages": [one.as_json() for one in self._account.messages(request.query.get("stream"))]})

    async def sync_view(self, request: web.Request) -> web.Response:
        view = self._account.view(request.query.get("token", ""), request.match_info["service"])
        shown = {kind.word: view.read(kind, request.query[kind.word]) for kind in Kind if kind.word in request.query}
        return web.json_response(shown)

    # The rest

    async def release(self, _: web.Request) -> web.Response:
        return web.json_response({"released": self._account.holds.release()})

    async def requests(self, _: web.Request) -> web.Response:
        return web.json_response(self._account.journal.requests_json())

    async def faults(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            given = await read_json(request)
            known(given, "rules", "seed")
            rules = given.get("rules", [])
            if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
                raise bad_parameter("rules must be a list of objects")
            self._account.faults.set([FaultRule.of(rule) for rule in rules], int(given.get("seed", 0)))
        return web.json_response(self._account.faults.as_json() | {"held": self._account.holds.count})

    async def settings(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            change_settings(self._account, await read_json(request))
        return web.json_response(settings_json(self._account))

    # Inside

    def _worker(self, given: Any) -> Worker:
        if isinstance(given, str):
            return self._account.taskrouter.worker(given)
        given = given or {}
        if not isinstance(given, dict):
            raise bad_parameter("worker must be a worker's SID or an object")
        known(given, "name", "identity", "roles")
        roles = given.get("roles", ["agent"])
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise bad_parameter("roles must be a list of texts")
        return self._account.add_worker(given.get("name"), identity=given.get("identity"), roles=tuple(roles))

    def _worker_json(self, worker: Worker) -> dict[str, Any]:
        return {"workerSid": worker.sid, "identity": worker.identity, "flexToken": self._account.flex_token(worker.sid)}


def _object_json(found: SyncObject) -> dict[str, Any]:
    return {
        "service": found.service_sid,
        "kind": found.kind.word,
        "sid": found.sid,
        "uniqueName": found.unique_name,
        "data": found.data,
        "revision": found.revision,
        "expires": found.life.expires,
        "items": [{"key": item.key, "data": item.data} for item in found.items.values()],
        "permissions": [asdict(grant) for grant in found.permissions.values()],
    }


async def _recording(given: Any) -> Recording:
    """A recording from a path on this machine, or from ``{"wav": base64}``."""
    if isinstance(given, str):
        return await asyncio.to_thread(_load, Path(given))
    if not isinstance(given, dict) or not isinstance(given.get("wav"), str):
        raise bad_parameter("recording must be the path of a WAV file or {'wav': its bytes in base64}")
    try:
        content = base64.b64decode(given["wav"], validate=True)
    except binascii.Error:
        raise bad_parameter("recording.wav is not base64") from None
    return await asyncio.to_thread(_load_bytes, content)


def _load_bytes(content: bytes) -> CallRecording:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(content)
        file.flush()
        return _load(Path(file.name))


def _load(path: Path) -> CallRecording:
    from voiceassist_sim.audio import load_call  # noqa: PLC0415  # numpy is loaded only when a recording is

    return load_call(path)


async def _nothing(request: web.Request) -> web.StreamResponse:
    return web.json_response(TwilioError(404, 20404, f"No such control operation: {request.method} {request.path}").body(), status=404)
