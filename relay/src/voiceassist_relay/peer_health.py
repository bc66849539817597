"""How a peer (the model, Sync) is doing, seen from this relay: pure rules over what the calls report."""

from __future__ import annotations

from voiceassist_crds.status import PeerReason, PeerStatus

FAILURES = 3
_FINAL = frozenset({PeerReason.REFUSED, PeerReason.QUOTA, PeerReason.MISCONFIGURED, PeerReason.AUDIO_FORMAT})


class PeerHealth:
    """A definite refusal counts at once, passing faults from the third in a row, one success clears."""

    def __init__(self, now: float) -> None:
        """`now` in epoch seconds."""
        self._status = PeerStatus(ok=False, reason=PeerReason.UNKNOWN, message="not tried yet", since=now)
        self._failures = 0
        self._changes = 0
        self._times_heard = 0

    @property
    def status(self) -> PeerStatus:
        """The peer's state."""
        return self._status

    def changed(self, now: float) -> None:
        """What is asked of the peer, or with which key, is another from now on: nothing is known until an answer to that is there."""
        self._changes += 1
        self._failures = 0
        self._status = PeerStatus(ok=False, reason=PeerReason.UNKNOWN, message="changed, and not tried yet", since=now)

    def reporter(self) -> Reporter:
        """For whoever asks the peer as it is configured now; what it reports after a change counts no more."""
        return Reporter(self, self._changes)

    @property
    def changes(self) -> int:
        """How often `changed` was called."""
        return self._changes

    def worked(self, now: float) -> None:
        """Something went through."""
        self._failures = 0
        if self._status.reason is PeerReason.AUDIO_FORMAT:  # a session can be opened all the same: see `heard`
            return
        if not self._status.ok:
            self._status = PeerStatus(ok=True, reason=None, message="", since=now)

    def heard(self, now: float) -> None:
        """The peer hears the audio that it is sent as what it is."""
        self._times_heard += 1
        if self._status.reason is PeerReason.AUDIO_FORMAT:
            self._failures, self._status = 0, PeerStatus(ok=True, reason=None, message="", since=now)

    @property
    def times_heard(self) -> int:
        """How often `heard` was called."""
        return self._times_heard

    def failed(self, reason: PeerReason, message: str, now: float) -> None:
        """Something did not go through. `message` must hold no secret."""
        self._failures += 1
        if reason not in _FINAL and self._failures < FAILURES and self._status.ok:
            return
        if self._status.ok or self._status.reason is not reason or self._failures == 1:
            self._status = PeerStatus(ok=False, reason=reason, message=message[:500], since=now)


class Reporter:
    """Reports of one who asked the peer under one configuration: a call, a check, a request."""

    __slots__ = ("_changes", "_health")

    def __init__(self, health: PeerHealth, changes: int) -> None:
        self._health, self._changes = health, changes

    @property
    def counts(self) -> bool:
        """Whether the configuration is still the one that was asked under."""
        return self._health.changes == self._changes

    def worked(self, now: float) -> None:
        """As PeerHealth's."""
        if self.counts:
            self._health.worked(now)

    def heard(self, now: float) -> None:
        """As PeerHealth's."""
        if self.counts:
            self._health.heard(now)

    def failed(self, reason: PeerReason, message: str, now: float) -> None:
        """As PeerHealth's."""
        if self.counts:
            self._health.failed(reason, message, now)
