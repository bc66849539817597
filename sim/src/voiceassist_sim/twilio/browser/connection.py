"""One connection of a browser client: init, token updates, requests, subscriptions, close; pure, with the time passed in.

`Connection` takes what the client sends and gives the effects that its shell carries out, in their order. A request comes out as an `Ask`,
so that the shell may let it wait or fail; what it comes to is given by `perform` or `refuse`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from ..errors import TwilioError
from ..sids import is_sid
from ..sync_model import Change
from ..sync_store import SyncStore
from .behaviour import SocketBehaviour
from .holders import Holder
from .insights import LiveQueries, refused, telemetry
from .packets import BadPacket, Packet, decode, encode
from .subscriptions import Subscriptions
from .sync_events import Notification
from .sync_requests import SyncRequests
from .upstream import Improper, Upstream, read_upstream
from .violations import Rule

SYNC_PRODUCT: Final = "data_sync"
CAPABILITIES: Final = ("client_update", "offline_storage", "telemetry.v1")
_BAD_FRAME: Final = 1002
_OVER: Final = 1000
_LATE_KEPT: Final = 1_000
"""Packets not acknowledged in time whose reply, when it comes after all, is no reply to nothing."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes, and say so with `Connection.sent`; ``about`` is the notification in them, ``id`` what is to be acknowledged."""

    data: bytes
    about: Notification | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the websocket with this code."""

    code: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Something to perform: ``init``, ``update`` or ``message``. ``method`` and ``path`` are what fault rules are held against."""

    packet: Packet
    method: str
    path: str
    request: Upstream | None = None


Effect = Send | Close | Ask


class Connection:
    """The protocol on one socket.

    ``check`` verifies tokens, ``violate`` is told of what is not allowed, ``queries`` answers what Flex asks beside Sync, ``new_sid`` makes
    identifiers.
    """

    def __init__(
        self,
        store: SyncStore,
        requests: SyncRequests,
        behaviour: SocketBehaviour,
        *,
        check: Callable[[str, float], Holder],
        violate: Callable[[Rule, str], None],
        queries: LiveQueries,
        new_sid: Callable[[str], str],
    ) -> None:
        self._requests = requests
        self._behaviour = behaviour
        self._check = check
        self._violate = violate
        self._queries = queries
        self._new_sid = new_sid
        self._subscriptions = Subscriptions(store, behaviour.subscriptions)
        self._asked_init = False
        self._noticed = False
        self._waiting: dict[str, tuple[float, str]] = {}
        self._late: deque[str] = deque(maxlen=_LATE_KEPT)
        self._closing = False
        self.holder: Holder | None = None
        self.products: tuple[str, ...] = ()

    @property
    def product(self) -> str:
        """What the client registered first; empty if nothing."""
        return self.products[0] if self.products else ""

    @property
    def subscribed(self) -> frozenset[str]:
        """The SIDs of the objects it listens to."""
        return self._subscriptions.sids

    # From the client

    def receive_text(self) -> list[Effect]:
        """A text frame: never allowed."""
        return self._break(Rule.TEXT_FRAME, "a text frame")

    def receive(self, data: bytes) -> list[Effect]:
        """A binary frame."""
        try:
            packet = decode(data)
        except BadPacket as error:
            return self._break(Rule.BAD_PACKET, str(error))
        if not self._asked_init and packet.method not in ("init", "close"):
            return self._break(Rule.BEFORE_INIT, f"{packet.method[:40]} before init")
        match packet.method:
            case "init" if self._asked_init:
                return self._break(Rule.SECOND_INIT, "init for the second time")
            case "init":
                self._asked_init = True
                return [Ask(packet, "INIT", "/tsock/init")]
            case "update":
                return [Ask(packet, "UPDATE", "/tsock/update")]
            case "message":
                return self._message(packet)
            case "reply":
                if self._waiting.pop(packet.id, None) is None and packet.id not in self._late:
                    self._violate(Rule.STRAY_REPLY, "a reply to nothing")
                return []
            case "close":
                return [Close(_OVER)]
            case "telemetry.v1":
                if not isinstance(packet.header.get("events", packet.payload), list | dict):
                    self._violate(Rule.BAD_REQUEST, "telemetry without events")
                return []
            case "ping" | "put_notification_ctx" | "delete_notification_ctx":
                return [self._reply(packet.id)]
            case _:
                self._violate(Rule.UNKNOWN_METHOD, f"method {packet.method[:40]}")
                return [self._reply(packet.id, 400, "unknown method")]

    def _message(self, packet: Packet) -> list[Effect]:
        try:
            request = read_upstream(packet)
            if self.products and request.grant not in self.products:
                raise Improper(Rule.NO_ACTIVE_GRANT, f"active_grant {request.grant[:40]} is not registered")
        except Improper as refusal:
            self._violate(refusal.rule, refusal.message)
            return [self._reply(packet.id, 400, refusal.message)]
        return [Ask(packet, request.method, f"/{request.host.partition('.')[0]}{request.path}", request)]

    # What was asked

    def perform(self, ask: Ask, now: float) -> list[Effect]:
        """Carry it out."""
        try:
            if ask.packet.method == "init":
                return self._init(ask.packet, now)
            if ask.packet.method == "update":
                return self._update(ask.packet, now)
            return self._answer(ask, now)
        except Improper as refusal:
            self._violate(refusal.rule, refusal.message)
            return self.refuse(ask, refusal)
        except TwilioError as refusal:
            return self.refuse(ask, refusal)

    def refuse(self, ask: Ask, error: TwilioError, *, backoff_ms: int | None = None, transport: bool = False) -> list[Effect]:
        """Refuse it. ``transport``: as the socket's own refusal of a request; ``backoff_ms``: when to come again (init)."""
        if ask.packet.method == "message" and not transport:
            return [self._http_reply(ask.packet.id, error.status, {**error.body()})]
        payload = None if backoff_ms is None else {"backoff_policy": {"reconnect_min_ms": backoff_ms}}
        return [self._reply(ask.packet.id, error.status, error.message, error.code, payload=payload)]

    def _init(self, packet: Packet, now: float) -> list[Effect]:
        holder = self._verified(packet, now)
        registrations = packet.header.get("registrations")
        if registrations is not None and not isinstance(registrations, list):
            raise Improper(Rule.BAD_REQUEST, "registrations must be a list")
        rows = [row for row in registrations or [] if isinstance(row, dict)]
        self.holder = holder
        self.products = tuple(dict.fromkeys(str(row.get("product")) for row in rows))
        header = {
            "capabilities": list(CAPABILITIES),
            "continuation_token": self._new_sid("CT"),
            "continuation_token_status": {"reissued": True, "reissue_reason": "MISSING", "reissue_message": ""},
            "init_registrations": [
                {
                    "product": row.get("product"),
                    "type": row.get("type"),
                    "notification_ctx_id": self._new_sid("NC"),
                    "message_types": row.get("message_types"),
                    "notification_protocol_version": 0,
                }
                for row in rows
            ],
            "debug_info": {},
        }
        if self._behaviour.offline_storage and holder.sync is not None:
            name = f"{holder.sync.service_sid}-{holder.identity}"
            header["offline_storage"] = {SYNC_PRODUCT: {"storage_id": name}}
        return [self._reply(packet.id, extra=header)]

    def _update(self, packet: Packet, now: float) -> list[Effect]:
        self.holder = self._verified(packet, now)
        self._noticed = False
        return [self._reply(packet.id)]

    def _verified(self, packet: Packet, now: float) -> Holder:
        token = packet.header.get("token")
        if not isinstance(token, str) or not token:
            raise TwilioError(401, 20101, "Invalid Access Token")
        return self._check(token, now)

    def _answer(self, ask: Ask, now: float) -> list[Effect]:
        request, holder = ask.request, self.holder
        if request is None or holder is None:
            raise TwilioError(401, 20101, "No valid token was shown")
        if holder.sync is None or not request.host.startswith("cds.") or request.grant != SYNC_PRODUCT:
            return self._other(request)
        if request.path == "/v4/Subscriptions":
            told = self._subscriptions.ask(request, holder.sync)
            for sid in told.forbidden:
                self._violate(Rule.NOT_ALLOWED, f"subscription of {sid[:2] if is_sid(sid) else '…'}… without permission")
            reply: list[Effect] = [self._http_reply(request.id, told.answer.status, told.answer.body)]
            events: list[Effect] = [self._notify(one) for one in told.notifications]
            return events + reply if self._behaviour.subscriptions.events_first else reply + events
        answer = self._requests.answer(request, holder.sync, now)
        return [self._http_reply(request.id, answer.status, answer.body)]

    def _other(self, request: Upstream) -> list[Effect]:
        report = telemetry(request)
        if report is not None:
            return [self._http_reply(request.id, report.status, report.body)]
        queried = self._queries.answer(request) if request.host.startswith("cds.") else None
        if queried is None:
            raise refused(request)
        answer, told = queried
        return [self._http_reply(request.id, answer.status, answer.body), *map(self._notify, told)]

    # From the server

    def watch(self) -> list[Effect]:
        """What the client is told when something has changed in TaskRouter."""
        return [] if self._closing else [self._notify(one) for one in self._queries.changed()]

    def deliver(self, change: Change) -> list[Effect]:
        """What the client is told of a change of Sync."""
        if self.holder is None or self.holder.sync is None or self._closing:
            return []
        told = self._subscriptions.told(change, self.holder.sync)
        return [] if told is None else [self._notify(told)]

    def sent(self, send: Send, now: float) -> None:
        """A packet has left: if it wants an acknowledgement, it is waited for from now on."""
        if send.id:
            self._waiting[send.id] = (now, send.about.event_type if send.about else "a packet")

    def tick(self, now: float) -> list[Effect]:
        """What time brings: the notice before a token's end, the close at it, packets that nobody acknowledged."""
        for packet_id, (since, what) in list(self._waiting.items()):
            if now - since >= self._behaviour.acknowledge:
                del self._waiting[packet_id]
                self._late.append(packet_id)
                self._violate(Rule.NO_ACKNOWLEDGEMENT, f"{what} was not acknowledged")
        if self.holder is None or self._closing:
            return []
        left = self.holder.expires - now
        if left <= 0:
            return self.close(410, "Token expired")
        if left <= self._behaviour.notice and not self._noticed:
            return self.about_to_expire()
        return []

    def about_to_expire(self) -> list[Effect]:
        """Tell the client that its token ends soon."""
        self._noticed = True
        update = {"client_update_type": "token_about_to_expire", "client_update_message": "The access token is about to expire"}
        return [self._ordered("client_update", update)]

    def close(self, code: int, reason: str = "", *, backoff_ms: int | None = None) -> list[Effect]:
        """Tell the client to leave: 308 come again (after ``backoff_ms``), 401, 406, 410 (the token is over), 417."""
        self._closing = True
        payload = None if backoff_ms is None else {"backoff_policy": {"reconnect_min_ms": backoff_ms}}
        return [self._ordered("close", {"status": {"code": code, "status": reason or _phrase(code)}}, payload)]

    # Inside

    def _break(self, rule: Rule, detail: str) -> list[Effect]:
        self._violate(rule, detail)
        return [Close(_BAD_FRAME)]

    def _notify(self, told: Notification) -> Send:
        header = {"message_type": told.message_type, "notification_ctx_id": "ctx"}
        return self._ordered("notification", header, told.payload, about=told)

    def again(self, told: Notification) -> Send:
        """The same notification once more, as a packet of its own."""
        return self._notify(told)

    def _ordered(self, method: str, header: Mapping[str, Any], payload: Any = None, *, about: Notification | None = None) -> Send:
        packet_id = self._new_sid("TM")
        return Send(encode({"method": method, "id": packet_id, **header}, payload), about, packet_id)

    def _reply(
        self,
        packet_id: str,
        code: int = 200,
        description: str = "",
        error: int = 0,
        *,
        payload: Any = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Send:
        status: dict[str, Any] = {"code": code, "status": _phrase(code)}
        if description:
            status["description"] = description
        if error:
            status["errorCode"] = error
        return Send(encode({"method": "reply", "id": packet_id, "status": status, **(extra or {})}, payload))

    @staticmethod
    def _http_reply(packet_id: str, status: int, body: Any) -> Send:
        transport, http = {"code": 200, "status": "OK"}, {"code": status, "status": _phrase(status)}
        return Send(encode({"method": "reply", "id": packet_id, "status": transport, "http_status": http}, body))


def _phrase(code: int) -> str:
    try:
        return "OK" if code == 200 else HTTPStatus(code).phrase.upper().replace(" ", "_")
    except ValueError:
        return "UNKNOWN"
