"""Models for a server that has none of its own here: an ear, a mind and a mouth behind OpenAI's HTTP paths; each says one thing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

HEARD = "Where is my parcel?"
ANSWER = "May I have the tracking number?"
_ARGUMENTS = json.dumps({"relevant": True, "answer": ANSWER, "question": "Where is the parcel?"})


@dataclass
class StubbedModels:
    """What they say can be changed while they run."""

    url: str = ""
    tool: bool = True
    """Whether the mind calls the tool that it is given; else it answers in words."""
    status: int = 200
    """What the mind answers with."""
    voiced: int = 0
    """How often the mouth was asked."""

    async def ear(self, request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"text": HEARD})

    async def mouth(self, request: web.Request) -> web.Response:
        await request.read()
        self.voiced += 1
        return web.Response(body=bytes(4800), content_type="audio/pcm")

    async def mind(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if self.status != 200:
            return web.json_response({"error": {"message": "too many", "code": "rate_limit_exceeded"}}, status=self.status)
        usage = {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47}
        about = {"id": "chat", "created": 1, "model": "mind"}
        if not asked.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
            return web.json_response({**about, "object": "chat.completion", "choices": [choice], "usage": usage})
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        deltas: list[dict[str, object]] = [{"role": "assistant", "content": ANSWER}]
        if self.tool and asked.get("tools"):
            call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "suggest", "arguments": _ARGUMENTS[:20]}}
            rest = {"index": 0, "function": {"arguments": _ARGUMENTS[20:]}}
            deltas = [{"role": "assistant", "tool_calls": [call]}, {"tool_calls": [rest]}]
        pieces = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        pieces.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        for choices in pieces:
            await answer.write(_event({**about, "object": "chat.completion.chunk", "choices": choices}))
        await answer.write(_event({**about, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
        await answer.write(b"data: [DONE]\n\n")
        return answer


def _event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


@asynccontextmanager
async def stubbed_models() -> AsyncIterator[StubbedModels]:
    """On a port of this machine while the block lasts."""
    models = StubbedModels()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/audio/transcriptions", models.ear)
    app.router.add_post("/v1/audio/speech", models.mouth)
    app.router.add_post("/v1/chat/completions", models.mind)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    models.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield models
    finally:
        await runner.cleanup()
