"""The HTTP endpoints under ``/_sim`` by which tests read and drive a stand-in that runs in another process."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from .behaviour import BehaviourError
from .faults import FaultError
from .sessions import Sessions

MAX_CLOSE_CODE = 4999


def control_routes(held: Sessions) -> list[web.RouteDef]:
    """The routes for what a stand-in holds.

    * ``GET /healthz``
    * ``GET /_sim/sessions`` (``?kind=realtime|transcription``, ``?open=true``): ``{"sessions": […], "rejected": […]}``
    * ``GET /_sim/sessions/{id}`` and ``GET /_sim/sessions/{id}/audio`` (the raw bytes heard)
    * ``DELETE /_sim/sessions``: forget closed ones
    * ``GET``, ``PUT`` and ``DELETE /_sim/faults``; ``GET`` and ``PUT /_sim/behaviour``
    * ``POST /_sim/drop`` with ``{"session"?, "kind"?, "code"?}``: cut connections, or close them with a code
    """
    control = _Control(held)
    return [
        web.get("/healthz", control.health),
        web.get("/_sim/sessions", control.sessions),
        web.delete("/_sim/sessions", control.forget),
        web.get("/_sim/sessions/{id}", control.session),
        web.get("/_sim/sessions/{id}/audio", control.audio),
        web.get("/_sim/faults", control.faults),
        web.put("/_sim/faults", control.set_faults),
        web.delete("/_sim/faults", control.clear_faults),
        web.get("/_sim/behaviour", control.behaviour),
        web.put("/_sim/behaviour", control.set_behaviour),
        web.post("/_sim/drop", control.drop),
    ]


async def _body(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise web.HTTPBadRequest(text='{"error":"the body is no JSON"}', content_type="application/json") from None


def _error(text: str, status: int = 400) -> web.Response:
    return web.json_response({"error": text}, status=status)


class _Control:
    def __init__(self, held: Sessions) -> None:
        self._held = held

    async def health(self, _request: web.Request) -> web.Response:
        sessions = sum(session.open for session in self._held.sessions)
        return web.json_response({"status": "ok", "openSessions": sessions, "calls": len(self._held.calls)})

    async def sessions(self, request: web.Request) -> web.Response:
        kind, only_open = request.query.get("kind"), request.query.get("open") == "true"
        found = [
            session.to_json()
            for session in self._held.sessions
            if kind in (None, session.protocol.kind) and (session.open or not only_open)
        ]
        return web.json_response({"sessions": found, "rejected": self._held.rejected})

    async def session(self, request: web.Request) -> web.Response:
        session = self._held.session(request.match_info["id"])
        return _error("no such session", 404) if session is None else web.json_response(session.to_json())

    async def audio(self, request: web.Request) -> web.Response:
        session = self._held.session(request.match_info["id"])
        if session is None:
            return _error("no such session", 404)
        return web.Response(body=session.protocol.audio, headers={"x-audio-format": session.protocol.format_name})

    async def forget(self, _request: web.Request) -> web.Response:
        return web.json_response({"forgotten": self._held.forget()})

    async def faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._held.faults.to_json())

    async def set_faults(self, request: web.Request) -> web.Response:
        try:
            self._held.set_faults(await _body(request))
        except FaultError as error:
            return _error(str(error))
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._held.set_faults([])
        return await self.faults(request)

    async def behaviour(self, _request: web.Request) -> web.Response:
        return web.json_response(self._held.behaviour.to_json())

    async def set_behaviour(self, request: web.Request) -> web.Response:
        try:
            self._held.behaviour.change(await _body(request))
        except BehaviourError as error:
            return _error(str(error))
        return await self.behaviour(request)

    async def drop(self, request: web.Request) -> web.Response:
        wanted = await _body(request) if request.can_read_body else {}
        if not isinstance(wanted, dict) or wanted.keys() - {"session", "kind", "code"}:
            return _error("an object with session, kind and code (each optional) is expected")
        code = wanted.get("code")
        if code is not None and (not isinstance(code, int) or not 1000 <= code <= MAX_CLOSE_CODE):
            return _error(f"code lies between 1000 and {MAX_CLOSE_CODE}")
        return web.json_response({"dropped": self._held.drop(wanted.get("session"), kind=wanted.get("kind"), code=code)})
