"""TaskRouter for a browser (``event-bridge.twilio.com``): one socket of events for each worker, and requests that are POSTed beside it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import WSMsgType, web

from ..account import Account
from ..errors import TwilioError, bad_parameter, not_found
from ..taskrouter import TaskRouterEvent, Worker
from .agent_desk import AgentDesk
from .conferences import Conferences

BLANK_SECONDS: Final = 10.0
"""A client gives a socket up that is silent for 30 s."""
QUEUE_LENGTH: Final = 1_000


class EventBridge:
    """All sockets of all workers."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.conferences = Conferences(account, self.push)
        self.desk = AgentDesk(account, self.conferences)
        self._channels: dict[asyncio.Queue[str | None], str] = {}

    def start(self) -> None:
        """Listen to the account's TaskRouter."""
        self._account.taskrouter.listeners.append(self._event)

    def close(self) -> None:
        """Listen no more, and end all sockets."""
        self._account.taskrouter.listeners.remove(self._event)
        for queue in self._channels:
            queue.put_nowait(None)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """The socket of one worker's browser: ``init``, then events as JSON texts, and blanks."""
        worker, expires = self._worker(request.query.get("token", ""))
        if request.query.get("closeExistingSessions") == "true":
            self.end(worker.sid)
        websocket = web.WebSocketResponse(max_msg_size=1 << 16, timeout=2.0)
        await websocket.prepare(request)
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_LENGTH + 1)
        account = self._account
        ours = {"account_sid": account.account_sid, "workspace_sid": account.taskrouter.workspace_sid, "channel_id": worker.sid}
        life = max(1, int((expires - account.clock()) * 1000))
        queue.put_nowait(_event_text("init", {**ours, "token_lifetime": life}))
        self._channels[queue] = worker.sid
        writer = asyncio.create_task(self._write(queue, websocket), name="event bridge writer")
        try:
            async for message in websocket:
                if message.type is WSMsgType.BINARY:
                    break
        finally:
            self._channels.pop(queue, None)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return websocket

    async def post(self, request: web.Request) -> web.Response:
        """One request of TaskRouter's: ``{url, method, params, token}`` → ``{payload}``."""
        try:
            asked = json.loads(await request.read())
            url, method, params = str(asked["url"]), str(asked["method"]), asked.get("params") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise bad_parameter("The body must have url, method, params and token") from None
        worker, _ = self._worker(str(asked.get("token") or ""))
        if_match = request.headers.get("If-Match")
        answer = self.desk.answer(worker, method, path_of(url), params, self._account.clock(), if_match)
        return web.json_response({"payload": answer})

    def end(self, worker_sid: str | None = None) -> int:
        """Close the sockets of a worker, or of all; how many."""
        chosen = [queue for queue, sid in self._channels.items() if worker_sid in (None, sid)]
        for queue in chosen:
            _offer(queue, None)
        return len(chosen)

    def connected(self, worker_sid: str) -> int:
        """How many sockets a worker has."""
        return sum(sid == worker_sid for sid in self._channels.values())

    def push(self, worker_sid: str, event_type: str, payload: Mapping[str, Any]) -> None:
        """Send an event to a worker's browsers."""
        for queue, sid in self._channels.items():
            if sid == worker_sid:
                _offer(queue, _event_text(event_type, payload))

    # Inside

    def _event(self, event: TaskRouterEvent) -> None:
        for worker_sid, payload in self.desk.told(event, self._account.clock()):
            self.push(worker_sid, event.name, payload)
        self.conferences.heard(event)

    def _worker(self, token: str) -> tuple[Worker, float]:
        found = self._account.flex_tokens.find(token, self._account.clock())
        if found is None or found.worker_sid is None:
            raise TwilioError(401, 20101, "Invalid Access Token")
        return self._account.taskrouter.worker(found.worker_sid), found.expires

    @staticmethod
    async def _write(queue: asyncio.Queue[str | None], websocket: web.WebSocketResponse) -> None:
        while True:
            try:
                async with asyncio.timeout(BLANK_SECONDS):
                    text = await queue.get()
            except TimeoutError:
                text = " "
            if text is None:
                await websocket.close()
                return
            await websocket.send_str(text)


def path_of(url: str) -> str:
    """The path of a request without host, version and query: ``Workspaces/WS…/Workers/WK…``, ``Interactions/KD…/Channels``."""
    found = re.search(r"(Workspaces|Interactions)/[^?#]*", url)
    if found is None:
        raise not_found(url[:80])
    return found[0].rstrip("/")


def _event_text(event_type: str, payload: Mapping[str, Any]) -> str:
    return json.dumps({"event_type": event_type, "payload": payload})


def _offer(queue: asyncio.Queue[str | None], text: str | None) -> None:
    if queue.qsize() >= QUEUE_LENGTH:
        while not queue.empty():
            queue.get_nowait()
        text = None
    queue.put_nowait(text)
