"""What Flex's own Sync client watches on one connection: live queries of workers, reservations and queues, and conferences; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..account import Account
from ..dates import iso_millis
from ..errors import TwilioError, bad_parameter
from ..taskrouter import Reservation
from .conferences import Conferences
from .queries import compile_query
from .sync_events import REPLAYED, Notification
from .taskrouter_json import QUEUE_NAME
from .upstream import Downstream, Upstream

_ACTIVE: Final = ("pending", "accepted", "wrapping")
_OLD_PROTOCOL: Final = 3
"""The event protocol of the client (twilio-sync 2.0.1) that Flex asks with."""

Rows = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Query:
    """One live query, or one map that is read like one; ``shown`` is what its client knows."""

    sid: str
    index: str
    text: str
    kind: str = "live_query"
    shown: Rows = field(default_factory=dict)
    subscribed: bool = False
    event: int = 0


class LiveQueries:
    """The live queries of one connection, on TaskRouter's state."""

    def __init__(self, account: Account, conferences: Conferences) -> None:
        self._account = account
        self._conferences = conferences
        self._queries: dict[str, Query] = {}
        self._indexes: Mapping[str, Callable[[], Rows]] = {
            "tr-worker": self._workers,
            "tr-reservation": self._reservations,
            "tr-queue": self._queues,
            "tr-task": dict,
        }

    def answer(self, request: Upstream) -> tuple[Downstream, list[Notification]] | None:
        """The answer to a query or a subscription, with what follows it; ``None`` for another request."""
        if request.path == "/v4/Subscriptions" and request.method == "POST":
            return self._subscribe(request.body)
        match request.segments:
            case ["v3", "Insights", index, "Items"] if request.method == "POST":
                return Downstream(200, self._query(index, request.body)), []
            case ["v3", "Maps", name] if request.method == "GET":
                return self._map(request, name)
            case ["v3", "Maps", sid, "Items"] if request.method == "GET" and sid in self._queries:
                return self._items(self._queries[sid]), []
            case _:
                return None

    def changed(self) -> list[Notification]:
        """What has become different in the queries that are subscribed."""
        told = []
        for query in self._queries.values():
            if query.subscribed:
                told += self._differences(query)
        return told

    # Inside

    def _query(self, index: str, body: Any) -> dict[str, Any]:
        text = body.get("query_string") if isinstance(body, dict) else None
        if index not in self._indexes or not isinstance(text, str):
            raise bad_parameter("An index and query_string are expected")
        sid = f"QR{hashlib.md5(f'{index} {text}'.encode()).hexdigest()}"
        query = self._queries.setdefault(sid, Query(sid, index, text))
        query.shown = self._rows(query)
        items = [{"key": key, "data": row, "revision": query.event} for key, row in query.shown.items()]
        return {"query_id": sid, "last_event_id": query.event, "items": items}

    def _map(self, request: Upstream, name: str) -> tuple[Downstream, list[Notification]] | None:
        task_sid = name.removesuffix(".CS")
        if task_sid == name or self._conferences.rows(task_sid) is None:
            return None
        sid = f"MP{task_sid[2:]}"
        query = self._queries.setdefault(sid, Query(sid, "conference", task_sid, "map"))
        query.shown = self._rows(query)
        url = f"https://{request.host}/v3/Maps/{sid}"
        shown = {"sid": sid, "unique_name": name, "url": url, "revision": "0", "last_event_id": query.event}
        dates = {"date_created": iso_millis(0), "date_updated": iso_millis(0), "date_expires": None}
        return Downstream(200, shown | dates | {"links": {"items": f"{url}/Items"}}), []

    @staticmethod
    def _items(query: Query) -> Downstream:
        rows = [
            {"key": key, "data": row, "revision": "0", "last_event_id": query.event, "date_updated": iso_millis(0), "url": ""}
            for key, row in sorted(query.shown.items())
        ]
        return Downstream(200, {"items": rows, "meta": {"key": "items", "previous_token": None, "next_token": None}})

    def _subscribe(self, body: Any) -> tuple[Downstream, list[Notification]]:
        if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
            raise bad_parameter("requests must be a list")
        told = []
        for one in body["requests"]:
            sid, establish = str(one.get("object_sid")), body.get("action") == "establish"
            query = self._queries.get(sid)
            place = {"object_sid": sid, "object_type": one.get("object_type")}
            if query is None and establish and isinstance(one.get("query_string"), str):
                self._query(str(one.get("index_name")), one)
                query = self._queries.get(sid)
            if query is None:
                error = {"status": 404, "code": 54500, "message": "Query not found"}
                told.append(self._said("subscription_failed", place | {"error": error}, body))
                continue
            query.subscribed = establish
            if establish:
                told += self._differences(query)
                about = place | {"replay_status": "completed", "last_event_id": query.event}
                told.append(self._said("subscription_established", about, body))
            else:
                told.append(self._said("subscription_canceled", place, body))
        return Downstream(200, {"max_batch_size": 1000, "estimated_delivery_in_ms": 5000}), told

    @staticmethod
    def _said(event_type: str, event: Mapping[str, Any], body: Mapping[str, Any]) -> Notification:
        payload = {"event_type": event_type, "correlation_id": body.get("correlation_id"), "event_protocol_version": _OLD_PROTOCOL}
        return Notification(REPLAYED, payload | {"event": event})

    def _differences(self, query: Query) -> list[Notification]:
        told, now = [], self._rows(query)
        for key in [*now, *(key for key in query.shown if key not in now)]:
            if now.get(key) == query.shown.get(key):
                continue
            query.event += 1
            happened = "removed" if key not in now else "updated" if key in query.shown or query.kind != "map" else "added"
            event: dict[str, Any] = {"item_key": key, "item_revision": query.event, "last_event_id": query.event}
            if query.kind == "map":
                event |= {"map_sid": query.sid, "id": query.event, "date_created": iso_millis(self._account.clock())}
            else:
                event["query_id"] = query.sid
            payload = {
                "event_type": f"{query.kind}_item_{happened}",
                "event": event | ({"item_data": now[key]} if key in now else {}),
                "event_protocol_version": _OLD_PROTOCOL,
                "strictly_ordered": True,
            }
            told.append(Notification(REPLAYED, payload))
        query.shown = now
        return told

    def _rows(self, query: Query) -> Rows:
        if query.index == "conference":
            return self._conferences.rows(query.text) or {key: row | {"status": "left"} for key, row in query.shown.items()}
        test = compile_query(query.text)
        return {key: row for key, row in self._indexes[query.index]().items() if test(row)}

    def _workers(self) -> Rows:
        return {
            one.sid: {
                "worker_sid": one.sid,
                "friendly_name": one.name,
                "activity_name": one.activity.name,
                "worker_activity_sid": one.activity.sid,
                "attributes": json.loads(one.attributes),
                "date_updated": iso_millis(one.updated),
                "date_activity_changed": iso_millis(one.status_changed),
                "team_sid": None,
                "queue_sids": [self._account.taskrouter.queue_sid],
            }
            for one in self._account.taskrouter.workers.values()
        }

    def _reservations(self) -> Rows:
        held = self._account.taskrouter.reservations.values()
        return {one.sid: self._reservation(one) for one in held if one.status in _ACTIVE and one.task_sid in self._account.taskrouter.tasks}

    def _reservation(self, found: Reservation) -> dict[str, Any]:
        task = self._account.taskrouter.tasks[found.task_sid]
        return {
            "reservation_sid": found.sid,
            "worker_sid": found.worker_sid,
            "task_sid": task.sid,
            "status": "wrapup" if found.status == "wrapping" else found.status,
            "task_status": task.status,
            "attributes": json.loads(task.attributes),
            "task_age": 0,
            "task_priority": task.priority,
            "queue_name": QUEUE_NAME,
            "task_channel_unique_name": "voice",
            "task_routing_target": None,
            "date_created": iso_millis(found.created),
            "date_updated": iso_millis(found.updated),
        }

    def _queues(self) -> Rows:
        sid = self._account.taskrouter.queue_sid
        return {sid: {"queue_sid": sid, "queue_name": QUEUE_NAME, "friendly_name": QUEUE_NAME, "date_updated": iso_millis(0)}}


def telemetry(request: Upstream) -> Downstream | None:
    """Flex's own reports of what it does: taken, and forgotten."""
    if request.host == "flex-sdk.twilio.com" and request.path.startswith("/v1/Telemetry/"):
        return Downstream(200, {})
    return None


def refused(request: Upstream) -> TwilioError:
    """What is said to those who ask for what is not here."""
    return TwilioError(404, 20404, f"Nothing here for {request.host[:40]}")
