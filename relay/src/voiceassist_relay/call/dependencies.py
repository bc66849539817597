"""What the functions need from the rest of the relay: given explicitly, once, when the process starts."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import aiohttp

from voiceassist_crds.names import PRIVATE_PORT
from voiceassist_crds.reasons import Refusal

from ..auth import SeenProofs
from ..call_quota import Place
from ..config.snapshot import CurrentSnapshot
from ..free_places import FreePlaces
from ..metrics.relay_metrics import RelayMetrics
from ..public_address import PublicAddress
from ..rate_limits import Rate
from ..sync.client import SyncClient
from ..twilio.rest import TwilioRest
from ..twilio.retry import RetryPolicy
from .background import Background
from .unreached_relays import UnreachedRelays

SUFFIX_CHARS: Final = 16
_ALPHABET: Final = string.ascii_letters + string.digits
_ASK: Final = RetryPolicy(first=0.1, longest=1.0, attempts=8, longest_asked=2.0, within=8.0)
_FOLLOW: Final = RetryPolicy(first=0.2, longest=4.0, attempts=None, within=180.0)
_RESTART: Final = RetryPolicy(first=0.2, longest=4.0, attempts=None, within=60.0)
_MOVE_AGAIN: Final = RetryPolicy(first=1.0, longest=20.0, attempts=None)
_GAP_AGAIN: Final = RetryPolicy(first=0.2, longest=1.0, attempts=None)
_STREAM_RATE: Final = Rate(per_second=5.0, burst=20)
_FEEDBACK_RATE: Final = Rate(per_second=1.0, burst=20)


def random_suffix() -> str:
    """16 characters that nobody guesses (95 bits): all that protects a call's Sync Stream is its name."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(SUFFIX_CHARS))


class LiveCall(Protocol):
    """A call whose audio is at this relay. Every method returns at once and may be called again."""

    def pause(self) -> None:
        """No audio goes to the model from now on."""

    def resume(self) -> None:
        """Audio goes to the model again."""

    def refresh(self) -> None:
        """The call's Document has changed: it is read again."""


class LiveCalls(Protocol):
    """The calls of this relay."""

    def find(self, call_sid: str) -> LiveCall | None:
        """The call, while its stream is connected here."""

    def here(self) -> list[str]:
        """The SIDs of those whose streams are connected here, newest first; not of those that another relay has still."""

    def coming(self, call_sid: str) -> bool:
        """Whether the call's next stream is here, and another relay has still to hand the call over."""

    def had(self, call_sid: str) -> bool:
        """Whether its stream is or was connected to this process."""

    def refusal(self, call_sid: str) -> Refusal | None:
        """Why its stream was last refused here."""


class StartLimit(Protocol):
    """How many calls there may be, all relays together."""

    def reserve(self, call_sid: str) -> Place:
        """Takes a place for a call."""

    def forget(self, call_sid: str) -> None:
        """The place is not needed: no stream was asked for."""

    def refused(self) -> int:
        """A start is refused for it. Returns how many calls there may be."""


class NoLimit:
    """As many as come."""

    def reserve(self, call_sid: str) -> Place:  # noqa: ARG002 - has the shape of StartLimit
        """There is always one."""
        return Place.HELD

    def forget(self, call_sid: str) -> None:
        """Nobody counts."""

    def refused(self) -> int:
        """Never called."""
        return 0


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits and rates of the functions, in seconds; what a test makes shorter."""

    ask: RetryPolicy = _ASK
    """While a browser waits for the answer: so often that one request in five may fail."""
    follow: RetryPolicy = _FOLLOW
    """After the answer, and on callbacks: Map, Stream, permission, status. Longer than Sync may be away (120 s)."""
    joining_seconds: float = 3.0
    """For a call to join the conference of a task that was just accepted, before a start is told to come again."""
    peer_seconds: float = 2.0
    """For one relay to answer another."""
    watch_seconds: float = 2.5
    """For another relay to say which calls it has."""
    suspect_seconds: float = 1.0
    """The same of one of whose streams one has died, and where nothing listened."""
    came_seconds: tuple[float, ...] = (2.5, 2.5, 4.0, 6.0, 9.0)
    """For the stream of a call whose relay is gone to come to another one, before the next is asked for: each in turn. For some seconds the
    balancer leads to the one that is gone, Twilio's word of that too."""
    stop_seconds: float = 2.0
    """To stop a stream that should not be there."""
    own_report_seconds: float = 1.0
    """For the relay that saw a stream end to write so itself, before a callback says the same."""
    restart_seconds: tuple[float, ...] = (1.0, 1.5, 4.0)
    """Before the second automatic start and those after it, so that a full relay, and one that died, has left the balancer."""
    restart: RetryPolicy = _RESTART
    """To ask for the next stream of a call whose stream died: many may be asked for at once, and Twilio takes no more for a while."""
    restarted_seconds: float = 4.0
    """For a call whose relay is gone to be started again, before its agent is told that a pause has reached nobody."""
    starting_seconds: float = 30.0
    """For a stream that was created to arrive somewhere, before the agent is told that it did not."""
    unknown_state_seconds: float = 30.0
    """For a newer relay to bring a call's Document out of a state that this version does not know, before a callback is let go."""
    move_patience: float = 4.0
    """For a moment between two turns in which to hand a call over."""
    arrive_seconds: float = 20.0
    """For a stream that was created to come to another relay, and for that to be ready and have the call."""
    take_seconds: float = 12.0
    """For the relay that has a call to hand it over, patience included."""
    take_again_seconds: float = 0.3
    """Between two questions to a relay that did not answer clearly."""
    move_again: RetryPolicy = _MOVE_AGAIN
    """Between attempts to move a call."""
    gap_seconds: float = 15.0
    """For the next stream to come and have the call, where the old one had to be stopped first; then the call is started again."""
    gap_arrive_seconds: float = 6.0
    """For one such stream, before another one is asked for."""
    gap_told_seconds: float = 2.0
    """For nobody to ask for a call that has no stream, before its agent is told."""
    gap_again: RetryPolicy = _GAP_AGAIN
    """Between requests that are refused because the stream that was stopped has not made room yet."""
    moves_at_once: int = 16
    """Calls of one relay that are being moved at the same time."""
    stream_rate: Rate = _STREAM_RATE
    feedback_rate: Rate = _FEEDBACK_RATE


@dataclass(frozen=True, slots=True)
class FunctionDependencies:
    """Everything that the functions use. `http` is for other relays; `now` gives epoch seconds, `monotonic` never goes back."""

    current: CurrentSnapshot
    rest: TwilioRest
    sync: SyncClient
    calls: LiveCalls
    metrics: RelayMetrics
    background: Background
    http: aiohttp.ClientSession
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    suffix: Callable[[], str] = random_suffix
    address: str = ""
    """Where other relays reach this one, as calls' Documents name it; a proof that names another is none. Empty: not known."""
    peer_port: int | None = PRIVATE_PORT
    """The one port of other relays that is dialled; None, on a developer's machine: any of this machine."""
    proofs: SeenProofs = field(default_factory=SeenProofs)
    unreached: UnreachedRelays = field(default_factory=UnreachedRelays)
    """Which other relays do not answer."""
    public_address: PublicAddress = field(default_factory=PublicAddress)
    """What the operator says of it."""
    free_places: FreePlaces = field(default_factory=FreePlaces)
    """What the operator says of other relays."""
    limit: StartLimit = field(default_factory=NoLimit)
    timing: Timing = Timing()

    def sync_ttl(self) -> int:
        """Time to live of a call's objects at Sync, in seconds."""
        return self.current().config.twilio.sync_ttl_seconds
