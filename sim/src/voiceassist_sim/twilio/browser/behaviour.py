"""How the browser's side of the stand-in behaves where the vendor may do this or that: settings, changed live; pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class SubscriptionBehaviour:
    """Of subscriptions. ``interrupted``: so many of the next replays are broken off after one event, and say so."""

    max_batch_size: int = 1000
    estimated_delivery_ms: int = 5000
    ttl_seconds: int | None = None
    """Let clients ask for everything again after so many seconds."""
    interrupted: int = 0
    events_first: bool = False
    """What follows an answer is sent before it."""

    def answer(self) -> dict[str, int]:
        """The body of the answer."""
        shown = {"max_batch_size": self.max_batch_size, "estimated_delivery_in_ms": self.estimated_delivery_ms}
        return shown if self.ttl_seconds is None else shown | {"ttl_in_s": self.ttl_seconds}

    def interrupts(self) -> bool:
        """Whether this replay is broken off."""
        if not self.interrupted:
            return False
        self.interrupted -= 1
        return True


@dataclass(slots=True)
class SocketBehaviour:
    """Of the socket of Sync and its kin. Times in seconds."""

    acknowledge: float = 5.0
    """A packet that is not acknowledged in this time is a violation."""
    notice: float = 180.0
    """So long before a token's end its holder is told."""
    page_size: int = 100
    offline_storage: bool = True
    """Tell clients the name of their session storage."""
    subscriptions: SubscriptionBehaviour = field(default_factory=SubscriptionBehaviour)
