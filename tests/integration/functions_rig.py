"""Relays reduced to their functions, on real sockets, against the Twilio stand-in, which dials them as Twilio would.

A relay here is the public app (the functions, and a media endpoint that does no more than let a verified stream in and write the
call's Document) and the private app (the routes for other relays).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI, WebSocket

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import call_document, suggestions_map
from voiceassist_crds.reasons import Refusal
from voiceassist_relay.auth import read_stream_token
from voiceassist_relay.call.background import Background
from voiceassist_relay.call.dependencies import FunctionDependencies, Timing
from voiceassist_relay.call.peer_relays import peer_router
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.functions.endpoints import install_json_errors
from voiceassist_relay.functions.router import Functions
from voiceassist_relay.interfaces import StreamClaims
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.sync.call_documents import CallDocuments, DocumentStore
from voiceassist_relay.sync.client import SyncClient
from voiceassist_relay.sync.document_rules import STARTING_SECONDS, ended, went_live
from voiceassist_relay.twilio.rest import TwilioRest
from voiceassist_relay.twilio.retry import RetryPolicy
from voiceassist_sim.audio import CallRecording
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.app import TwilioServer
from voiceassist_sim.twilio.sync_model import Kind

HOST = "assist.example.com"
PREFIX = "/voice"
REVISION = "abcd1234"
RECORDING = CallRecording(customer=b"\xff" * 8000 * 60, agent=None)
QUICK = Timing(
    ask=RetryPolicy(first=0.02, longest=0.05, attempts=3, longest_asked=0.05),
    follow=RetryPolicy(first=0.02, longest=0.2, attempts=6),
    joining_seconds=0.4,
    peer_seconds=1.0,
    stop_seconds=1.0,
    own_report_seconds=0.3,
    restart_seconds=(0.1, 0.1, 0.2),
    restart=RetryPolicy(first=0.02, longest=0.2, attempts=6),
    restarted_seconds=0.5,
    unknown_state_seconds=2.0,
)


class Clock:
    """Epoch seconds that a test may move forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class HeldCall:
    """A connected stream at a relay of the rig, and what it was told."""

    claims: StreamClaims
    stream_sid: str
    document: CallDocument
    told: list[str] = field(default_factory=list)

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def refresh(self) -> None:
        self.told.append("refresh")


class Held:
    """Implements LiveCalls."""

    def __init__(self) -> None:
        self.calls: dict[str, HeldCall] = {}
        self.over: set[str] = set()
        self.refusals: dict[str, Refusal] = {}

    def find(self, call_sid: str) -> HeldCall | None:
        return self.calls.get(call_sid)

    def refusal(self, call_sid: str) -> Refusal | None:
        return self.refusals.get(call_sid)

    def coming(self, call_sid: str) -> bool:
        return False

    def had(self, call_sid: str) -> bool:
        return call_sid in self.calls or call_sid in self.over


class _Server(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def serving(*apps: FastAPI) -> AsyncIterator[list[int]]:
    """Serves apps, each on a free port of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in apps]
    servers = [
        _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1, timeout_keep_alive=300))
        for app in apps
    ]
    tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in zip(servers, sockets, strict=True)]
    try:
        while not all(server.started for server in servers):
            await asyncio.sleep(0.005)
        yield [sock.getsockname()[1] for sock in sockets]
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)
        for sock in sockets:
            sock.close()


class Relay:
    """One relay of the rig."""

    def __init__(self, snapshot: Snapshot, http: aiohttp.ClientSession, clock: Clock, timing: Timing) -> None:
        self.snapshot = snapshot
        self.clock = clock
        self.metrics = RelayMetrics()
        self.metrics.use_revisions([REVISION])
        self.rest = TwilioRest(lambda: self.snapshot, self.metrics)
        self.sync = SyncClient(self.rest, lambda: self.snapshot, on_foreign=self.metrics.foreign_object)
        self.held = Held()
        self.background = Background()
        self.deps = FunctionDependencies(
            current=lambda: self.snapshot,
            rest=self.rest,
            sync=self.sync,
            calls=self.held,
            metrics=self.metrics,
            background=self.background,
            http=http,
            now=clock,
            timing=timing,
            peer_port=None,
        )
        self.functions = Functions(self.deps)
        self.http = http
        self.port = 0
        self.private_port = 0
        self.full = False
        self.silent_end = False
        """A relay that crashes: a stream's end is written nowhere."""
        self.slow_report = 0.0
        """Seconds that pass before a stream's end is written."""
        self.refused: list[str] = []
        self.connected = asyncio.Event()
        self.let_in: Callable[[], Awaitable[None]] | None = None
        self._sockets: dict[str, WebSocket] = {}

    @property
    def owner(self) -> str:
        return f"127.0.0.1:{self.private_port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        public, private = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
        public.include_router(self.functions.router())
        public.add_api_websocket_route("/{prefix:path}/ws/{call_sid}", self._media)
        install_json_errors(public)
        async with serving(public, private) as (self.port, self.private_port):
            self.deps = replace(self.deps, address=self.owner)
            private.include_router(peer_router(self.deps))
            try:
                yield self
            finally:
                await self.cut_all()
                await self.functions.aclose()
                await self.background.aclose(2.0)
                await self.rest.aclose()

    # what a browser and Twilio do

    async def request(self, method: str, path: str, **arguments: Any) -> tuple[int, dict[str, Any], Any]:
        """Status, JSON body ({} where there is none) and headers."""
        url = f"http://127.0.0.1:{self.port}{PREFIX}{path}"
        async with self.http.request(method, url, **arguments) as response:
            text = await response.text()
            kind = response.headers.get("content-type", "")
            return response.status, (await response.json() if text and kind.startswith("application/json") else {}), response.headers

    async def stream(self, action: str, call: CreatedCall, **changes: Any) -> tuple[int, dict[str, Any]]:
        body = {"action": action, "callSid": call.call_sid, "taskSid": call.task_sid, "Token": call.flex_token} | changes
        status, answer, _ = await self.request("POST", "/stream", json={k: v for k, v in body.items() if v is not None})
        return status, answer

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"voiceassist_relay_{name}", labels) or 0.0

    # media

    async def cut_all(self) -> None:
        for websocket in list(self._sockets.values()):
            with contextlib.suppress(RuntimeError):
                await websocket.close(1011)

    def hold_streams(self) -> asyncio.Event:
        """Streams connect and say `start`, but nothing is made of it until the event is set: nobody here ends them either."""
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        self.let_in = wait
        return gate

    async def _media(self, websocket: WebSocket, call_sid: str) -> None:
        if self.full:
            await websocket.close()  # before accept: the upgrade is refused
            return
        await websocket.accept()
        documents = CallDocuments(DocumentStore(self.sync, lambda: 3600, self.metrics), QUICK.ask)
        async for message in self._messages(websocket):
            if message["event"] != "start":
                continue
            start = message["start"]
            claims = read_stream_token(self.snapshot.secrets.auth_tokens, start["customParameters"]["token"], self.clock())
            assert (claims.call, start["callSid"]) == (call_sid, call_sid)
            if self.let_in is not None:
                await self.let_in()
            await self._live(documents, websocket, claims, start["streamSid"])
            return

    async def _live(self, documents: CallDocuments, websocket: WebSocket, claims: StreamClaims, stream_sid: str) -> None:
        def decide(found: CallDocument | None) -> CallDocument | None:
            assert found is not None
            after = went_live(found, self.owner, stream_sid, REVISION, generation=claims.generation)
            return after if isinstance(after, CallDocument) else None

        _, document = await documents.settle(claims.call, decide, lambda wanted: wanted)
        if document is None:
            self.refused.append(stream_sid)
            await websocket.close(1008)
            return
        held = self.held.calls[claims.call] = HeldCall(claims, stream_sid, document)
        self._sockets[stream_sid] = websocket
        self.connected.set()
        stopped = False
        async for message in self._messages(websocket):
            if message["event"] == "stop":
                stopped = True
                break
        if self.held.calls.get(claims.call) is held:
            del self.held.calls[claims.call]
        del self._sockets[stream_sid]
        await asyncio.sleep(self.slow_report)
        if not self.silent_end:
            await documents.settle(
                claims.call,
                lambda found: None if found is None else ended(found, not stopped, 3, generation=claims.generation),
                lambda wanted: wanted,
            )
        with contextlib.suppress(RuntimeError):
            await websocket.close()

    async def _messages(self, websocket: WebSocket) -> AsyncIterator[dict[str, Any]]:
        with contextlib.suppress(Exception):
            while True:
                yield await websocket.receive_json()


class Rig:
    """The stand-in and some relays behind one public name."""

    def __init__(self, twilio: TwilioServer, relays: list[Relay], clock: Clock) -> None:
        self.twilio = twilio
        self.relays = relays
        self.clock = clock
        self.service = relays[0].snapshot.config.twilio.sync_service_sid
        self.route_to(relays[0])

    def route_to(self, relay: Relay | None) -> None:
        """Lets the public name lead to this relay; None: nothing listens there, for streams and for callbacks."""
        if relay is None:
            self.twilio.connect_to.pop(HOST, None)
        else:
            self.twilio.connect_to[HOST] = ("127.0.0.1", relay.port)

    def call(self, **arguments: Any) -> CreatedCall:
        return self.twilio.create_call(RECORDING, **arguments)

    def document(self, call_sid: str) -> CallDocument | None:
        found = self._find(Kind.DOCUMENT, call_document(call_sid))
        return None if found is None else CallDocument.model_validate({name: value for name, value in found.data.items() if name != "mac"})

    def store(self, call_sid: str, document: CallDocument) -> None:
        """Writes a Document as another relay might have."""
        sync, service = self.twilio.sync, self.twilio.sync.service(self.service)
        now = self.twilio.clock()
        found = self._find(Kind.DOCUMENT, call_document(call_sid)) or sync.create(
            service, Kind.DOCUMENT, now, unique_name=call_document(call_sid)
        )
        found.data = document.model_dump(mode="json", by_alias=True)
        found.touch(now)

    def raw_document(self, call_sid: str) -> Any:
        """The stand-in's own object, to be spoilt."""
        return self._find(Kind.DOCUMENT, call_document(call_sid))

    def streams(self, call_sid: str, *, active: bool = True) -> list[str]:
        """Names of the call's streams at Twilio, the oldest first."""
        streams = self.twilio.calls.get(call_sid).streams.values()
        return [str(stream.order.name) for stream in streams if stream.active or not active]

    def status_item(self, call_sid: str) -> dict[str, Any] | None:
        found = self._find(Kind.MAP, suggestions_map(call_sid))
        if found is None or "status" not in found.items:
            return None
        data: dict[str, Any] = found.items["status"].data
        return data

    def readers(self, call_sid: str) -> set[str]:
        """Identities that may read the call's Map."""
        found = self._find(Kind.MAP, suggestions_map(call_sid))
        return set() if found is None else {identity for identity, permission in found.permissions.items() if permission.read}

    def asked(self, method: str, part: str) -> int:
        """How often the stand-in was asked."""
        return sum(1 for entry in self.twilio.journal.requests() if entry.method == method and part in entry.path)

    async def idle(self) -> None:
        """Waits until no relay works in the background."""
        for relay in self.relays:
            await relay.background.idle()

    def _find(self, kind: Kind, name: str) -> Any:
        service = self.twilio.sync.service(self.service)
        sid = service.names.get((kind, name))
        return None if sid is None else service.objects.get(sid)


def configuration(twilio: TwilioServer, service: str, **changes: Any) -> RelayConfig:
    data: dict[str, Any] = {
        "host": HOST,
        "pathPrefix": PREFIX,
        "twilio": {"accountSid": twilio.account_sid, "syncServiceSid": service, "apiUrl": twilio.template},
        "prompts": [{"instructions": "Help the agent."}],
    }
    for path, value in changes.items():
        here = data
        *parents, last = path.split("__")
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return RelayConfig.model_validate(data).with_revisions()


@contextlib.asynccontextmanager
async def rigged(relays: int = 1, *, timing: Timing = QUICK, **changes: Any) -> AsyncIterator[Rig]:
    """A rig with so many relays; `changes` are fields of the configuration, as in `twilio__legacyStream=True`."""
    clock = Clock()
    async with contextlib.AsyncExitStack() as stack:
        twilio = await stack.enter_async_context(TwilioServer(clock=clock))
        service = twilio.sync.create_service(clock())
        service.acl_enabled = True
        sid, secret = twilio.api_key
        secrets = Secrets(auth_token=twilio.credentials.auth_token, api_key_sid=sid, api_key_secret=secret)
        snapshot = Snapshot(configuration(twilio, service.sid, **changes), secrets)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        made = [await stack.enter_async_context(Relay(snapshot, http, clock, timing).running()) for _ in range(relays)]
        yield Rig(twilio, made, clock)


def starting(call: CreatedCall, rig: Rig, **changes: object) -> CallDocument:
    fields = {
        "state": CallState.STARTING,
        "generation": 1,
        "stream_name": f"assist_{call.call_sid}",
        "sync_stream": f"FLEX_ASSIST_{call.call_sid}_x",
        "deadline": rig.clock() + STARTING_SECONDS,
        "worker": call.worker_sid,
        "identity": call.identity,
    }
    return CallDocument.model_validate(fields | changes)
