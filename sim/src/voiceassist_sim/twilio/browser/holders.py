"""Who holds the token that a browser shows: an access token of Sync's, or a Flex token; pure, with the time passed in."""

from __future__ import annotations

from dataclasses import dataclass

from ..access_tokens import SyncGrant, verify
from ..account import Account


@dataclass(frozen=True, slots=True)
class Holder:
    """A verified token's holder. ``sync`` is the grant of a Sync service, ``None`` for a Flex token; ``expires`` in epoch seconds."""

    identity: str
    expires: float
    sync: SyncGrant | None
    worker_sid: str | None = None


class Holders:
    """Verifies tokens for one account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def check(self, token: str, now: float) -> Holder:
        """The holder; raises TwilioError 401 with the vendor's codes (20101 not a token, 20104 expired, …)."""
        found = self._account.flex_tokens.find(token, now)
        if found is not None:
            return Holder(found.identity, found.expires, None, found.worker_sid)
        grant = verify(token, self._account.account_sid, self._account.credentials.keys, now)
        return Holder(grant.identity, grant.expires, grant)
