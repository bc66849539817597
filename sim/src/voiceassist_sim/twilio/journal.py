"""What was asked and what was published lately: bounded records for inspection; when one is full the oldest entry goes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from .sync_model import Change

REQUESTS_KEPT: Final = 10_000
CHANGES_KEPT: Final = 20_000
MARKS_KEPT: Final = 1_000


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


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to count from."""

    total: int
    counts: Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Count:
    """The requests since a mark, as exact after ten thousand as after ten; ``by`` counts by product and method."""

    total: int
    by: dict[str, dict[str, int]]
    most_at_once: int

    def of(self, product: str | None = None, method: str | None = None) -> int:
        """Those to one product, or with one method, or both."""
        return sum(n for name, row in self.by.items() if product in (None, name) for verb, n in row.items() if method in (None, verb))


class Journal:
    """The last requests and the last Sync changes, with counts of all that there ever were."""

    def __init__(self) -> None:
        self._requests: deque[RequestEntry] = deque(maxlen=REQUESTS_KEPT)
        self._changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self.total_requests = 0
        self.total_changes = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._marks: dict[int, Mark] = {}
        self._next_mark = 1
        self._most_at_once = 0

    def add_request(self, entry: RequestEntry) -> None:
        """Keep a request."""
        self._requests.append(entry)
        self.total_requests += 1
        self._counts[entry.path.removeprefix("/").partition("/")[0], entry.method] += 1

    def running(self, requests: int) -> None:
        """So many are served at this moment."""
        self._most_at_once = max(self._most_at_once, requests)

    def mark(self) -> int:
        """Count from here; `since` takes what this gives. The highest number of requests at once is counted from the latest mark."""
        number, self._next_mark = self._next_mark, self._next_mark + 1
        self._marks[number] = Mark(self.total_requests, Counter(self._counts))
        if len(self._marks) > MARKS_KEPT:
            del self._marks[next(iter(self._marks))]
        self._most_at_once = 0
        return number

    def since(self, mark: int | None = None) -> Count:
        """The finished requests since a mark, or all; raises ValueError for a mark that is not known (any more)."""
        if mark is not None and mark not in self._marks:
            raise ValueError(f"there is no mark {mark}")
        begin = Mark(0, Counter()) if mark is None else self._marks[mark]
        by: dict[str, dict[str, int]] = {}
        for (product, method), number in sorted((self._counts - begin.counts).items()):
            by.setdefault(product, {})[method] = number
        return Count(self.total_requests - begin.total, by, self._most_at_once)

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
