"""What the answers to Sync requests say of Sync."""

from __future__ import annotations

import pytest

from voiceassist_crds.status import PeerReason
from voiceassist_relay.errors import TwilioBusy, TwilioError, TwilioRefused, TwilioUnclear
from voiceassist_relay.peer_health import PeerHealth
from voiceassist_relay.sync.health import SyncHealth, verdict


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> PeerHealth:
    return PeerHealth(clock.now)


@pytest.fixture
def watch(health: PeerHealth, clock: Clock) -> SyncHealth:
    return SyncHealth(health, clock)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, None),
        (TwilioRefused("sync_item_create", 409, 54208, ""), None),
        (TwilioRefused("sync_document_update", 412, 54103, ""), None),
        (TwilioRefused("sync_document_fetch", 404, 54300, ""), None),
        (TwilioRefused("sync_item_create", 400, 54008, ""), None),
        (TwilioRefused("sync_document_fetch", 404, 54050, ""), PeerReason.MISCONFIGURED),
        (TwilioRefused("sync_map_create", 404, 20404, ""), PeerReason.MISCONFIGURED),
        (TwilioRefused("sync_map_create", 401, 20003, ""), PeerReason.REFUSED),
        (TwilioRefused("sync_map_create", 403, 20008, ""), PeerReason.REFUSED),
        (TwilioBusy("sync_map_create", 429, 20429, ""), PeerReason.RATE_LIMITED),
        (TwilioUnclear("sync_map_create", 503, 20503, ""), PeerReason.SERVER_ERROR),
        (TwilioUnclear("sync_map_create", 0, 0, "no answer"), PeerReason.UNREACHABLE),
    ],
)
def test_health_verdict(error: TwilioError | None, reason: PeerReason | None) -> None:
    found = verdict(error)
    assert (found[0] if found else None) is reason


FAULT = TwilioUnclear("sync_item_create", 500, 20500, "")
REFUSED = TwilioRefused("sync_item_create", 401, 20003, "")


def test_health_a_refusal_counts_at_once_and_one_answer_clears_it(watch: SyncHealth, health: PeerHealth) -> None:
    watch(None, watch.asking())
    assert health.status.ok
    watch(REFUSED, watch.asking())
    assert (health.status.ok, health.status.reason) == (False, PeerReason.REFUSED)
    assert "20003" in health.status.message
    watch(None, watch.asking())
    assert health.status.ok


def test_health_some_failing_requests_among_many_are_no_outage(watch: SyncHealth, health: PeerHealth, clock: Clock) -> None:
    for _ in range(20):
        watch(None, watch.asking())
        for _ in range(5):
            clock.now += 0.3
            watch(FAULT, watch.asking())
        assert health.status.ok


def test_health_an_outage_is_noticed_within_seconds(watch: SyncHealth, health: PeerHealth, clock: Clock) -> None:
    watch(None, watch.asking())
    for _ in range(8):
        clock.now += 0.5
        watch(FAULT, watch.asking())
    assert (health.status.ok, health.status.reason) == (False, PeerReason.SERVER_ERROR)
    assert health.status.since <= clock.now


def test_health_a_relay_that_never_got_through_says_so(watch: SyncHealth, health: PeerHealth) -> None:
    watch(FAULT, watch.asking())
    assert (health.status.ok, health.status.reason) == (False, PeerReason.SERVER_ERROR)


def test_health_an_answer_to_what_was_asked_before_a_change_says_nothing(watch: SyncHealth, health: PeerHealth, clock: Clock) -> None:
    before = watch.asking()
    health.changed(clock.now)
    watch(None, before)
    assert (health.status.ok, health.status.reason) == (False, PeerReason.UNKNOWN)
    watch(None, watch.asking())
    assert health.status.ok
