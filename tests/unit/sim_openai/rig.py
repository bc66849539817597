"""A client for the tests of the OpenAI stand-in: a real websocket, every event it gets checked against the vendor's types."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection

from contract.openai.strict_types import check_server_event
from voiceassist_sim.audio import mulaw_encode
from voiceassist_sim.openai import RealtimeServer

Event = dict[str, Any]
TIMEOUT_S = 10.0
SUGGEST = {
    "type": "function",
    "name": "suggest",
    "description": "Tell the agent what to say.",
    "parameters": {
        "type": "object",
        "properties": {"relevant": {"type": "boolean"}, "answer": {"type": "string"}, "question": {"type": "string"}},
        "required": ["relevant", "answer", "question"],
        "additionalProperties": False,
    },
}


def session_config(**changes: Any) -> Event:
    """The configuration of a listener; ``turn_detection`` and ``transcription`` go to where they belong, the rest to the session."""
    audio: Event = {
        "format": {"type": "audio/pcmu"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "create_response": False,
            "interrupt_response": False,
        },
    }
    for name in ("turn_detection", "transcription", "noise_reduction", "format"):
        if name in changes:
            audio[name] = changes.pop(name)
    config: Event = {
        "type": "realtime",
        "output_modalities": ["text"],
        "instructions": "Help the agent.",
        "tools": [SUGGEST],
        "tool_choice": {"type": "function", "name": "suggest"},
        "audio": {"input": audio},
    }
    return config | changes


def transcription_config(**audio: Any) -> Event:
    """The configuration of a transcription session."""
    given = {"format": {"type": "audio/pcmu"}, "transcription": {"model": "gpt-live-transcribe"}, "turn_detection": None}
    return {"type": "transcription", "audio": {"input": given | audio}}


class Caller:
    """One socket."""

    def __init__(self, ws: ClientConnection, *, check: bool = True) -> None:
        self.ws = ws
        self.check = check
        self._marks = itertools.count()

    async def send(self, kind: str, **fields: Any) -> None:
        await self.ws.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> Event:
        async with asyncio.timeout(TIMEOUT_S):
            event: Event = json.loads(await self.ws.recv())
        if self.check:
            assert check_server_event(event) == [], event
        return event

    async def until(self, kind: str) -> Event:
        """The next event of a type; others are passed over."""
        while True:
            event = await self.next()
            if event["type"] == kind:
                return event
            assert event["type"] != "error", event

    async def collect_until(self, kind: str) -> list[Event]:
        """All events up to and with the next of a type."""
        events = [await self.next()]
        while events[-1]["type"] != kind:
            events.append(await self.next())
        return events

    async def expect(self, *kinds: str) -> list[Event]:
        """The next events, which must have exactly these types."""
        events = [await self.next() for _ in kinds]
        assert [event["type"] for event in events] == list(kinds)
        return events

    async def settle(self) -> list[Event]:
        """All events that were sent before the server has read everything sent to it so far."""
        mark = f"mark-{next(self._marks)}"
        await self.send("conversation.item.retrieve", item_id="nothing", event_id=mark)
        events = []
        while True:
            event = await self.next()
            if event["type"] == "error" and event["error"]["event_id"] == mark:
                return events
            events.append(event)

    async def refused(self, kind: str, **fields: Any) -> Event:
        """Send an event that must be refused; the error."""
        await self.send(kind, **fields)
        event = await self.next()
        assert event["type"] == "error", event
        error: Event = event["error"]
        return error

    async def configure(self, config: Event | None = None, **changes: Any) -> Event:
        """Update the session; the effective configuration."""
        await self.send("session.update", session=config if config is not None else session_config(**changes))
        event = await self.next()
        assert event["type"] == "session.updated", event
        session: Event = event["session"]
        return session

    async def append(self, audio: bytes, frame: int = 160) -> None:
        """Append audio in frames."""
        for at in range(0, len(audio), frame):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[at : at + frame]).decode())

    async def closed(self) -> int | None:
        """Wait until the socket has ended; its close code."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.ws.wait_closed()
        return self.ws.close_code


@asynccontextmanager
async def dial(
    server: RealtimeServer, query: str = "?model=gpt-realtime-2.1-mini", *, key: str | None = "sk-test", check: bool = True, **options: Any
) -> AsyncIterator[Caller]:
    """Connect without reading anything."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    headers |= options.pop("headers", {})
    url = options.pop("url", server.ws_url)
    async with websockets.connect(url + query, additional_headers=headers, proxy=None, **options) as ws:
        yield Caller(ws, check=check)


@asynccontextmanager
async def call(
    server: RealtimeServer, query: str = "?model=gpt-realtime-2.1-mini", *, config: Event | None = None, check: bool = True, **options: Any
) -> AsyncIterator[Caller]:
    """Connect and configure."""
    async with dial(server, query, check=check, **options) as caller:
        await caller.expect("session.created")
        await caller.configure(config)
        yield caller


@asynccontextmanager
async def transcribe(server: RealtimeServer, **audio: Any) -> AsyncIterator[Caller]:
    """Connect as a transcription session and configure."""
    async with call(server, "?intent=transcription", config=transcription_config(**audio)) as caller:
        yield caller


def tone(milliseconds: int, dbfs: float = -20.0) -> bytes:
    """A tone of 400 Hz as mu-law, its loudness in dBFS."""
    peak = 32768 * 10 ** (dbfs / 20) * 2**0.5
    return mulaw_encode(np.rint(peak * np.sin(2 * np.pi * 400 * np.arange(milliseconds * 8) / 8000)).astype(np.int16))


def silence(milliseconds: int) -> bytes:
    """Digital silence as mu-law."""
    return b"\xff" * (milliseconds * 8)


def update_of(**fields: Any) -> Event:
    """A session of an update with these fields alone."""
    return {"type": "realtime", **fields}


TURN = (
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
)
"""The events of a turn, in their order."""
