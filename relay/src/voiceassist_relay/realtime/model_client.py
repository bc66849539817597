"""Model client: a call's way to the model and back: the conversation, the agent's track, and what the bridge is told of them."""

from __future__ import annotations

import asyncio
import functools
import random
import ssl
from collections.abc import Callable, Sequence

import structlog

from voiceassist_crds.config import Prompt, RelayConfig
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_crds.proxies import Proxies

from ..handed_over import HandedModel
from ..interfaces import EarlierSuggestion, FinishedSuggestion, ModelListener
from ..lazy_event import LazyEvent
from ..metrics.relay_metrics import RelayMetrics
from .audio_sender import AudioSender
from .core.conversation import ConversationSession
from .core.failures import Fatal, Passing
from .core.history import History
from .core.limits import DEFAULT_LIMITS, FreePurse, Purse, ResponseLimiter, SessionLimits
from .core.outputs import (
    AgentSpoke,
    AudioHeard,
    AudioMisread,
    DraftShown,
    DraftWithdrawn,
    EarlyOver,
    EarlyTokens,
    Event,
    ModelFault,
    OutputRead,
    ResponseOver,
    TokensUsed,
    TurnHandled,
    Words,
    WritingTook,
)
from .core.session_settings import SessionSettings
from .core.turns import Turn
from .dialer import Dials, FinalFailure, SessionDependencies
from .inheritance import entries_of, entries_recalled, handed_history, handed_track, inheritance_of
from .providers import Headers
from .session_profiles import ConversationProfile, TranscriptionProfile
from .session_supervisor import SessionSupervisor

_log = structlog.get_logger(__name__)


@functools.cache
def _system_tls() -> ssl.SSLContext:
    """The machine's certificates; made once, since it takes some 20 ms."""
    return ssl.create_default_context()


class ModelClient:
    """One call's client. Make it in a running loop, `run` it as a task; `frame` takes audio from the first moment on.

    The listener hears of suggestions, words and states; counting turns in the metrics is left to it. Frames, tokens, errors and
    reconnects are counted here. Keywords after `paused` are for tests and for sharing between calls.
    """

    def __init__(
        self,
        *,
        config: RelayConfig,
        prompt: Prompt,
        key: Callable[[], str],
        listener: ModelListener,
        metrics: RelayMetrics,
        call_hash: str,
        paused: bool = False,
        limits: SessionLimits = DEFAULT_LIMITS,
        dials: Dials | None = None,
        tls: Callable[[], ssl.SSLContext] = _system_tls,
        chance: Callable[[], float] = random.random,
        proxies: Callable[[], Proxies] = Proxies,
        headers: Callable[[], Headers] = tuple,
        purse: Purse | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = SessionSettings.of(config, prompt)
        self._listener = listener
        self._metrics = metrics
        self._limits = limits
        self._paused = paused
        self._purse = purse or FreePurse()
        self._told: AssistState | None = None
        self._note: tuple[StatusReason, str] | None = None
        self._changed = LazyEvent()
        self._over = LazyEvent()
        self._gone = LazyEvent()
        self._running = False
        self._ending = False
        self._log = _log.bind(call=call_hash)
        kept = min(limits.history_characters, 2 * config.model.truncation.post_instructions_tokens)
        self._history = History(kept, limits.words_characters)
        self._limiter = ResponseLimiter(config.model.max_responses_per_minute, self._purse)
        self._needs = SessionDependencies(
            lambda: self._settings, key, metrics, limits, dials or Dials.shared(), tls, chance, proxies, headers
        )
        self._conversation = SessionSupervisor(
            ConversationProfile(self._history, self._limiter, limits),
            AudioSender(Track.CUSTOMER, metrics, limits),
            self._needs,
            on_events=self._events,
            on_attached=self._tell_live,
            on_broken=self._tell_broken,
            paused=paused,
        )
        self._agent: SessionSupervisor | None = None
        self._agent_task: asyncio.Task[None] | None = None
        self._unused = 0
        if paused:
            self._conversation.sender.pause()
        self._put_customer = self._conversation.sender.put
        self._put_agent = self._put_unused
        if self._settings.agent:
            self._add_agent()

    # what the bridge calls

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        """One frame: base64 mu-law as it came, loop time of its arrival. The hot path: returns at once, never raises."""
        put = self._put_customer if inbound else self._put_agent
        put(payload, arrived)

    async def run(self) -> None:
        """Keeps the sessions; returns when `finish` closed it, or after a final failure, of which the listener was told."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._housekeep()), group.create_task(self._run_conversation())]
                if self._agent is not None:
                    self._agent_task = group.create_task(self._run_agent(self._agent))
                self._group = group
                await self._over.wait()
                for task in [*tasks, self._agent_task]:
                    if task is not None:
                        task.cancel()
            await self._conversation.closed()
            if self._agent is not None:
                await self._agent.closed()
        finally:
            self._over.set()
            self._flush_unused()
            self._gone.set()

    def pause(self) -> None:
        """No byte of audio goes to the model from this moment on; what is kept is forgotten, what is being written is withdrawn."""
        if self._paused:
            return
        self._paused = True
        handover = self._conversation.pause()
        self._handled(handover.turns, "paused")
        if self._agent is not None:
            self._agent.pause()

    def resume(self) -> None:
        """Audio flows again."""
        if not self._paused:
            return
        self._paused = False
        self._conversation.resume()
        if self._agent is not None:
            self._agent.resume()
        if self._conversation.core is not None:
            self._tell_live()
            if self._note is not None and self._told is AssistState.LIVE:
                self._tell_listening()

    def use(self, config: RelayConfig, prompt: Prompt) -> None:
        """Another configuration for this call: in force as soon as no response is being written."""
        self._settings = settings = SessionSettings.of(config, prompt)
        self._conversation.use(settings)
        if settings.agent and self._agent is None:
            self._add_agent()
        elif not settings.agent and self._agent is not None:
            self._remove_agent()
        elif self._agent is not None:
            self._agent.use(settings)

    # from one relay to another

    def wait_for_call(self) -> None:
        """Sessions are opened and wait: another relay has the call until `begin_with`. To be called before `run`."""
        for supervisor in self._supervisors:
            supervisor.wait_for_call()

    async def standing(self, seconds: float) -> bool:
        """Waits until the conversation's session stands, or none will, and the agent's too if that comes soon; whether it did in time."""
        try:
            async with asyncio.timeout(seconds):
                for supervisor in self._supervisors:
                    await supervisor.standing.wait()
        except TimeoutError:
            return self._conversation.standing.is_set()
        return True

    def recall(self, earlier: Sequence[EarlierSuggestion]) -> None:
        """The conversation so far, as far as it is known, where nobody could hand it over. To be called before `begin_with`."""
        self._history.take_over(entries_recalled(earlier, self._loop.time()))

    def begin_with(self, handed: HandedModel | None, shift: float) -> None:
        """The call is this relay's: goes on with what the former one handed over. `shift`: the moment of the hand-over, in loop seconds."""
        if handed is not None:
            self._history.take_over(entries_of(handed.history, shift))
            self._limiter.take_over(shift - age for age in handed.asked)
        conversation = None if handed is None else inheritance_of(handed.conversation, shift)
        self._conversation.begin_with(conversation)
        if self._agent is not None:
            self._agent.begin_with(None if handed is None or handed.agent is None else inheritance_of(handed.agent, shift))

    @property
    def quiet(self) -> bool:
        """Whether the call could be handed over between turns: nobody speaks, nothing is answered or waits for an answer."""
        core = self._conversation.core
        return core is None or self._paused or (core.at_turns_end and self._conversation.sender.flowing)

    @property
    def answering(self) -> bool:
        """Whether a response is asked for or under way."""
        core = self._conversation.core
        return isinstance(core, ConversationSession) and core.answering

    def hold(self) -> None:
        """Frames wait from now on, until `let_go` or `give`."""
        for supervisor in self._supervisors:
            supervisor.sender.hold()

    def let_go(self) -> None:
        """The call stays here: what has waited goes out."""
        for supervisor in self._supervisors:
            supervisor.sender.let_go()

    def give(self) -> HandedModel:
        """Gives the call up: what another relay goes on with, up to the last `hold`. The sessions are closed."""
        now = self._loop.time()
        conversation = self._conversation.give()
        agent = self._agent.give() if self._agent is not None else None
        handed = HandedModel(
            conversation=handed_track(conversation, now),
            agent=None if agent is None else handed_track(agent, now),
            history=handed_history(self._history.entries(), now),
            asked=[now - moment for moment in self._limiter.moments],
        )
        self._ending = True
        self._over.set()
        return handed

    @property
    def _supervisors(self) -> list[SessionSupervisor]:
        return [self._conversation] if self._agent is None else [self._conversation, self._agent]

    async def finish(self, grace: float) -> None:
        """The stream ended: what is open still gets its outcome within `grace` seconds; then the sockets are closed."""
        if self._running and not self._over.is_set():
            self._ending = True
            supervisors = self._supervisors
            for supervisor in supervisors:
                supervisor.finish()
            try:
                async with asyncio.timeout(grace):
                    await asyncio.sleep(self._limits.late_speech)
                    while not self._over.is_set() and not all(supervisor.idle(self._loop.time()) for supervisor in supervisors):
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError:
                if not all(supervisor.idle(self._loop.time()) for supervisor in supervisors):
                    self._log.info("call_ended_with_open_turns")
            self._drop("dropped")
        self._over.set()
        if self._running:
            await self._gone.wait()

    # the supervisors' tasks

    async def _run_conversation(self) -> None:
        try:
            await self._conversation.run()
        except FinalFailure as error:
            self._fail(error.fatal)
        except Exception:
            self._log.exception("model_client_failed")
            self._fail(Fatal(StatusReason.MODEL_UNREACHABLE, "An error in the relay ended the assist of this call. Start it again."))

    async def _run_agent(self, supervisor: SessionSupervisor) -> None:
        """The agent's track is an extra: whatever happens to it, suggestions go on."""
        try:
            await supervisor.run()
        except FinalFailure as error:
            self._metrics.model_error("agent_track")
            self._log.warning("agent_track_lost", why=error.fatal.message)
        except Exception:
            self._metrics.model_error("agent_track")
            self._log.exception("agent_track_failed")

    async def _housekeep(self) -> None:
        while True:
            await asyncio.sleep(self._limits.housekeeping)
            now = self._loop.time()
            self._conversation.housekeep(now)
            if self._agent is not None:
                self._agent.housekeep(now)
            self._flush_unused()
            self._changed.set()

    def _fail(self, fatal: Fatal) -> None:
        self._log.warning("model_failed", reason=fatal.reason.value, message=fatal.message)
        self._drop("failed")
        self._listener.state(AssistState.FAILED, fatal.reason, fatal.message)
        self._over.set()

    def _drop(self, outcome: str) -> None:
        handover = self._conversation.drop(outcome)
        self._handled(handover.turns, outcome)

    def _handled(self, turns: tuple[Turn, ...], outcome: str) -> None:
        now = self._loop.time()
        for turn in turns:
            self._listener.turn(outcome, self._settings.revision, turn.timeline.timing(now))

    # the agent's track

    def _add_agent(self) -> None:
        def events(events: tuple[Event, ...]) -> None:
            if self._agent is agent:  # else it was taken off the call, and just does not know yet
                self._events(events)

        profile, sender = TranscriptionProfile(self._limits), AudioSender(Track.AGENT, self._metrics, self._limits)
        self._agent = agent = SessionSupervisor(
            profile,
            sender,
            self._needs,
            on_events=events,
            on_attached=self._agent_heard,
            on_broken=self._agent_lost,
            paused=self._paused,
        )
        if self._paused:
            sender.pause()
        self._put_agent = sender.put
        if self._running:
            self._agent_task = self._group.create_task(self._run_agent(agent))

    def _remove_agent(self) -> None:
        self._put_agent, self._agent = self._put_unused, None
        if self._agent_task is not None:
            self._agent_task.cancel()

    def _put_unused(self, payload: bytes, arrived: float) -> None:  # noqa: ARG002 - has the shape of AudioSender.put
        self._unused += 1

    def _flush_unused(self) -> None:
        if self._unused:
            self._metrics.frames(Track.AGENT, "unused", self._unused)
            self._unused = 0

    # what the supervisors ask for

    def _tell_live(self) -> None:
        if self._told is not AssistState.LIVE and not self._paused and not self._ending:
            self._told = AssistState.LIVE
            self._tell_listening()

    def _tell_listening(self) -> None:
        reason, message = self._note or (StatusReason.STARTED, "Listening.")
        self._listener.state(AssistState.LIVE, reason, message)

    def _agent_heard(self) -> None:
        """The agent's track has a session."""
        if self._note is not None and self._note[0] is StatusReason.AGENT_TRACK_LOST:
            self._take_note(None)
        self._listener.agent_track(None)

    def _agent_lost(self, why: Passing | None) -> None:
        """The agent's track is an extra: suggestions go on, and it is tried again, slowly."""
        words = why.in_words() if why is not None else ""
        message = f"The agent's words are not heard{f' (the service {words})' if words else ''}; suggestions go on without them."
        if self._note is None or self._note[0] is not StatusReason.AGENT_TRACK_LOST:
            self._metrics.model_error("agent_track")
            self._log.warning("agent_track_lost", why=message)
        self._listener.agent_track(message)
        if self._note is None or self._note[0] is not StatusReason.AUDIO_FORMAT:
            self._take_note((StatusReason.AGENT_TRACK_LOST, message))

    def _take_note(self, note: tuple[StatusReason, str] | None) -> None:
        """What the agent is told beside that the assistant listens."""
        if note != self._note:
            self._note = note
            if self._told is AssistState.LIVE and not self._paused and not self._ending:
                self._tell_listening()

    def _misread(self, heard_ms: float, sent_ms: float) -> None:
        share = round(100 * heard_ms / sent_ms)
        self._metrics.model_error("audio_format")
        self._take_note(
            (
                StatusReason.AUDIO_FORMAT,
                f"The model's service counts {share} % of the audio that it is sent: it takes it for another format, and hears noise. "
                "Tell your administrator: model.audioFormat.",
            )
        )

    def _tell_broken(self, why: Passing | None) -> None:
        if self._told is AssistState.RECONNECTING or self._paused or self._ending:
            return
        lost = self._told is AssistState.LIVE
        self._told = AssistState.RECONNECTING
        what = "The connection to the model was lost" if lost else "The model cannot be reached"
        words = why.in_words() if why is not None else ""
        kept = round(self._limits.replay_seconds)
        self._listener.state(
            AssistState.RECONNECTING,
            StatusReason.MODEL_UNREACHABLE if why is None else why.reason,
            f"{what}{f' (its service {words})' if words else ''}; trying again. "
            f"The last {kept} seconds of the call are kept and will be heard.",
        )

    def _events(self, events: tuple[Event, ...]) -> None:
        listener, metrics = self._listener, self._metrics
        for event in events:
            match event:
                case FinishedSuggestion():
                    listener.finished(event)
                case DraftShown(item, answer, revision, early):
                    listener.draft(item, answer, revision, early=early)
                case EarlyOver(outcome):
                    self._metrics.early_over(outcome)
                case EarlyTokens(count):
                    self._metrics.early_wasted(count)
                case DraftWithdrawn(item, revision, reason):
                    listener.withdrawn(item, revision, reason)
                case TurnHandled(outcome, revision, timing):
                    listener.turn(outcome, revision, timing)
                    if outcome == "blocked":
                        listener.state(
                            AssistState.LIVE, StatusReason.TURN_BLOCKED, "A policy at the model's service blocked the last turn."
                        )
                case OutputRead(revision, form):
                    listener.output(revision, form)
                case ResponseOver(revision, total):
                    listener.tokens(revision, total)
                case Words(track, item, text, final):
                    listener.transcript(track, item, text, final)
                case AgentSpoke(item, started, text):
                    self._agent_spoke(item, started, text)
                case TokensUsed(model, modality, direction, cached, count):
                    if model not in self._settings.model.names:
                        metrics.model_in_place(model)
                    metrics.tokens(model, modality, direction, cached, count)
                case WritingTook(model, tokens, seconds):
                    self._purse.spent(model, tokens, seconds, response=False)
                case ModelFault(label):
                    metrics.model_error(label)
                case AudioMisread(heard_ms, sent_ms):
                    self._misread(heard_ms, sent_ms)
                case AudioHeard():
                    if self._note is not None and self._note[0] is StatusReason.AUDIO_FORMAT:
                        self._take_note(None)
                    listener.audio_heard()
        self._changed.set()

    def _agent_spoke(self, item: str, started: float, text: str) -> None:
        self._history.agent(item, started, text)
        core = self._conversation.core
        if isinstance(core, ConversationSession):
            self._conversation.perform(core.agent_spoke(started, text))
