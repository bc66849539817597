"""The part of the Realtime protocol that a relay speaks, before an ear and rules. Text out; audio in as PCM at 16 kHz."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .rules import answer_to
from .voice_activity import Began, Ended, VoiceActivity

Ear = Callable[[bytes, str], Awaitable[str]]
"""Words of speech (16-bit PCM at 16 kHz); the second argument is a prompt, or empty."""
Json = dict[str, Any]

FORMAT = {"type": "audio/pcm", "rate": 16_000}
MODEL: Json = {
    "provider": "Compatible",
    "audioFormat": "PCM16k",
    "transcription": {
        "agentSession": "Realtime",
        "prompt": "A telephone call with customer service:",
        "keywords": ["my parcel", "tracking number", "refund", "credit card", "charged twice", "hotel", "insurance", "deductible", "claim"],
    },
}
"""What the relay is configured with to get the most of it."""
HEARD_SECONDS = 30.0
"""How long an answer waits for the words of what was said last."""


class Session:
    """One connection."""

    def __init__(self, socket: ServerConnection, ear: Ear) -> None:
        self._socket, self._ear = socket, ear
        self._activity = VoiceActivity()
        self._names = itertools.count(1)
        self._speaking = ""
        self._words: list[asyncio.Task[str]] = []
        """Of turns that no answer was asked for, oldest first."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._response: asyncio.Task[None] | None = None
        self._prompt = ""

    async def run(self) -> None:
        """Until the client closes."""
        await self._send("session.created", session={"id": self._name("sess"), "type": "realtime"})
        try:
            async for message in self._socket:
                event = json.loads(message)
                await self._received(event)
        except ConnectionClosed:
            pass
        finally:
            for task in [*self._tasks, *([self._response] if self._response is not None else [])]:
                task.cancel()

    async def _received(self, event: Json) -> None:
        match event.get("type"):
            case "session.update":
                await self._update(event)
            case "input_audio_buffer.append":
                try:
                    pcm = base64.b64decode(event.get("audio", ""), validate=True)
                except (binascii.Error, TypeError):
                    await self._error(event, "invalid_value", "audio is no base64", "audio")
                    return
                for found in self._activity.append(pcm):
                    await self._heard(found)
            case "input_audio_buffer.commit":
                ended = self._activity.commit()
                if ended is None:
                    await self._error(event, "input_audio_buffer_commit_empty", "no speech to commit")
                else:
                    await self._heard(ended)
            case "input_audio_buffer.clear":
                self._activity.clear()
                self._speaking = ""
                await self._send("input_audio_buffer.cleared")
            case "conversation.item.create":
                item = {"id": self._name("item"), **event.get("item", {})}
                await self._send("conversation.item.added", previous_item_id=event.get("previous_item_id"), item=item)
            case "response.create":
                if self._response is not None and not self._response.done():
                    await self._error(event, "conversation_already_has_active_response", "an answer is being written")
                    return
                words, self._words = self._words, []
                self._response = asyncio.create_task(self._answer(words, event.get("response", {}).get("metadata")))
            case "response.cancel":
                if self._response is None or self._response.done():
                    await self._error(event, "response_cancel_not_active", "no answer is being written")
                else:
                    self._response.cancel()
            case other:
                await self._error(event, "invalid_value", f"no such event: {str(other)[:80]}", "type")

    async def _update(self, event: Json) -> None:
        session = event.get("session", {})
        heard = session.get("audio", {}).get("input", {})
        if heard.get("format", FORMAT) != FORMAT:
            message = "audio/pcm at 16000 is the one format that is heard here"
            await self._error(event, "invalid_value", message, "session.audio.input.format")
            return
        detection = heard.get("turn_detection") or {}
        self._activity.silence_ms = int(detection.get("silence_duration_ms") or self._activity.silence_ms)
        transcription = heard.get("transcription") or {}
        self._prompt = " ".join(filter(None, (transcription.get("prompt"), ", ".join(transcription.get("keywords") or []))))
        await self._send("session.updated", session={"id": "sess", **session})

    async def _heard(self, found: Began | Ended) -> None:
        if isinstance(found, Began):
            self._speaking = self._name("item")
            await self._send("input_audio_buffer.speech_started", audio_start_ms=found.at_ms, item_id=self._speaking)
            return
        item, self._speaking = self._speaking or self._name("item"), ""
        await self._send("input_audio_buffer.speech_stopped", audio_end_ms=found.at_ms, item_id=item)
        await self._send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        task = asyncio.create_task(self._transcribe(item, found.pcm))
        self._words.append(task)
        del self._words[:-20]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _transcribe(self, item: str, pcm: bytes) -> str:
        text = await self._ear(pcm, self._prompt)
        with contextlib.suppress(ConnectionClosed):
            await self._send("conversation.item.input_audio_transcription.completed", item_id=item, content_index=0, transcript=text)
        return text

    async def _answer(self, words: list[asyncio.Task[str]], metadata: object) -> None:
        response: Json = {
            "id": self._name("resp"),
            "object": "realtime.response",
            "status": "in_progress",
            "metadata": metadata,
            "output": [],
        }
        ended = {"status": "completed"}
        with contextlib.suppress(ConnectionClosed):
            try:
                await self._send("response.created", response=response)
                async with asyncio.timeout(HEARD_SECONDS):
                    said = " ".join([await task for task in words])
                response["output"] = [await self._suggest(response["id"], said)]
            except TimeoutError:
                ended = {"status": "failed"}
            except asyncio.CancelledError:
                ended = {"status": "cancelled"}
            await self._send("response.done", response={**response, **ended})

    async def _suggest(self, response: str, said: str) -> Json:
        told = answer_to(said)
        text = json.dumps({"relevant": told.relevant, "answer": told.answer, "question": told.question})
        name = self._name("item")
        item: Json = {"id": name, "type": "function_call", "name": "suggest", "call_id": f"call_{name}", "arguments": ""}
        place = {"response_id": response, "item_id": name, "output_index": 0}
        await self._send("response.output_item.added", response_id=response, output_index=0, item={**item, "status": "in_progress"})
        for at in range(0, len(text), 24):
            await self._send("response.function_call_arguments.delta", **place, call_id=item["call_id"], delta=text[at : at + 24])
        await self._send("response.function_call_arguments.done", **place, call_id=item["call_id"], name="suggest", arguments=text)
        item |= {"arguments": text, "status": "completed"}
        await self._send("response.output_item.done", response_id=response, output_index=0, item=item)
        return item

    async def _error(self, event: Json, code: str, message: str, param: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": param, "event_id": event.get("event_id")}
        await self._send("error", error=error)

    async def _send(self, kind: str, **fields: object) -> None:
        await self._socket.send(json.dumps({"type": kind, "event_id": self._name("event"), **fields}))

    def _name(self, kind: str) -> str:
        return f"{kind}_{next(self._names)}"


@contextlib.asynccontextmanager
async def serving(ear: Ear, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serves any path on a free port while the block lasts; the address for `model.url`."""

    async def session(socket: ServerConnection) -> None:
        await Session(socket, ear).run()

    async with serve(session, host, 0, compression=None, max_size=1 << 20) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://{host}:{port}/v1"
