"""What goes out next on a call's Stream, and when: Sync's limits of rate and size, newest drafts, nothing kept for ever.

Two lanes. KEPT: suggestions, withdrawals and status, each sent, in the order they came. LATEST: drafts and transcripts, of which
only the newest state counts, so a newer one takes the place of an unsent one of the same item. LATEST leaves room in every second
for KEPT, and what is KEPT goes first. Time is an argument, in seconds of any clock that does not go back.
"""

from __future__ import annotations

from enum import Enum

from voiceassist_crds.messages import Draft, StreamMessage, Suggestion, Transcript, Withdrawn

MESSAGES_PER_SECOND = 8
LATEST_PER_SECOND = 6
"""Of the messages in a second, how many may be drafts and transcripts; they are spaced evenly, so a draft grows smoothly."""
BOUND = 256
"""Messages waiting at most; then drafts are dropped first, then unfinished transcripts, finished ones, and KEPT; oldest first."""
DRAFTS_IN_ROW = 2
"""While both wait, a transcript goes out after this many drafts."""
_REMEMBERED = 128
_NEVER = float("-inf")


class Lane(Enum):
    """How a message is treated."""

    KEPT = "kept"
    LATEST = "latest"


def lane_of(message: StreamMessage) -> Lane:
    """The lane of a message."""
    return Lane.LATEST if isinstance(message, Draft | Transcript) else Lane.KEPT


class Coalescer:
    """The messages of one call that wait for the Stream."""

    def __init__(self, *, per_second: int = MESSAGES_PER_SECOND, latest_per_second: int = LATEST_PER_SECOND, bound: int = BOUND) -> None:
        self._kept: list[StreamMessage] = []
        self._drafts: dict[str, Draft] = {}
        self._transcripts: dict[str, Transcript] = {}
        self._over: dict[str, None] = {}
        self._per_second, self._bound = per_second, bound
        self._spacing = 1.0 / latest_per_second
        self._sent: list[float] = []
        self._latest_ready = _NEVER
        self._drafts_in_row = 0

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._kept) + len(self._drafts) + len(self._transcripts)

    def waiting(self, lane: Lane) -> int:
        """Messages that wait in a lane."""
        return len(self._kept) if lane is Lane.KEPT else len(self._drafts) + len(self._transcripts)

    def offer(self, message: StreamMessage) -> tuple[StreamMessage, ...]:
        """A new message. Returns what was dropped for it, which a newer state of the same item is not."""
        match message:
            case Draft():
                if message.id not in self._over:
                    self._drafts[message.id] = message
            case Transcript():
                if message.final or message.id not in self._over:
                    self._transcripts[message.id] = message
                if message.final:
                    self._end(message.id)
            case Suggestion() | Withdrawn():
                self._drafts.pop(message.id, None)
                self._end(message.id)
                self._kept.append(message)
            case _:
                self._kept.append(message)
        return self._overflow()

    def put_back(self, message: StreamMessage) -> tuple[StreamMessage, ...]:
        """A message that was taken and not sent. Returns what was dropped; one that is out of date by now is not counted so."""
        match message:
            case Draft():
                if message.id not in self._over:
                    self._drafts.setdefault(message.id, message)
            case Transcript():
                if message.final or message.id not in self._over:
                    self._transcripts.setdefault(message.id, message)
            case _:
                self._kept.insert(0, message)
        return self._overflow()

    def ready_at(self, lane: Lane) -> float | None:
        """When the lane's next message may go out (a time that may be past); None if none waits."""
        if not self.waiting(lane):
            return None
        free = self._sent[0] + 1.0 if len(self._sent) == self._per_second else _NEVER
        return free if lane is Lane.KEPT else max(free, self._latest_ready)

    def take(self, lane: Lane, now: float) -> StreamMessage | None:
        """The lane's next message, counted as sent at `now`; None if none waits or it is too early."""
        ready = self.ready_at(lane)
        if ready is None or now < ready:
            return None
        self._sent.append(now)
        del self._sent[: -self._per_second]
        if lane is Lane.KEPT:
            return self._kept.pop(0)
        self._latest_ready = now + self._spacing
        if self._drafts and (not self._transcripts or self._drafts_in_row < DRAFTS_IN_ROW):
            self._drafts_in_row += 1
            return self._drafts.pop(next(iter(self._drafts)))
        self._drafts_in_row = 0
        return self._transcripts.pop(next(iter(self._transcripts)))

    def forget_unfinished(self) -> None:
        """Forgets drafts and unfinished transcripts: nothing will come of them."""
        self._drafts.clear()
        self._transcripts = {item: message for item, message in self._transcripts.items() if message.final}

    def clear(self) -> tuple[StreamMessage, ...]:
        """Forgets everything that waits, and returns it."""
        left = (*self._kept, *self._drafts.values(), *self._transcripts.values())
        self._kept.clear()
        self._drafts.clear()
        self._transcripts.clear()
        return left

    def _end(self, item: str) -> None:
        """No unfinished state of this item is wanted any more."""
        self._over[item] = None
        if len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]

    def _overflow(self) -> tuple[StreamMessage, ...]:
        dropped: list[StreamMessage] = []
        while len(self) > self._bound:
            dropped.append(self._least_wanted())
        return tuple(dropped)

    def _least_wanted(self) -> StreamMessage:
        if self._drafts:
            return self._drafts.pop(next(iter(self._drafts)))
        if self._transcripts:
            unfinished = (item for item, message in self._transcripts.items() if not message.final)
            return self._transcripts.pop(next(unfinished, next(iter(self._transcripts))))
        return self._kept.pop(0)
