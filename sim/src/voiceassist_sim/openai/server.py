"""The stand-in as a server: accepts upgrades, and is driven over HTTP or as an object."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from multidict import CIMultiDict

from . import faults as fault_kinds
from .behaviour import Behaviour
from .catalog import MODELS
from .connection import Session, wall_ms
from .control import control_routes
from .faults import Faults, Kind
from .handshake import AZURE_PATH, OPENAI_PATH, Dialect, Rejected, check_key, judge
from .phrasebook import SampleCall, load_sample_calls
from .recogniser import Recogniser
from .schema import Json
from .session import Dependencies, RealtimeSession
from .sessions import Sessions

_SECRET_HEADERS: Final = frozenset({"authorization", "api-key", "x-api-key", "cookie", "sec-websocket-key", "sec-websocket-protocol"})
STOP_TIMEOUT_S: Final = 5.0


class RealtimeServer(Sessions):
    """A stand-in for the OpenAI Realtime API, as an async context manager.

    Serves ``/v1/realtime``, Azure's ``/openai/v1/realtime``, a compatible server's path if one is given, ``/v1/models`` (by which a key
    can be checked) and the control endpoints under ``/_sim``.

    Args:
        host: address to listen on.
        port: port, 0 for any free one.
        behaviour: settings; can be changed at any time.
        faults: what goes wrong; can be changed at any time.
        calls: the sample calls to recognise: None for those of the source tree, a folder, or calls that are loaded already.
        compatible_path: path of a compatible server, for example ``/api/realtime``.
        compatible_header: its header for the key (None: Authorization with Bearer).
        tls: certificate chain and key (PEM files) for wss.

    Raises:
        CallsError: the sample calls cannot be read.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        behaviour: Behaviour | None = None,
        faults: Faults | None = None,
        calls: Path | Iterable[SampleCall] | None = None,
        compatible_path: str | None = None,
        compatible_header: str | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        loaded = load_sample_calls(calls) if calls is None or isinstance(calls, Path) else list(calls)
        super().__init__(behaviour or Behaviour(), faults or Faults(), loaded)
        self._host, self._port = host, port
        self._tls = tls
        self._compatible_header = compatible_header
        self._dependencies = Dependencies(
            self.behaviour, self.faults, Recogniser(utterance for call in self.calls for utterance in call.utterances)
        )
        self._rng = random.Random(self.behaviour.seed)
        self._runner: web.AppRunner | None = None
        self._dialects = {OPENAI_PATH: Dialect.OPENAI, AZURE_PATH: Dialect.AZURE}
        if compatible_path is not None:
            self._dialects[compatible_path] = Dialect.COMPATIBLE

    # ------------------------------------------------------------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or a TLS file cannot be read.
        """
        app = web.Application(client_max_size=4 * 1024 * 1024)
        for path in self._dialects:
            app.router.add_get(path, self._upgrade)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{model}", self._models)
        app.router.add_get("/openai/v1/models", self._models)
        app.router.add_routes(control_routes(self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
        await self._runner.setup()
        context: ssl.SSLContext | None = None
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
        await web.TCPSite(self._runner, self._host, self._port, ssl_context=context, backlog=1024).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all sessions with 1001 and stop listening."""
        await asyncio.gather(*(session.close(1001, "The server is going away.") for session in self.sessions if session.open))
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The address for HTTP, ``http://host:port``."""
        return f"{'https' if self._tls else 'http'}://{self._authority}"

    @property
    def ws_url(self) -> str:
        """The address of OpenAI's path for a websocket client, without query."""
        return f"{'wss' if self._tls else 'ws'}://{self._authority}{OPENAI_PATH}"

    @property
    def _authority(self) -> str:
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    # ------------------------------------------------------------------------------------------------------------------- HTTP

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        dialect = self._dialects[request.path]
        kind = "transcription" if request.query.get("intent") == "transcription" else "realtime"
        for fault in self.faults.hit(fault_kinds.HANDSHAKE, kind, self._rng):
            if fault.kind is Kind.UNAUTHORIZED:
                return self._reject(request, Rejected(401, "invalid_api_key", "Incorrect API key provided."))
            if fault.kind is Kind.FORBIDDEN:
                return self._reject(request, Rejected(403, "unsupported_country_region_territory", "Access is not allowed."))
            return self._reject(request, Rejected(fault.status, fault.error_code, fault.message, fault.type))
        verdict = judge(dialect, CIMultiDict(request.headers), request.query, self.behaviour, auth_header=self._compatible_header)
        if isinstance(verdict, Rejected) and verdict.close_code is None:
            return self._reject(request, verdict)
        ws = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=self.behaviour.max_event_bytes, timeout=2.0, protocols=("realtime",)
        )
        if not ws.can_prepare(request).ok:
            return self._reject(request, Rejected(426, "upgrade_required", "This path takes websocket upgrades only."))
        await ws.prepare(request)
        if isinstance(verdict, Rejected):
            self._reject(request, verdict)
            await ws.send_json({"type": "error", "event_id": "event_refused", "error": {**verdict.body()["error"], "event_id": None}})
            await ws.close(code=verdict.close_code or 4000, message=f"{verdict.type}.{verdict.code}".encode())
            return ws
        rng = random.Random(self._rng.getrandbits(64))
        protocol = RealtimeSession(self._dependencies, verdict.ground, key=verdict.key, rng=rng, now_ms=wall_ms())
        session = Session(protocol, _about(request, dialect))
        await self.remember(session)
        await session.run(ws, request.transport, self.behaviour.session_seconds)
        return ws

    def _reject(self, request: web.Request, rejected: Rejected) -> web.Response:
        self.note_rejected({"path": request.path, "status": rejected.status, "code": rejected.code, "atMs": wall_ms()})
        return web.json_response(rejected.body(), status=rejected.status)

    async def _models(self, request: web.Request) -> web.Response:
        dialect = Dialect.AZURE if request.path.startswith("/openai/") else Dialect.OPENAI
        key = check_key(CIMultiDict(request.headers), request.query, dialect, None, self.behaviour)
        if isinstance(key, Rejected):
            return self._reject(request, key)
        models = [{"id": name, "object": "model", "created": 1_756_339_200, "owned_by": "openai"} for name in MODELS]
        wanted = request.match_info.get("model")
        if wanted is None:
            return web.json_response({"object": "list", "data": models})
        for model in models:
            if model["id"] == wanted:
                return web.json_response(model)
        return self._reject(request, Rejected(404, "model_not_found", f"The model '{wanted}' does not exist.", param="model"))


def _about(request: web.Request, dialect: Dialect) -> Json:
    headers = {name.lower(): "(secret)" if name.lower() in _SECRET_HEADERS else value for name, value in request.headers.items()}
    query = {name: "(secret)" if name.lower() in _SECRET_HEADERS else value for name, value in request.query.items()}
    return {"dialect": dialect.value, "path": request.path, "query": query, "headers": headers}
