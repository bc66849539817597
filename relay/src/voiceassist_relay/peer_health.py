"""How a peer (the model, Sync) is doing, seen from this relay: pure rules over what the calls report."""

from __future__ import annotations

from voiceassist_crds.status import PeerReason, PeerStatus

FAILURES = 3
_FINAL = frozenset({PeerReason.REFUSED, PeerReason.QUOTA, PeerReason.MISCONFIGURED})


class PeerHealth:
    """A definite refusal counts at once, passing faults from the third in a row, one success clears."""

    def __init__(self, now: float) -> None:
        """`now` in epoch seconds."""
        self._status = PeerStatus(ok=False, reason=PeerReason.UNKNOWN, message="not tried yet", since=now)
        self._failures = 0

    @property
    def status(self) -> PeerStatus:
        """The peer's state."""
        return self._status

    def worked(self, now: float) -> None:
        """Something went through."""
        self._failures = 0
        if not self._status.ok:
            self._status = PeerStatus(ok=True, reason=None, message="", since=now)

    def failed(self, reason: PeerReason, message: str, now: float) -> None:
        """Something did not go through. `message` must hold no secret."""
        self._failures += 1
        if reason not in _FINAL and self._failures < FAILURES and self._status.ok:
            return
        if self._status.ok or self._status.reason is not reason or self._failures == 1:
            self._status = PeerStatus(ok=False, reason=reason, message=message[:500], since=now)
