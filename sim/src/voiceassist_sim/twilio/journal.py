"""What was asked and what was published lately: bounded records for inspection; when one is full the oldest entry goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from .sync_model import Change

REQUESTS_KEPT: Final = 10_000
CHANGES_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One REST request: no body, no query, no secret. ``at`` in seconds since the epoch; ``fault`` names the fault that struck it."""

    at: float
    method: str
    path: str
    status: int
    milliseconds: float
    code: int | None = None
    user: str | None = None
    fault: str | None = None


class Journal:
    """The last requests and the last Sync changes, with counts of all that there ever were."""

    def __init__(self) -> None:
        self._requests: deque[RequestEntry] = deque(maxlen=REQUESTS_KEPT)
        self._changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.total_requests = 0
        self.total_changes = 0

    def add_request(self, entry: RequestEntry) -> None:
        """Keep a request."""
        self._requests.append(entry)
        self.total_requests += 1

    def add_change(self, change: Change) -> None:
        """Keep a Sync change or message."""
        self._changes.append(change)
        self.total_changes += 1

    def requests(self) -> list[RequestEntry]:
        """The kept requests, oldest first."""
        return list(self._requests)

    def messages(self) -> Iterator[Change]:
        """The kept messages to Sync streams, oldest first."""
        return (change for change in list(self._changes) if change.event == "message")

    def changes(self) -> list[Change]:
        """The kept Sync changes, messages among them, oldest first."""
        return list(self._changes)

    def requests_json(self) -> dict[str, Any]:
        """As the control API gives it."""
        return {"total": self.total_requests, "kept": len(self._requests), "requests": [asdict(entry) for entry in self._requests]}
