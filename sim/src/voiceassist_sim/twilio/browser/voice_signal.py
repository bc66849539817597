"""The signalling socket of Twilio's voice SDK (``voice-js.roaming.twilio.com/signal``) as far as an agent's phone registers; no media."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import WSMsgType, web

from ..account import Account
from ..errors import TwilioError

VERSION: Final = "1.6"
HEARTBEAT_SECONDS: Final = 5.0


class VoiceSignal:
    """All signalling sockets."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One of them: ``listen`` with a token, ``register``; blank lines keep it alive."""
        websocket = web.WebSocketResponse(max_msg_size=1 << 18, timeout=2.0)
        await websocket.prepare(request)
        heart = asyncio.create_task(_beat(websocket), name="voice heartbeat")
        try:
            async for message in websocket:
                if message.type is not WSMsgType.TEXT:
                    break
                if not message.data.strip():
                    continue
                for answer in self._answers(message.data):
                    await websocket.send_str(json.dumps(answer))
        finally:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)
        return websocket

    def _answers(self, text: str) -> list[dict[str, Any]]:
        try:
            said = json.loads(text)
            kind, payload = said["type"], said.get("payload") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_message("error", {"error": {"code": 31100, "message": "Malformed message"}})]
        if kind == "listen":
            return [self._listen(str(payload.get("token", "")))]
        if kind == "register":
            return [_message("ready", {})]
        return []

    def _listen(self, token: str) -> dict[str, Any]:
        now = self._account.clock()
        try:
            found = self._account.flex_tokens.find(token, now)
        except TwilioError as refusal:
            return _message("error", {"error": {"code": refusal.code, "message": refusal.message}})
        if found is None:
            return _message("error", {"error": {"code": 20101, "message": "Invalid Access Token"}})
        return _message(
            "connected",
            {
                "region": "US_EAST_VIRGINIA",
                "edge": "ashburn",
                "token": {"ttl": max(1, int(found.expires - now))},
                "client": {"identity": found.identity},
            },
        )


def _message(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "version": VERSION, "payload": payload}


async def _beat(websocket: web.WebSocketResponse) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await websocket.send_str("\n")
