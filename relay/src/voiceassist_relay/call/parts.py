"""What the bridge of a call needs: its way to the model, its way to Sync, and who makes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from voiceassist_crds.config import Prompt, RelayConfig
from voiceassist_crds.messages import AssistState, CallDocument, StatusReason, Track, WithdrawnReason

from ..handed_over import HandedCall, HandedModel
from ..interfaces import EarlierSuggestion, FinishedSuggestion, ModelListener, StreamStart
from ..metrics.relay_metrics import RelayMetrics
from ..sync.call_objects import Take, TakeAnswer


class ModelClient(Protocol):
    """A call's way to the model."""

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        """Takes 20 ms of mu-law in base64, of the customer or not, that arrived at this time of the loop."""

    async def run(self) -> None:
        """Serves the call until it is finished or cancelled."""

    def pause(self) -> None:
        """Lets no byte go to the model from now on."""

    def resume(self) -> None:
        """Lets audio go to the model again."""

    def use(self, config: RelayConfig, prompt: Prompt) -> None:
        """Takes another configuration and prompt."""

    async def finish(self, grace: float) -> None:
        """Gives what is open `grace` seconds for its outcome, then closes the sockets."""

    def wait_for_call(self) -> None:
        """Opens sessions that wait until `begin_with`: another relay has the call still."""

    async def standing(self, seconds: float) -> bool:
        """Waits for those sessions."""

    def recall(self, earlier: Sequence[EarlierSuggestion]) -> None:
        """The conversation so far, where nobody could hand it over."""

    def begin_with(self, handed: HandedModel | None, shift: float) -> None:
        """Goes on with what another relay handed over, if it did, at the moment `shift` of the loop."""

    @property
    def quiet(self) -> bool:
        """Whether nobody speaks and nothing is answered."""

    @property
    def answering(self) -> bool:
        """Whether a response is asked for or under way."""

    def hold(self) -> None:
        """Lets frames wait: the call is about to be handed over."""

    def let_go(self) -> None:
        """The call stays after all."""

    def give(self) -> HandedModel:
        """Gives up the call as it was at `hold`."""


class Publisher(Protocol):
    """A call's way to Sync. What is told is queued, bounded, and never waited for."""

    def draft(self, item: str, answer: str, revision: str, *, early: bool = False) -> None:
        """Tells the answer so far, whole."""

    def finished(self, suggestion: FinishedSuggestion) -> None:
        """Stores a suggestion, and tells it."""

    def withdrawn(self, item: str, revision: str, reason: WithdrawnReason) -> None:
        """Tells that a draft will not be finished."""

    def transcript(self, track: Track, item: str, text: str, final: bool) -> None:
        """Tells spoken words: those so far, or all of an item."""

    def status(self, state: AssistState, reason: StatusReason, message: str) -> None:
        """Tells the agent of the assist's state."""

    async def earlier(self, seconds: float) -> list[EarlierSuggestion] | None:
        """What the call's earlier streams brought, as Sync keeps it; None: that cannot be had within `seconds`."""

    def refresh(self) -> None:
        """Has the Document read again: its Stream may be another one."""

    def check_owner(self) -> None:
        """Has the Document read: it may name another stream."""

    @property
    def seq(self) -> int:
        """The highest suggestion number known to be used."""

    async def stored(self, seconds: float) -> bool:
        """Waits until what is finished is stored; whether it is."""

    async def run(self) -> None:
        """Writes until it is finished or cancelled."""

    async def finish(self, grace: float, *, lost: bool | None) -> None:
        """Stores what is finished, within `grace` seconds; then `run` returns.

        `lost`: whether the stream ended otherwise than asked for; None leaves the Document alone, as a newer connection goes on.
        """


MakeModelClient = Callable[[StreamStart, RelayConfig, Prompt, ModelListener, RelayMetrics], ModelClient]
MakePublisher = Callable[[StreamStart, Prompt, RelayMetrics, Callable[[str], None], Callable[[CallDocument], None], Take], Publisher]
"""(start, prompt, metrics, superseded, opened, take): `superseded(reason)` is called when the Document says that this stream is not wanted
any more, `opened(document)` as soon as it is live, before Map and Stream are there, `take(document)` where another relay has the call."""

AskForCall = Callable[[str, StreamStart, Callable[[], bool]], Awaitable[HandedCall | TakeAnswer]]
"""(address, start, over): asks a relay for a call, for as long as it is not `over`. Raises Ousted if that relay keeps it."""


async def nobody_to_ask(_: str, _start: StreamStart, _over: Callable[[], bool]) -> HandedCall | TakeAnswer:
    """For relays that move no calls."""
    return TakeAnswer.GONE


Commit = Callable[[int], Awaitable[CallDocument | None]]
"""Writes into the Document that another relay has the call, with the highest number used; None: that relay is not to have it."""
