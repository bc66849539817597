"""One connection's subscriptions: establish with replay, cancel, refusal, and which of the store's changes it is told; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..access_tokens import SyncGrant
from ..sync_model import Change, Kind, SyncObject
from ..sync_store import SyncStore
from ..sync_view import may_read, may_see
from .behaviour import SubscriptionBehaviour
from .sync_events import EVENT_PROTOCOL, REPLAYED, Notification, notification
from .upstream import Downstream, Improper, Upstream
from .violations import Rule

_FIELDS: Final = frozenset({"event_protocol_version", "action", "correlation_id", "retried_requests", "ttl_in_s", "requests", "reason"})
FIRST_BATCH: Final = 100
"""Objects that a client may ask for at once before it was told how many."""
_KINDS: Final = {kind.word: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Order:
    """One object of a subscription request; ``after``: the number of the last event that the client knows."""

    sid: str
    kind: str
    after: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a request of subscriptions comes to: the answer, what follows it, and objects that the token may not read."""

    answer: Downstream
    notifications: list[Notification]
    forbidden: list[str]


class Subscriptions:
    """What one connection listens to."""

    def __init__(self, store: SyncStore, behaviour: SubscriptionBehaviour) -> None:
        self._store = store
        self._behaviour = behaviour
        self._sids: set[str] = set()
        self._most = FIRST_BATCH

    @property
    def sids(self) -> frozenset[str]:
        """The objects that it listens to."""
        return frozenset(self._sids)

    def ask(self, request: Upstream, grant: SyncGrant) -> Told:
        """Establish or cancel; raises `Improper` for a request of another form."""
        body = request.body
        if request.method != "POST" or not isinstance(body, dict):
            raise Improper(Rule.BAD_REQUEST, "subscriptions are POSTed as a JSON object")
        if body.get("event_protocol_version") != EVENT_PROTOCOL:
            raise Improper(Rule.PROTOCOL_VERSION, f"event_protocol_version must be {EVENT_PROTOCOL}")
        if set(body) - _FIELDS or request.params:
            raise Improper(Rule.UNKNOWN_PARAMETER, "unknown field in a subscription")
        correlation = body.get("correlation_id")
        if isinstance(correlation, bool) or not isinstance(correlation, int):
            raise Improper(Rule.BAD_REQUEST, "correlation_id must be a number")
        orders = _orders(body)
        if len(orders) > self._most:
            raise Improper(Rule.BAD_REQUEST, f"at most {self._most} objects at once")
        self._most = self._behaviour.max_batch_size
        refused: list[str] = []
        told: list[Notification] = []
        establish = body["action"] == "establish"
        for order in orders:
            told += self._establish(order, correlation, grant, refused) if establish else self._cancel(order, correlation)
        return Told(Downstream(200, self._behaviour.answer()), told, refused)

    def told(self, change: Change, grant: SyncGrant) -> Notification | None:
        """What this connection is told of a change, ``None`` if nothing."""
        if change.sid not in self._sids or change.service_sid != grant.service_sid:
            return None
        if change.event == "removed":
            self._sids.discard(change.sid)
        elif not may_see(self._store, grant, change.service_sid, change.sid):
            return None
        return notification(change)

    def _establish(self, order: Order, correlation: int, grant: SyncGrant, refused: list[str]) -> Iterator[Notification]:
        service = self._store.services.get(grant.service_sid)
        found = None if service is None else service.objects.get(order.sid)
        if service is None or found is None or found.kind.word != order.kind:
            yield _failed(order, correlation, 404, _KINDS[order.kind].not_found, f"{order.kind.title()} not found")
            return
        if not may_read(service, found, grant.identity):
            refused.append(order.sid)
            self._sids.discard(order.sid)
            yield _failed(order, correlation, 403, 54007, "Access forbidden for identity")
            return
        self._sids.add(found.sid)
        replayed = list(_missed(found, order.after))
        interrupted = self._behaviour.interrupts()
        if interrupted:
            replayed = replayed[:1]
        for change in replayed:
            event = notification(change, replay=correlation)
            if event is not None:
                yield event
        reached = replayed[-1].event_id if interrupted and replayed else order.after if interrupted else found.last_event
        yield _said(
            "subscription_established",
            correlation,
            {
                "object_sid": found.sid,
                "object_type": order.kind,
                "replay_status": "interrupted" if interrupted else "completed",
                "last_event_id": reached,
            },
        )

    def _cancel(self, order: Order, correlation: int) -> Iterator[Notification]:
        self._sids.discard(order.sid)
        yield _said("subscription_canceled", correlation, {"object_sid": order.sid, "object_type": order.kind})


def _orders(body: Mapping[str, Any]) -> list[Order]:
    requests, action = body.get("requests"), body.get("action")
    if action not in ("establish", "cancel") or not isinstance(requests, list):
        raise Improper(Rule.BAD_REQUEST, "action must be establish or cancel, requests a list")
    orders = []
    for one in requests:
        if not isinstance(one, dict) or not isinstance(one.get("object_sid"), str) or one.get("object_type") not in _KINDS:
            raise Improper(Rule.BAD_REQUEST, "a request needs object_sid and object_type")
        if set(one) - {"object_sid", "object_type", "last_event_id"}:
            raise Improper(Rule.UNKNOWN_PARAMETER, "unknown field in a request of a subscription")
        after = one.get("last_event_id")
        if after is not None and (isinstance(after, bool) or not isinstance(after, int)):
            raise Improper(Rule.BAD_REQUEST, "last_event_id must be a number or null")
        orders.append(Order(one["object_sid"], one["object_type"], after))
    return orders


def _missed(found: SyncObject, after: int | None) -> Iterator[Change]:
    if after is not None and found.kind is not Kind.STREAM:
        yield from (change for change in found.history if change.event_id > after)


def _failed(order: Order, correlation: int, status: int, code: int, message: str) -> Notification:
    error = {"status": status, "code": code, "message": message}
    return _said("subscription_failed", correlation, {"object_sid": order.sid, "object_type": order.kind, "error": error})


def _said(event_type: str, correlation: int, event: Mapping[str, Any]) -> Notification:
    payload = {
        "event_type": event_type,
        "correlation_id": correlation,
        "event_protocol_version": EVENT_PROTOCOL,
        "events": [event],
    }
    return Notification(REPLAYED, payload)
