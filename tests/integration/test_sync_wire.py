"""What a call sends to Sync stays as it is, field for field: the requests for its Document, its Map and its Stream, each in order.

All of them are there before, as `/stream` makes them.

`VOICEASSIST_WRITE_GOLDEN=1` writes the golden anew, where the wire is to change.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from integration.publisher_bench import ENDED, LIVE, REVISION, TTL, Bench, finished, running
from support.eventually import eventually
from voiceassist_crds.messages import AssistState, StatusReason, Track, WithdrawnReason
from voiceassist_crds.names import STATUS_KEY, suggestions_map
from voiceassist_relay.sync.client import SyncClient
from voiceassist_relay.sync.health import SyncHealth
from voiceassist_relay.twilio.rest import TwilioRest, default_session
from voiceassist_sim.twilio.app import TwilioServer

GOLDEN = Path(__file__).parent / "golden/sync_call.txt"
VARIES = (  # what another clock, port or account would make otherwise
    (re.compile(r'("(?:at|latencyMs)":)[0-9.]+'), r"\1N"),
    (re.compile(r"(?<![0-9A-Za-z])(CA|ET|IS|MP|TO)[0-9a-f]{32}(?![0-9a-f])"), r"\1…"),
)


class Recorder:
    """Keeps what an HTTP client wrote to its sockets, by the object that it was about."""

    def __init__(self) -> None:
        self.requests: dict[str, list[str]] = defaultdict(list)

    def session(self) -> aiohttp.ClientSession:
        """The relay's own session to Twilio, which tells what it writes."""
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(self._headers)
        trace.on_request_chunk_sent.append(self._body)
        trace.on_request_end.append(self._end)
        session = default_session()
        trace.freeze()
        session.trace_configs.append(trace)
        return session

    async def _headers(self, _: aiohttp.ClientSession, request: SimpleNamespace, sent: Any) -> None:
        told = [f"{name}: {sent.headers[name]}" for name in ("Content-Type", "If-Match") if name in sent.headers]
        request.lines = ["", f"{sent.method} {sent.url.raw_path_qs}", *told]

    async def _body(self, _: aiohttp.ClientSession, request: SimpleNamespace, sent: Any) -> None:
        request.lines += [f"  {name} = {value}" for name, value in parse_qsl(sent.chunk.decode(), keep_blank_values=True)]

    async def _end(self, _: aiohttp.ClientSession, request: SimpleNamespace, ended: Any) -> None:
        kind = urlsplit(str(ended.url)).path.partition("/Services/")[2].split("/")[1]
        self.requests[kind] += [*request.lines, f"-> {ended.response.status}"]

    def transcript(self) -> str:
        text = "\n".join("\n".join([f"== {kind}", *lines, ""]) for kind, lines in sorted(self.requests.items()))
        for pattern, instead in VARIES:
            text = pattern.sub(instead, text)
        return text


async def test_sync_wire_of_a_call() -> None:
    recorder = Recorder()
    async with TwilioServer() as twilio:
        bench = Bench(twilio, twilio.template, timeout=20.0)
        call = bench.call()
        await call.write_document()
        await bench.sync.create_stream(call.stream, TTL)
        found = await bench.sync.create_map(suggestions_map(call.sid), TTL)
        await bench.sync.create_item(found.sid, STATUS_KEY, {"state": "starting", "generation": 1}, TTL)
        rest = TwilioRest(lambda: bench.snapshot, bench.metrics, recorder.session)
        bench.sync = SyncClient(rest, lambda: bench.snapshot, timeout=20.0, watch=SyncHealth(bench.health, time.time))
        publisher = call.publisher()
        async with running(publisher):
            publisher.status(*LIVE)
            await eventually(lambda: call.messages("status") and call.status_item)
            publisher.transcript(Track.CUSTOMER, "u1", "I want to return it: zażółć + 50 %.", True)
            await eventually(lambda: call.messages("transcript"))
            publisher.draft("item1", "You", REVISION)
            await eventually(lambda: call.messages("draft"))
            publisher.finished(finished(1, "You can return it.", "Can I return it?"))
            await eventually(lambda: len(call.stored) == 1 and len(call.messages("suggestion")) == 1)
            publisher.draft("item2", "Never", REVISION)
            await eventually(lambda: len(call.messages("draft")) == 2)
            publisher.withdrawn("item2", REVISION, WithdrawnReason.NOT_RELEVANT)
            await eventually(lambda: call.messages("withdrawn"))
            publisher.status(AssistState.PAUSED, StatusReason.AGENT_REQUEST, "Paused.")
            await eventually(lambda: len(call.messages("status")) == 2 and call.status_item == call.messages("status")[-1])
            publisher.status(*ENDED)
            await publisher.finish(5)
        await rest.aclose()
        await bench.rest.aclose()
    if os.environ.get("VOICEASSIST_WRITE_GOLDEN"):
        GOLDEN.write_text(recorder.transcript())
    assert recorder.transcript() == GOLDEN.read_text()
