"""A change of Sync as the notification that its subscribers get; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..dates import iso_millis
from ..sync_model import Change, Kind
from ..sync_store import revision_text
from .sync_requests import item_url

REPLAYED: Final = "twilio.sync.event"
"""Message type of replayed events, and of everything about streams and subscriptions."""
CDS: Final = "https://cds.us1.twilio.com"
EVENT_PROTOCOL: Final = 4
_LIVE: Final = {kind: f"com.twilio.rtd.cds.{kind.word}" for kind in (Kind.MAP, Kind.DOCUMENT, Kind.LIST)}


@dataclass(frozen=True, slots=True)
class Notification:
    """A ``notification`` packet before it has an identifier."""

    message_type: str
    payload: Mapping[str, Any]

    @property
    def event_type(self) -> str:
        """What happened."""
        return str(self.payload["event_type"])


def notification(change: Change, *, replay: int | None = None) -> Notification | None:
    """What a subscriber is told of a change; ``None`` for what nobody is told of. ``replay``: the correlation id of a replay."""
    event_type = _event_type(change)
    if event_type is None:
        return None
    payload: dict[str, Any] = {
        "event_type": event_type,
        "event": _event(change),
        "event_protocol_version": EVENT_PROTOCOL,
        "strictly_ordered": replay is not None,
    }
    if replay is not None:
        payload["correlation_id"] = replay
    return Notification(REPLAYED if replay is not None else _LIVE.get(change.kind, REPLAYED), payload)


def _event_type(change: Change) -> str | None:
    word = change.kind.word
    match change.event:
        case "message":
            return "stream_message_published"
        case "removed":
            return f"{word}_removed"
        case "updated" if change.kind is Kind.DOCUMENT:
            return "document_updated"
        case "item_added" | "item_updated" | "item_removed":
            return f"{word}_{change.event}"
        case _:
            return None


def _event(change: Change) -> dict[str, Any]:
    kind, word = change.kind, change.kind.word
    event: dict[str, Any] = {
        "id": change.event_id,
        "date_created": iso_millis(change.at),
        f"{word}_sid": change.sid,
        f"{word}_unique_name": change.unique_name,
    }
    if change.event == "message":
        return event | {"message_sid": change.message_sid, "message_data": change.data}
    if change.event == "updated":
        return event | {"document_data": change.data, "document_revision": revision_text(change.object_revision)}
    if change.key is None:
        return event
    event |= {
        "item_index" if kind is Kind.LIST else "item_key": change.key,
        f"{word}_revision": revision_text(change.object_revision),
        "item_revision": revision_text(change.revision or 0),
        "item_url": item_url(f"{CDS}/v3/{kind.segment}/{change.sid}", change.key),
    }
    if change.event == "item_removed":
        return event | {"item_data": change.previous}
    return event | {"item_data": change.data, "date_expires": None if change.expires is None else iso_millis(change.expires)}
