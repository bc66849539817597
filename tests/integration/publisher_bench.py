"""Calls' publishers against the Twilio stand-in over real sockets, for the tests of this folder."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.messages import AssistState, CallDocument, CallState, StatusReason
from voiceassist_crds.names import STATUS_KEY, CallSid, call_document, stream_name, suggestions_map
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.interfaces import FinishedSuggestion, TurnTiming
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.peer_health import PeerHealth
from voiceassist_relay.sync.call_objects import Owner
from voiceassist_relay.sync.client import SyncClient
from voiceassist_relay.sync.health import SyncHealth
from voiceassist_relay.sync.publisher import CallPublisher
from voiceassist_relay.twilio.rest import TwilioRest
from voiceassist_sim.twilio.app import TwilioServer
from voiceassist_sim.twilio.sync_model import Kind, SyncObject

TTL = 900
REVISION = "r1r1r1"
_numbers = itertools.count(1)


def quick() -> float:
    """Chance for backoff: a tenth of the longest wait, so that tests are quick."""
    return 0.1


class Front:
    """A TCP front before the stand-in that can be taken away and put back: refused connections, and cut ones."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def back(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def away(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, inner_writer}
        try:
            await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        finally:
            self._writers -= {writer, inner_writer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


class Bench:
    """The stand-in, one relay's client of it, and what both saw."""

    def __init__(self, twilio: TwilioServer, template: str, timeout: float | None, **config: Any) -> None:
        self.twilio = twilio
        self.service = twilio.sync.create_service(time.time())
        self.metrics = RelayMetrics()
        self.metrics.use_revisions([REVISION])
        sid, secret = twilio.api_key
        self.secrets = Secrets(api_key_sid=sid, api_key_secret=secret)
        document = {
            "host": "assist.example.com",
            "twilio": {
                "accountSid": twilio.account_sid,
                "syncServiceSid": self.service.sid,
                "apiUrl": template,
                "syncTtlSeconds": TTL,
            },
            "prompts": [{"instructions": "Help."}],
            **config,
        }
        self.snapshot = Snapshot(RelayConfig.parse(json.dumps(document)), self.secrets)
        self.health = PeerHealth(time.time())
        self.rest = TwilioRest(lambda: self.snapshot, self.metrics)
        self.sync = SyncClient(self.rest, lambda: self.snapshot, timeout=timeout, watch=SyncHealth(self.health, time.time))

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"voiceassist_relay_{name}", labels) or 0.0

    def call(self) -> Call:
        return Call(self, CallSid(f"CA{next(_numbers):032x}"))

    def found(self, kind: Kind, name: str) -> SyncObject | None:
        return self.service.objects.get(self.service.names.get((kind, name), ""))


class Call:
    """One call: what `/stream` start left for its publisher, and what is in Sync."""

    def __init__(self, bench: Bench, sid: CallSid) -> None:
        self.bench, self.sid = bench, sid
        self.stream = f"FLEX_ASSIST_{sid}_x"
        self.superseded: list[str] = []
        self.opened: list[CallDocument] = []

    def document(self, **changes: Any) -> CallDocument:
        generation = changes.get("generation", 1)
        return CallDocument(
            state=CallState.STARTING,
            generation=generation,
            stream_name=stream_name(self.sid, generation),
            sync_stream=self.stream,
            deadline=0,
            worker="WK1",
            identity="agent_1",
        ).model_copy(update=changes)

    async def write_document(self, **changes: Any) -> None:
        """As `/stream` does, by other hands: straight into the stand-in's state."""
        data = self.document(**changes).model_dump(mode="json", by_alias=True)
        await self.bench.sync.create_document(call_document(self.sid), data, TTL)

    async def change_document(self, **changes: Any) -> None:
        data = self.saved.model_copy(update=changes).model_dump(mode="json", by_alias=True)
        await self.bench.sync.update_document(call_document(self.sid), data)

    def publisher(self, *, generation: int = 1, stream_sid: str = "MZ1", chance: Callable[[], float] = quick, **more: Any) -> CallPublisher:
        owner = Owner(self.sid, generation, "10.0.0.1:9090", stream_sid, REVISION)
        current = lambda: self.bench.snapshot  # noqa: E731
        return CallPublisher(
            self.bench.sync, current, self.bench.metrics, owner, self.superseded.append, opened=self.opened.append, chance=chance, **more
        )

    @property
    def saved(self) -> CallDocument:
        found = self.bench.found(Kind.DOCUMENT, call_document(self.sid))
        assert found is not None
        return CallDocument.model_validate(found.data)

    @property
    def map(self) -> SyncObject:
        found = self.bench.found(Kind.MAP, suggestions_map(self.sid))
        assert found is not None
        return found

    @property
    def stored(self) -> list[dict[str, Any]]:
        """The Map's suggestions in the order of their keys."""
        items = sorted((str(key), item.data) for key, item in self.map.items.items() if key != STATUS_KEY)
        for key, data in items:
            assert int(key) == data["seq"]
        return [data for _, data in items]

    @property
    def status_item(self) -> dict[str, Any] | None:
        item = self.map.items.get(STATUS_KEY)
        return None if item is None else item.data

    def messages(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What was sent on the call's Stream, in the order of arrival."""
        data = [change.data for change in self.bench.twilio.messages(self.stream)]
        return [one for one in data if kind in (None, one["type"])]


@asynccontextmanager
async def running(publisher: CallPublisher) -> AsyncIterator[asyncio.Task[None]]:
    """A publisher at work, as the bridge has it: cancelled if it does not end by itself."""
    task = asyncio.create_task(publisher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def finished(number: int, answer: str = "", question: str = "") -> FinishedSuggestion:
    now = asyncio.get_running_loop().time()
    timing = TurnTiming(
        stopped_speaking=now - 0.5, committed=now - 0.2, requested=now - 0.2, created=now - 0.15, first_delta=now - 0.1, finished=now
    )
    return FinishedSuggestion(f"item{number}", question or f"q{number}", answer or f"a{number}", REVISION, timing)


LIVE = (AssistState.LIVE, StatusReason.STARTED, "Listening.")
ENDED = (AssistState.STOPPED, StatusReason.CALL_ENDED, "Over.")


def struck(bench: Bench) -> int:
    return sum(bench.twilio.faults.fired)
