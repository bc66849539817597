"""How Sync is doing, told from the answers to all requests of this relay."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import structlog

from voiceassist_crds.status import PeerReason

from ..errors import TwilioBusy, TwilioError, TwilioRefused
from ..peer_health import PeerHealth, Reporter

QUIET_SECONDS = 2.0
"""A passing fault counts only when nothing has gone through for so long: some failing requests among many are no outage."""
SERVICE_MISSING = 54050
log = structlog.get_logger(__name__)

_CREATIONS = frozenset({"sync_document_create", "sync_map_create", "sync_stream_create"})


def is_service_missing(error: TwilioRefused) -> bool:
    """Whether it is the Sync service itself that does not exist: 404 for a creation can mean nothing else."""
    return error.code == SERVICE_MISSING or (error.status == HTTPStatus.NOT_FOUND and error.operation in _CREATIONS)


def is_ours_to_mend(error: TwilioRefused) -> bool:
    """Whether the refusal is about credentials or the service, not about this request: it may pass when they are put right."""
    return error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} or is_service_missing(error)


def verdict(error: TwilioError | None) -> tuple[PeerReason, str] | None:
    """What an answer says of Sync: None if it is well (a refusal of one request is an answer like any other)."""
    if error is None:
        return None
    if isinstance(error, TwilioRefused):
        if is_service_missing(error):
            return PeerReason.MISCONFIGURED, f"the Sync service does not exist ({error.code}); check twilio.syncServiceSid"
        if is_ours_to_mend(error):
            return PeerReason.REFUSED, f"Twilio refuses the credentials ({error.status}/{error.code}); check the API key and its account"
        return None
    if isinstance(error, TwilioBusy):
        return PeerReason.RATE_LIMITED, f"Twilio answers that there are too many requests ({error.status}/{error.code})"
    if error.status:
        return PeerReason.SERVER_ERROR, f"Sync answers with {error.status}/{error.code}"
    return PeerReason.UNREACHABLE, error.message


class SyncHealth:
    """Feeds the relay's PeerHealth of Sync, and logs its changes; given to SyncClient as its `watch`."""

    def __init__(self, health: PeerHealth, epoch: Callable[[], float]) -> None:
        self._health, self._epoch = health, epoch
        self._worked = float("-inf")

    def asking(self) -> Reporter:
        """Before a request; given back with its answer."""
        return self._health.reporter()

    def __call__(self, error: TwilioError | None, reporter: Reporter) -> None:
        """One answer, or none. Those to what was asked before a change do not count."""
        if not reporter.counts:
            return
        now, before = self._epoch(), self._health.status
        found = verdict(error)
        if found is None:
            self._worked = now
            self._health.worked(now)
        elif isinstance(error, TwilioRefused) or now - self._worked >= QUIET_SECONDS:
            self._health.failed(*found, now)
        after = self._health.status
        if after is not before:
            if after.ok:
                log.info("sync is well", seconds_not=round(now - before.since, 1))
            else:
                log.warning("sync is not well", reason=after.reason, message=after.message)
