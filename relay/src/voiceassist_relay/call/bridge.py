"""One call from its verified `start` to its end: audio to the model, the model's words to Sync, and the order of shutdown.

Order: the stream ends (by `stop`, a lost socket, a final failure of the model, or because we hang up); the model may finish the
turn that is open; what is finished is stored; then everything closes. For a lost socket another stream is asked for at once.

A call that is moved has two streams for a while, or none where Twilio forks it only once. The new one's bridge has its sessions opened
and keeps the audio until the old one's has handed the call over; it goes on with what the other relay had, from the very frame on that the
other did not count in. A call whose relay is no more goes on with what Sync keeps of its conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from voiceassist_crds.config import ApplyTo, Prompt, RelayConfig
from voiceassist_crds.messages import AssistState, CallDocument, StatusReason, Track, WithdrawnReason
from voiceassist_crds.status import PeerReason

from ..budget_count import Level
from ..handed_over import HandedCall
from ..interfaces import FinishedSuggestion, MediaConnection, OutputForm, StreamStart, TurnTiming
from ..lazy_event import LazyEvent
from ..logs import call_hash
from ..metrics.labels import STREAM_ENDS
from ..metrics.relay_metrics import CallMetrics, RelayMetrics
from ..peer_health import PeerHealth
from ..sync.agent_status import CUT, LOST
from ..sync.call_objects import SUPERSEDED, TakeAnswer
from ..sync.move_rules import Holder
from ..sync.retry import Ousted
from .joining import OVERLAP_SECONDS, Frame, Joining, passed_over
from .parts import AskForCall, Commit, MakeModelClient, MakePublisher, nobody_to_ask
from .prompt_choice import choose_prompt, prompt_of
from .timeline import CallTimeline

TURN_GRACE = 5.0
"""Seconds that an open turn may take after the stream's end."""
FLUSH_SECONDS = 180.0
"""Seconds that finished suggestions may take to be stored after the call's end: longer than Sync may be away (120 s)."""
FLUSH_GRACE = 20.0
"""The same where the relay itself is about to end."""
STANDING_SECONDS = 10.0
"""Seconds for the model's sessions to stand, and for some audio to come, before another relay is asked for the call."""
STORED_SECONDS = 2.0
"""Seconds for what is finished to be stored before another relay goes on with the numbers."""
STREAM_END_SECONDS = 5.0
"""Seconds for the stream of a call that was moved to end at Twilio, before its socket is closed."""
TAKE_SECONDS = 30.0
"""Seconds from the new stream's beginning in which the other relay must have handed the call over."""
RECALL_SECONDS = 2.0
"""Seconds for Sync to tell the conversation so far, before a stream that was started again goes on without."""
_LOOK_SECONDS = 0.05

log = structlog.get_logger("voiceassist.call")

_HEALTH = {
    StatusReason.MODEL_REFUSED: PeerReason.REFUSED,
    StatusReason.MODEL_QUOTA: PeerReason.QUOTA,
    StatusReason.MODEL_MISCONFIGURED: PeerReason.MISCONFIGURED,
    StatusReason.MODEL_UNREACHABLE: PeerReason.UNREACHABLE,
    StatusReason.AUDIO_FORMAT: PeerReason.AUDIO_FORMAT,
}
_LAST_STATUS = {
    "stop": (AssistState.STOPPED, StatusReason.CALL_ENDED, "Assist has ended with the call or at your request."),
    "drain": (AssistState.LOST, StatusReason.RELAY_STOPPING, "Assist was moved off this server. Start it again to go on."),
    "socket": LOST,
    "error": (AssistState.LOST, StatusReason.STREAM_LOST, "Assist stopped because of an internal error. Start it again to go on."),
}
_PAUSED = (AssistState.PAUSED, StatusReason.AGENT_REQUEST, "Paused: nothing that is said reaches the assistant.")
_SPENT = (
    AssistState.PAUSED,
    StatusReason.BUDGET_SPENT,
    "The budget for this assist is spent: no suggestions until it is raised, or the next day or month begins. The call itself goes on.",
)
_SILENT = frozenset({"replaced", "superseded", "stopped", "moved"})  # endings that another relay or the Document has already told


@dataclass(slots=True)
class CallSummary:
    """What a call's last log line tells."""

    began: float
    suggestions: int = 0
    timeline: CallTimeline = field(default_factory=CallTimeline)


class CallBridge:
    """Implements `interfaces.CallSink` for the media side, `ModelListener` for the model's, and `registry.Bridge`."""

    __slots__ = (
        "__weakref__",
        "_agent_health",
        "_ask_for_call",
        "_begun",
        "_braced",
        "_config",
        "_connection",
        "_counts",
        "_drafts",
        "_epoch",
        "_failed",
        "_health",
        "_joined",
        "_joining",
        "_known",
        "_log",
        "_may_be_stopped",
        "_metrics",
        "_model",
        "_names",
        "_over",
        "_paused",
        "_prompt",
        "_publisher",
        "_reason",
        "_recalls",
        "_start_again",
        "_stopped",
        "_stream_over",
        "_summary",
        "_time",
        "_told",
        "frame",
        "models",
        "start",
    )

    def __init__(
        self,
        start: StreamStart,
        connection: MediaConnection,
        config: RelayConfig,
        *,
        make_model_client: MakeModelClient,
        make_publisher: MakePublisher,
        start_again: Callable[[str, int], bool],
        metrics: RelayMetrics,
        model_health: PeerHealth,
        agent_health: PeerHealth,
        loop_time: Callable[[], float],
        epoch: Callable[[], float],
        ask_for_call: AskForCall = nobody_to_ask,
    ) -> None:
        """`start_again(call_sid, generation)` asks for another stream in place of this one; False if it cannot."""
        self.start = start
        self._config, self._ask_for_call = config, ask_for_call
        self._start_again = start_again
        self._connection, self._metrics, self._health = connection, CallMetrics(metrics), model_health.reporter()
        self._agent_health = agent_health.reporter()
        self._time, self._epoch = loop_time, epoch
        self._prompt = choose_prompt(config, start.call_sid)
        self._model = make_model_client(start, config, self._prompt, self, self._metrics)
        self._publisher = make_publisher(start, self._prompt, self._metrics, self._superseded, self._opened, self._take)
        self.frame = self._model.frame  # the hot path: no step in between
        self._joining: Joining | None = None
        self._joined: Joining | None = None
        if start.claims.moved:
            self._joining = Joining(connection, self._model, self._metrics, self._hear_with)
            self.frame = self._joining.put
        self._recalls = start.claims.generation > 1
        """The conversation so far is to be had from Sync, unless another relay hands it over."""
        self._begun = not self._recalls
        """Whether the call goes on here, with what there is of its conversation."""
        if self._recalls:
            self._model.wait_for_call()
        self._stream_over = LazyEvent()
        self._braced = False
        """Another stream is to come, and this one's end is not the call's."""
        self._may_be_stopped = False
        """A stop of the stream, which was to make room for another one, may take effect still."""
        self._over = LazyEvent()
        self._reason = ""
        self._failed = False
        self._known = LazyEvent()
        """Set once the Document was read: until then no byte goes to the model."""
        self._counts = self._metrics.counts
        self._told = False
        self._paused = False
        """By the agent."""
        self._stopped = False
        """Because the budget is spent."""
        self._drafts = True
        self.models = self._names = config.model_of(self._prompt).names
        """Models whose tokens are counted for the call: after a change also those of the session that is being replaced."""
        self._summary = CallSummary(began=loop_time())
        self._log = log.bind(call=call_hash(start.call_sid), generation=start.claims.generation)

    @property
    def revision(self) -> str:
        """The prompt's revision that the call has now."""
        return self._prompt.revision

    @property
    def over(self) -> bool:
        """Whether the stream has ended."""
        return bool(self._reason)

    # the media side

    def ended(self, reason: str) -> None:
        """The stream is over."""
        self._place()
        self._stream_over.set()
        if not self._braced:
            self._end("socket" if reason == "stop" and self._may_be_stopped else reason)

    def _end(self, reason: str) -> None:
        if not self._reason:
            self._reason = reason
            self._over.set()

    # the registry's side

    def replaced(self) -> None:
        """A newer connection of this call has come."""
        self._close("replaced", 1008)

    def hang_up(self, reason: str) -> None:
        """The relay ends this call's assist."""
        self._close(reason, 1001)

    def _superseded(self, reason: str) -> None:
        self._close(reason, 1008 if reason == "superseded" else 1000)

    def _opened(self, document: CallDocument) -> None:
        """The Document was read: whether the call is paused is what it says, unless somebody has asked here since it was."""
        if not self._told:
            self._hold_back(document.paused)
        if self._recalls or self.start.claims.generation == 1:  # else it has what was handed over, which may be newer
            self._keep_revision(document.prompt_revision)
        if document.lost_at and not self.start.claims.moved:
            self._metrics.restart_gap(max(0.0, self._epoch() - (self._time() - self._summary.began) - document.lost_at))
        if self.start.claims.generation == 1:
            self._counts.began(self.revision)
        self._known.set()

    def refresh(self) -> None:
        """The Document has changed: who reads, and on which Stream."""
        self._publisher.refresh()

    @property
    def heard_at(self) -> float:
        """When the latest bytes of the stream came, in seconds of the loop's clock."""
        return self._connection.heard_at

    def check_owner(self) -> None:
        """The stream has been silent: the Document is looked at, whether it names another one by now."""
        self._publisher.check_owner()

    def _close(self, reason: str, code: int) -> None:
        self._end(reason)
        self._connection.close(code, reason)

    def pause(self) -> None:
        """No byte goes to the model from now on."""
        self._told = True
        self._hold_back(True)

    def resume(self) -> None:
        """Audio goes to the model again."""
        self._told = True
        self._hold_back(False)

    def _hold_back(self, paused: bool) -> None:
        if paused is not self._paused:
            self._silence(paused, self._stopped)
            self._publisher.status(*(self._silent or (AssistState.LIVE, StatusReason.AGENT_REQUEST, "Listening again.")))

    def _silence(self, paused: bool, stopped: bool) -> None:
        """The model hears nothing while the agent wants it so, or the budget is spent."""
        before, after = self._paused or self._stopped, paused or stopped
        self._paused, self._stopped = paused, stopped
        if before is not after:
            self._place()
            (self._model.pause if after else self._model.resume)()

    @property
    def _silent(self) -> tuple[AssistState, StatusReason, str] | None:
        """What the agent is told where the model hears nothing."""
        return _SPENT if self._stopped else _PAUSED if self._paused else None

    @property
    def answering(self) -> bool:
        """Whether a response is asked for or under way."""
        return self._model.answering

    def allow(self, level: Level) -> None:
        """What the budget leaves of the call; said again and again, since a response that is under way ends first."""
        self._drafts, stopped = level < Level.NO_DRAFTS, level is Level.STOPPED
        waits = stopped and self._model.answering
        if stopped is self._stopped or waits or self._reason or not self._known.is_set():
            return
        self._silence(self._paused, stopped)
        self._publisher.status(*(self._silent or (AssistState.LIVE, StatusReason.STARTED, "Listening.")))

    def use(self, config: RelayConfig) -> None:
        """A new configuration is in force; the call takes its prompt only if the roll-out says so."""
        self._config = config
        if config.rollout.apply_to is ApplyTo.ALL_CALLS or self.revision in config.rollout.withdrawn:
            self._use_prompt(choose_prompt(config, self.start.call_sid))

    def _use_prompt(self, prompt: Prompt) -> None:
        """From the next response on the call has this prompt."""
        if prompt != self._prompt:
            self._prompt = prompt
            before, self._names = self._names, self._config.model_of(prompt).names
            self.models = tuple(dict.fromkeys((*self._names, *before)))
            self._model.use(self._config, prompt)

    # from one relay to another

    def _hear_with(self, frame: Frame) -> None:
        self.frame = frame

    @property
    def holder(self) -> Holder:
        """This stream, by what the Document says of it."""
        return Holder(self.start.claims.generation, self.start.stream_sid)

    @property
    def in_force(self) -> bool:
        """Whether the call is this relay's: not while another one has still to hand it over."""
        return self._joining is None or self._known.is_set()

    @property
    def movable(self) -> bool:
        """Whether the call's Document names this stream, the call goes on here, and the stream runs."""
        return self._known.is_set() and self._begun and not self._reason

    def brace(self) -> None:
        """The stream is to end before the next one is there: the call outlives it, until it is handed over or `release` is called."""
        self._braced = True

    async def stream_over(self, seconds: float) -> bool:
        """Waits for the stream's end, at most so many seconds; whether it has come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stream_over.wait()
        return self._stream_over.is_set()

    def tell_gap(self) -> None:
        """The agent is told that nothing is heard of the call at the moment."""
        self._publisher.status(*CUT)

    def release(self, reason: str) -> None:
        """The call is not handed over. Its stream, if that is over, ended by `reason`: `stop`, or `socket`, and it is started again."""
        self._braced, self._may_be_stopped = False, True
        if self._stream_over.is_set():
            self._end(reason)

    async def hand_over(self, patience: float, commit: Commit) -> HandedCall | None:
        """Hands the call over, within `patience` seconds between two turns, else in the middle of one. None: it is not handed over.

        No frame goes to the model while it is written that the call is another's: what is asked of the call from then on is asked there.
        Raises what `commit` raises; the call stays then.
        """
        deadline = self._time() + patience
        while self.movable and self._time() < deadline and not (self._model.quiet and await self._publisher.stored(0.0)):  # noqa: ASYNC110 - it comes with any frame or answer
            await asyncio.sleep(_LOOK_SECONDS)
        if not self.movable:
            return None
        self._place()
        until = (self._connection.position(True), self._connection.position(False))
        self._model.hold()
        try:
            document = await commit(self._publisher.seq)
        except BaseException:
            self._model.let_go()
            raise
        if document is None:
            self._model.let_go()
            return None
        self.frame = passed_over(self._metrics)
        paused = self._paused
        failed_with = sorted(self._counts.failed_with)
        given, seq = self._model.give(), self._publisher.seq
        handed = HandedCall(document.generation, document.wire(), self.revision, given, until, paused, seq, failed_with)
        self._end("moved")
        if not await self._publisher.stored(STORED_SECONDS):
            self._log.warning("handed over before everything was stored")
        return handed

    async def _take(self, document: CallDocument) -> CallDocument | TakeAnswer:
        """Another relay has the call: asks for it once all is ready to go on with it."""
        deadline = self._time() + STANDING_SECONDS
        standing = await self._model.standing(STANDING_SECONDS)
        if self.over or not standing:
            raise Ousted(SUPERSEDED)  # the other relay keeps the call: it may have what this one cannot get
        await self._overlap(deadline)
        answer = await self._ask_for_call(document.owner, self.start, self._given_up)
        if isinstance(answer, TakeAnswer):
            return answer
        written = CallDocument.model_validate(answer.document, extra="allow")
        if not self._told:
            self._hold_back(written.paused or answer.paused)
        self._recalls = False
        self._counts.failed_with += [one for one in answer.failed_with if one not in self._counts.failed_with]
        self._begin_with(answer)
        return written

    async def _overlap(self, deadline: float) -> None:
        """Lets both streams run beside each other for a moment: a hand-over at the new one's first frame finds no audio that both have."""
        deadline = min(deadline, self._time() + OVERLAP_SECONDS)
        while self._joining is not None and not self._joining.overlaps and not self.over and self._time() < deadline:  # noqa: ASYNC110 - it comes with any frame
            await asyncio.sleep(_LOOK_SECONDS)

    def _given_up(self) -> bool:
        return self.over or self._time() > self._summary.began + TAKE_SECONDS

    async def _recall(self) -> None:
        """The relay that had the call is no more: what Sync keeps of the conversation is gone on with."""
        await self._known.wait()
        if not self._recalls:
            return
        try:
            earlier = await self._publisher.earlier(RECALL_SECONDS)
            if earlier is None:
                self._log.warning("goes on without the conversation so far")
            self._model.recall(earlier or [])
            self._begin_with(None)
        except Exception as error:
            self._log.exception("call failed", part="recall", error=type(error).__name__)
            self._close("error", 1011)

    def _begin_with(self, handed: HandedCall | None) -> None:
        """The call is this relay's."""
        self._begun = True
        joining, self._joining = self._joining, None
        if joining is None:
            self._model.begin_with(None, self._time())
            return
        if handed is not None:
            self._keep_revision(handed.revision)
        self._joined = joining
        joining.begin(handed, self._time())

    def _place(self) -> None:
        """Audio that waits for its place among what was handed over waits no longer."""
        if self._joined is not None:
            self._joined.place(self._time())

    def _keep_revision(self, revision: str) -> None:
        """A call keeps the prompt that it began with, wherever it goes, while the configuration has it."""
        kept = prompt_of(self._config, revision)
        if kept is not None:
            self._use_prompt(kept)

    # the model's side

    def draft(self, item: str, answer: str, revision: str, *, early: bool = False) -> None:
        """The answer so far."""
        if self._drafts:
            self._publisher.draft(item, answer, revision, early=early)

    def finished(self, suggestion: FinishedSuggestion) -> None:
        """A suggestion to store."""
        self._summary.suggestions += 1
        self._publisher.finished(suggestion)

    def withdrawn(self, item: str, revision: str, reason: WithdrawnReason) -> None:
        """A draft that will not be finished."""
        self._publisher.withdrawn(item, revision, reason)

    def turn(self, outcome: str, revision: str, timing: TurnTiming) -> None:
        """A turn is handled."""
        self._summary.timeline.handled(outcome, timing)
        self._metrics.turn(outcome, revision, timing)
        self._counts.turn(revision, outcome, whole=not self._recalls)

    def output(self, revision: str, form: OutputForm) -> None:
        """What the model wrote for a turn was read; one that could not be leaves its turn without an answer."""
        self._counts.output(revision, form)
        if form is OutputForm.UNREADABLE:
            self._counts.turn(revision, "failed", whole=not self._recalls)

    def tokens(self, revision: str, count: int) -> None:
        """A response to a turn ended."""
        self._counts.tokens(revision, count)

    def transcript(self, track: Track, item: str, text: str, final: bool) -> None:
        """Spoken words."""
        self._publisher.transcript(track, item, text, final)

    def audio_heard(self) -> None:
        """The model hears what it is sent."""
        self._health.heard(self._epoch())

    def agent_track(self, lost: str | None) -> None:
        """The agent's words are not heard, or are again."""
        if lost is None:
            self._agent_health.worked(self._epoch())
        else:
            self._agent_health.failed(PeerReason.MISCONFIGURED, lost, self._epoch())

    def state(self, state: AssistState, reason: StatusReason, message: str) -> None:
        """The model's state: the agent is told; `failed` ends the call's assist."""
        if state is AssistState.LIVE:
            if reason is StatusReason.AUDIO_FORMAT:
                self._health.failed(PeerReason.AUDIO_FORMAT, message, self._epoch())
            self._health.worked(self._epoch())
            if self._silent is not None:
                state, reason, message = self._silent
        elif reason in _HEALTH and self._speaks_as_most_do:
            self._health.failed(_HEALTH[reason], message, self._epoch())
        self._publisher.status(state, reason, message)
        if state is AssistState.FAILED:
            self._failed = True
            if reason in _HEALTH:  # a prompt's own model may be the cause: no turn would ever tell of it
                self._counts.turn(self.revision, "failed", whole=not self._recalls)
            self._close("model", 1011)

    @property
    def _speaks_as_most_do(self) -> bool:
        """Whether the model is the one of the first prompt: a canary's own says nothing of the relay's health."""
        config = self._config
        return config.model_of(self._prompt) == config.model_of(config.prompts[0])

    # the life

    async def run(self) -> None:
        """Carries the call to its end. Whatever fails in one part ends this call in order, and no other."""
        model = asyncio.create_task(self._run_model(), name="model")
        publisher = asyncio.create_task(self._publisher.run(), name="publisher")
        over = asyncio.create_task(self._over.wait(), name="over")
        recall = asyncio.create_task(self._recall(), name="recall")
        try:
            await asyncio.wait({model, publisher, over}, return_when=asyncio.FIRST_COMPLETED)
            for part in (model, publisher):
                if part.done() and not part.cancelled() and (error := part.exception()) is not None:
                    self._log.error("call failed", part=part.get_name(), error=type(error).__name__, exc_info=error)
            if not self._reason:
                self._close("error", 1011)
            await self._shut_down(model, publisher)
        finally:
            self._connection.close(1001, "over")
            for task in (over, model, publisher, recall):
                task.cancel()
            await asyncio.gather(over, model, publisher, recall, return_exceptions=True)
            self._tell()

    async def _run_model(self) -> None:
        """The model hears of the call when it is known whether it may; the frames until then are kept."""
        if self._joining is None:
            await self._known.wait()
        await self._model.run()

    async def _shut_down(self, model: asyncio.Task[None], publisher: asyncio.Task[None]) -> None:
        reason = self._reason
        last = _LAST_STATUS.get(reason, _LAST_STATUS["socket"])
        if reason == "socket" and not self._failed and self._start_again(self.start.call_sid, self.start.claims.generation):
            last = CUT
            self._publisher.status(*last)
        if not model.done():
            try:
                async with asyncio.timeout(TURN_GRACE + 2):
                    await self._model.finish(0.0 if reason in _SILENT else TURN_GRACE)
            except TimeoutError:
                self._log.warning("the model client did not end in time")
        if publisher.done():
            return
        if reason not in _SILENT and not self._failed and last is not CUT:
            self._publisher.status(*last)
        grace = FLUSH_GRACE if reason == "drain" else FLUSH_SECONDS
        try:
            async with asyncio.timeout(grace + 2):
                await self._publisher.finish(grace, lost=None if reason in _SILENT else reason != "stop")
        except TimeoutError:
            self._log.error("suggestions may be lost: they could not be stored in time")
        if reason == "moved":  # Twilio is told to stop the stream, which is no error there, as a socket that is closed would be
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STREAM_END_SECONDS):
                    await self._stream_over.wait()

    def _tell(self) -> None:
        if self._reason not in {"stop", "stopped", "moved"}:  # a stream that broke the protocol ends by the name of what it did
            self._metrics.stream_lost(self._reason if self._reason in STREAM_ENDS else "protocol")
        summary = self._summary
        self._log.info(
            "call over",
            reason=self._reason,
            seconds=round(self._time() - summary.began, 1),
            revision=self.revision,
            suggestions=summary.suggestions,
            **summary.timeline.summary(),
            **self._metrics.summary(),
        )
