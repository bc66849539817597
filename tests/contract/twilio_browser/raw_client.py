"""A client of the socket that does what it is told, right or wrong: packets by hand over a real websocket."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt

from voiceassist_sim.twilio import Kind, TwilioServer
from voiceassist_sim.twilio.browser import BrowserEdge
from voiceassist_sim.twilio.sync_model import Payload, Permission, Service, SyncObject
from voiceassist_sim.twilio.taskrouter import Worker

WAIT = 10.0


def frame(header: Mapping[str, Any], payload: Any = None, *, size: int | None = None, version: str = "V3.0") -> bytes:
    """A packet, with a wrong payload size or version if that is wanted."""
    body = b"" if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    typed = {} if payload is None else {"payload_type": "application/json"}
    text = json.dumps({**header, **typed, "payload_size": len(body) if size is None else size}).encode()
    return f"TWILSOCK {version} {len(text)}\r\n".encode() + text + b"\r\n" + body


def parse(data: bytes) -> tuple[dict[str, Any], Any]:
    """Header and payload of a packet."""
    first, _, rest = data.partition(b"\r\n")
    protocol, version, length = first.split(b" ")
    assert (protocol, version) == (b"TWILSOCK", b"V3.0")
    header, gap, body = rest[: int(length)], rest[int(length) : int(length) + 2], rest[int(length) + 2 :]
    assert gap == b"\r\n"
    shown = json.loads(header)
    assert shown["payload_size"] == len(body)
    return shown, json.loads(body) if body else None


def packet_id() -> str:
    return f"TM{uuid.uuid4()}"


@dataclass
class Socket:
    """One websocket. Acknowledges what comes, unless ``acknowledges`` is turned off."""

    websocket: aiohttp.ClientWebSocketResponse
    acknowledges: bool = True
    seen: list[tuple[dict[str, Any], Any]] = field(default_factory=list)
    closed: int | None = None

    async def send(self, header: Mapping[str, Any], payload: Any = None) -> str:
        """Send a packet; its id."""
        whole = {"id": packet_id(), **header}
        await self.websocket.send_bytes(frame(whole, payload))
        return str(whole["id"])

    async def next(self) -> tuple[dict[str, Any], Any]:
        """The next packet; raises EOFError when the socket is closed."""
        async with asyncio.timeout(WAIT):
            message = await self.websocket.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            self.closed = self.websocket.close_code
            raise EOFError(message.type.name)
        header, payload = parse(message.data)
        self.seen.append((header, payload))
        if self.acknowledges and header["method"] != "reply":
            await self.websocket.send_bytes(frame({"method": "reply", "id": header["id"], "status": {"code": 200, "status": "OK"}}))
        return header, payload

    async def reply(self, asked: str) -> tuple[dict[str, Any], Any]:
        """The reply to a packet; what comes before it is in ``seen``."""
        while True:
            header, payload = await self.next()
            if header["method"] == "reply" and header["id"] == asked:
                return header, payload

    async def event(self, event_type: str) -> dict[str, Any]:
        """The next notification of this type."""
        while True:
            header, payload = await self.next()
            if header["method"] == "notification" and payload["event_type"] == event_type:
                return {"message_type": header["message_type"], **payload}

    async def end(self) -> int | None:
        """The close code with which the other side ends."""
        try:
            while True:
                await self.next()
        except EOFError:
            return self.closed

    async def init(self, token: str, product: str = "data_sync") -> dict[str, Any]:
        """Init; the header of the answer."""
        registration = {"product": product, "type": "ers", "notification_protocol_version": 0, "message_types": ["twilio.sync.event"]}
        asked = await self.send({"method": "init", "token": token, "continuation_token": None, "registrations": [registration]})
        return (await self.reply(asked))[0]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        grant: str | None = "data_sync",
        host: str = "cds.us1.twilio.com",
    ) -> tuple[int, Any]:
        """A request upstream; Sync's status and body (status of the transport, negative, where it refuses)."""
        request = {"host": host, "path": path, "method": method, "params": params or {}, "headers": headers or {}}
        granted = {} if grant is None else {"active_grant": grant}
        header, payload = await self.reply(await self.send({"method": "message", **granted, "http_request": request}, body))
        return (header["http_status"]["code"] if "http_status" in header else -header["status"]["code"]), payload

    async def subscribe(self, *objects: tuple[SyncObject, int | None], **changes: Any) -> tuple[int, Any]:
        """Establish subscriptions."""
        rows = [{"object_sid": one.sid, "object_type": one.kind.word, "last_event_id": last} for one, last in objects]
        body = {
            "event_protocol_version": 4,
            "action": "establish",
            "correlation_id": 7,
            "retried_requests": 0,
            "ttl_in_s": -1,
            "requests": rows,
            **changes,
        }
        return await self.ask("POST", "/v4/Subscriptions", body)


class World:
    """The stand-in and what a test does to it."""

    def __init__(self, twilio: TwilioServer, edge: BrowserEdge, http: aiohttp.ClientSession) -> None:
        self.twilio = twilio
        self.edge = edge
        self.http = http
        self.worker: Worker = twilio.add_worker("agent@example.com")
        self.service: Service = twilio.sync.create_service(time.time())
        self.service.acl_enabled = True
        self.expected: list[str] = []
        """The violations that are meant to happen."""

    @property
    def rules(self) -> list[str]:
        """The rules that were violated, in order."""
        return [one.rule.value for one in self.edge.sync.violations.kept]

    def token(self, identity: str | None = None, *, ttl: float = 3600, service: str | None = None) -> str:
        """An access token of Sync's."""
        sid, secret = self.twilio.api_key
        now = time.time()
        grants = {"identity": identity or self.worker.identity, "data_sync": {"service_sid": service or self.service.sid}}
        claims = {"jti": f"{sid}-{uuid.uuid4()}", "iss": sid, "sub": self.twilio.account_sid, "nbf": int(now) - 60}
        claims |= {"exp": now + ttl, "grants": grants}
        return jwt.encode(claims, secret, algorithm="HS256", headers={"typ": "JWT", "cty": "twilio-fpa;v=1"})

    def make(self, kind: Kind, name: str, *, read: bool = True, write: bool = False) -> SyncObject:
        """A Sync object that the worker may read."""
        found = self.twilio.sync.create(self.service, kind, time.time(), unique_name=name)
        if kind is not Kind.STREAM and read:
            self.permit(found, read=True, write=write)
        return found

    def permit(self, found: SyncObject, *, read: bool, write: bool = False) -> None:
        self.twilio.sync.set_permission(found, Permission(self.worker.identity, read, write, False), time.time())

    def put(self, found: SyncObject, key: str, **data: Any) -> None:
        """Write a map's item."""
        payload = Payload(data, 20)
        if key in found.items:
            self.twilio.sync.update_item(found, key, payload, None, time.time())
        else:
            self.twilio.sync.add_item(found, key, payload, time.time())

    def drop(self, found: SyncObject, key: str) -> None:
        self.twilio.sync.delete_item(found, key, None, time.time())

    def publish(self, found: SyncObject, **data: Any) -> None:
        self.twilio.sync.publish(found, Payload(data, 20), time.time())

    def set_document(self, found: SyncObject, **data: Any) -> None:
        self.twilio.sync.update_document(found, Payload(data, 20), None, None, time.time())

    async def socket(self) -> Socket:
        """A new websocket, before init."""
        url = f"wss://127.0.0.1:{self.edge.port}/v3/wsconnect"
        return Socket(await self.http.ws_connect(url, headers={"Host": "tsock.us1.twilio.com"}, ssl=False))

    async def connected(self, token: str | None = None) -> Socket:
        """A websocket after a good init."""
        socket = await self.socket()
        assert (await socket.init(token or self.token()))["status"]["code"] == 200
        return socket

    async def get(self, host: str, path: str, **options: Any) -> tuple[int, Any]:
        """GET from one of Twilio's hosts."""
        return await self.ask("GET", host, path, **options)

    async def ask(self, method: str, host: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = {"Host": host, **options.pop("headers", {})}
        url = f"https://127.0.0.1:{self.edge.port}{path}"
        async with self.http.request(method, url, headers=headers, ssl=False, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text
