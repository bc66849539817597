"""Changes of Sync as they are told, their numbers, and what a subscriber that was away is told."""

from __future__ import annotations

from typing import Any

from voiceassist_sim.twilio.access_tokens import SyncGrant
from voiceassist_sim.twilio.browser.behaviour import SubscriptionBehaviour
from voiceassist_sim.twilio.browser.subscriptions import Subscriptions
from voiceassist_sim.twilio.browser.sync_events import notification
from voiceassist_sim.twilio.browser.upstream import Upstream
from voiceassist_sim.twilio.settings import Settings
from voiceassist_sim.twilio.sids import SidSource
from voiceassist_sim.twilio.sync_model import EVENTS_KEPT, Change, Kind, Payload
from voiceassist_sim.twilio.sync_store import SyncStore

NOW = 1_800_000_000.0


class Sync:
    """A store and one subscriber."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.store = SyncStore(SidSource(1), Settings(), self.changes.append)
        self.service = self.store.create_service(NOW)
        self.behaviour = SubscriptionBehaviour()
        self.subscriptions = Subscriptions(self.store, self.behaviour)
        self.grant = SyncGrant("ann", self.service.sid, NOW + 60)
        self.map = self.store.create(self.service, Kind.MAP, NOW, unique_name="M")

    def put(self, key: str, at: float = NOW) -> None:
        if key in self.map.items:
            self.store.update_item(self.map, key, Payload({"n": 2}, 9), None, at)
        else:
            self.store.add_item(self.map, key, Payload({"n": 1}, 9), at)

    def ask(self, after: int | None, action: str = "establish") -> list[dict[str, Any]]:
        row = {"object_sid": self.map.sid, "object_type": "map", "last_event_id": after}
        body = {"event_protocol_version": 4, "action": action, "correlation_id": 9, "requests": [row]}
        request = Upstream("TM1", "data_sync", "cds.us1.twilio.com", "/v4/Subscriptions", "POST", {}, {}, body)
        return [dict(one.payload) for one in self.subscriptions.ask(request, self.grant).notifications]


def test_events_are_numbered_without_a_gap() -> None:
    sync = Sync()
    sync.put("a")
    sync.put("a")
    sync.store.delete_item(sync.map, "a", None, NOW)
    told = [notification(change) for change in sync.changes]
    assert told[0] is None, "nobody is told of a new object"
    assert [(one.event_type, one.payload["event"]["id"]) for one in told if one] == [
        ("map_item_added", 1),
        ("map_item_updated", 2),
        ("map_item_removed", 3),
    ]
    assert told[3] is not None
    assert told[3].payload["event"]["item_data"] == {"n": 2}
    assert sync.map.last_event == 3


def test_who_was_away_is_told_what_is_newer() -> None:
    sync = Sync()
    for key in "abc":
        sync.put(key)
    told = sync.ask(1)
    assert [one["event_type"] for one in told] == ["map_item_added", "map_item_added", "subscription_established"]
    assert [one["event"]["item_key"] for one in told[:-1]] == ["b", "c"]
    assert all(one["correlation_id"] == 9 for one in told)
    assert told[-1]["events"][0]["last_event_id"] == 3
    assert [one["event_type"] for one in sync.ask(3)] == ["subscription_established"]
    assert [one["event_type"] for one in sync.ask(None)] == ["subscription_established"], "null is not 0"


def test_a_replay_is_broken_off() -> None:
    sync = Sync()
    for key in "abc":
        sync.put(key)
    sync.behaviour.interrupted = 1
    told = sync.ask(0)
    assert [one["event_type"] for one in told] == ["map_item_added", "subscription_established"]
    assert told[-1]["events"][0] | {"object_sid": ""} == {
        "object_sid": "",
        "object_type": "map",
        "replay_status": "interrupted",
        "last_event_id": 1,
    }
    assert len(sync.ask(1)) == 3


def test_only_what_is_subscribed_is_told() -> None:
    sync = Sync()
    sync.put("a")
    assert sync.subscriptions.told(sync.changes[-1], sync.grant) is None
    sync.ask(1)
    assert sync.subscriptions.told(sync.changes[-1], sync.grant) is not None
    other = SyncGrant("ann", "IS0", NOW + 60)
    assert sync.subscriptions.told(sync.changes[-1], other) is None
    sync.service.acl_enabled = True
    assert sync.subscriptions.told(sync.changes[-1], sync.grant) is None, "a permission that was taken back counts at once"
    sync.service.acl_enabled = False
    assert [one["event_type"] for one in sync.ask(None, "cancel")] == ["subscription_canceled"]
    assert sync.subscriptions.told(sync.changes[-1], sync.grant) is None


def test_what_is_remembered_is_bounded() -> None:
    sync = Sync()
    for number in range(EVENTS_KEPT + 5):
        sync.put("a", NOW + number)
    assert len(sync.map.history) == EVENTS_KEPT
    assert sync.map.history[0].event_id == 6


def test_messages_are_not_replayed() -> None:
    sync = Sync()
    stream = sync.store.create(sync.service, Kind.STREAM, NOW)
    sync.store.publish(stream, Payload({"d": 1}, 9), NOW)
    told = notification(sync.changes[-1])
    assert told is not None
    assert (told.message_type, told.event_type) == ("twilio.sync.event", "stream_message_published")
    assert len(stream.history) == 0
