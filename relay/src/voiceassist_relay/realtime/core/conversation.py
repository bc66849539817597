"""The conversation with the model over one connection, from its first item to its last (pure).

What the call keeps from session to session, its history and its limiter, is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from voiceassist_crds.messages import Track, WithdrawnReason

from . import client_events
from .audio_drift import AudioDrift, Hearing
from .eager_budget import EagerBudget
from .eager_drafts import EagerDrafts
from .history import History, ItemOrder, Seed
from .limits import ResponseLimiter
from .outputs import AudioHeard, AudioMisread, FillSilence, ModelFault, Outputs
from .responses import ResponseScheduler
from .server_events import ErrorInfo, ServerEvent
from .session_base import SessionCore, SessionState, asked_wait, keep_latest
from .session_settings import SessionSettings
from .suggest_tool import AGENT_PREFIX
from .transcripts import Transcripts
from .turns import HandOverState, Turn, hand_over

_MOST_SPEAKING = 8
_MOST_TRANSCRIPTS = 32
_REPLAY_EXPECTS = 3.0  # seconds in which replayed speech is expected to be noticed


class ConversationSession(SessionCore):
    """The customer's audio in, suggestions out."""

    def __init__(self, state: SessionState, history: History, limiter: ResponseLimiter, budget: EagerBudget, *, paused: bool) -> None:
        super().__init__(state, paused=paused)
        self._history = history
        self._limiter = limiter
        self._order = ItemOrder()
        self._scheduler = ResponseScheduler(state, history, limiter, self._order)
        self._budget = budget
        self._eager = EagerDrafts(state, self._scheduler, self._order, budget)
        self._seeded = False
        self._speaking: dict[str, Turn] = {}
        self._turns: list[Turn] = []
        self._void: list[str] = []
        """Items whose audio was thrown away: a commit that was under way makes no turn of them."""
        self._transcripts = Transcripts(Track.CUSTOMER, state.limits.words_characters, _MOST_TRANSCRIPTS)
        self._early: dict[str, str] = {}
        """Words that came before the commit of their item."""
        self._committed_until: float | None = None
        self._expect_until = -math.inf
        self._unsaid: list[tuple[float, str]] = []
        """The agent's words during a pause, with when they began."""
        self._inserted: dict[str, str] = {}
        self._drift = AudioDrift()
        self._finishing = False
        self._lost = False
        """A response was lost with the session."""
        self._commit_at: float | None = None
        self._commit_sent = False

    # what the supervisor looks at

    @property
    def speech_open(self) -> bool:
        """Whether the server heard speech begin and did not make a turn of it yet."""
        return bool(self._speaking) and not self._paused

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest, in seconds of its clock."""
        times = [at for at in (self._scheduler.ask_at, self._commit_at) if at is not None]
        return min(times, default=None)

    @property
    def listens_at(self) -> float | None:
        """When `listen` is to be called, in seconds of its clock; None: there is nothing to listen for."""
        return None if self._paused or self._updating is not None else self._eager.listens_at

    @property
    def listens_from(self) -> float:
        """Arrival of the first frame that `listen` is to be given."""
        return self._eager.listens_from

    def listen(self, frames: Sequence[bytes], arrivals: Sequence[float], now: float) -> Outputs:
        """The open turn's audio so far."""
        self._eager.listen(frames, arrivals, now)
        return self._state.take()

    @property
    def at_turns_end(self) -> bool:
        """Whether nobody speaks, and nothing is answered or waits for an answer."""
        return not self._speaking and not self._scheduler.active and self._scheduler.idle

    @property
    def answering(self) -> bool:
        """Whether a response of ours is asked for or under way."""
        return self._scheduler.answering or self._eager.busy

    def idle(self, now: float) -> bool:
        """Whether nobody speaks, no turn waits for its outcome, and no replayed speech is expected to be noticed."""
        return not self._speaking and self._scheduler.idle and now >= self._expect_until

    def hold_from(self, now: float) -> float | None:  # noqa: ARG002 - as the base has it
        """Arrival, in seconds of the caller's clock, of the first audio of a turn whose words are not known."""
        for turn in self._scheduler.unanswered():
            if not turn.heard:
                return turn.started
        for turn in self._speaking.values():
            return turn.started
        return None

    # life

    def agent_spoke(self, started: float, text: str) -> Outputs:
        """The agent's words, already in the history; a session that has not begun takes them from there."""
        if self._begun and self._paused:
            self._unsaid.append((started, text))
        elif self._begun:
            self._insert(started, AGENT_PREFIX + text)
        return self._state.take()

    def _take_up(self, handover: HandOverState, now: float) -> None:
        if not self._paused:
            self._seed(handover, now)
        self._hold()
        self._scheduler.ask(now)

    def _tick(self, now: float) -> None:
        if self._commit_at is not None and now >= self._commit_at:
            if self._speaking and not self._commit_sent:
                self._state.send(client_events.buffer_commit(self._state.name("b")))
                self._commit_sent = True
                self._commit_at = now + self._state.limits.end_speech
            else:
                self._speaking.clear()  # committed, and yet no turn: the server made nothing of it
                self._commit_at = None
        self._scheduler.ask(now)

    def _drop_answers(self, now: float) -> None:
        self._scheduler.drop("paused", WithdrawnReason.PAUSED, now)
        self._eager.drop(WithdrawnReason.PAUSED)

    def _drop_speech(self) -> None:
        for item in self._speaking:
            self._state.event(*self._transcripts.failed(self._state.key(item)))
        self._void = [*self._void, *self._speaking][-_MOST_SPEAKING:]
        self._speaking.clear()
        self._expect_until, self._commit_at = -math.inf, None
        self._hold()

    def _resume(self, now: float) -> None:
        if self._seeded:
            for started, text in self._unsaid:
                self._insert(started, AGENT_PREFIX + text)
        elif self._begun:
            self._seed(HandOverState(), now)
        self._unsaid.clear()
        self._hold()
        self._scheduler.ask(now)

    def _finish(self, now: float) -> None:
        self._finishing = True
        self._end_speech(now)

    def _lose_response(self) -> None:
        """A response that began ends with the session: what it took is not told any more."""
        if (self._scheduler.begun or self._eager.begun) and not self._lost:
            self._lost = True
            self._limiter.over(self._state.settings.model.name, None)

    def _hand_over(self) -> HandOverState:
        self._lose_response()
        self._eager.drop(WithdrawnReason.FAILED)
        handover, again = hand_over(self._scheduler.abandon(), list(self._speaking.values()), self._committed_until)
        self._history.forget(again)
        self._state.event(*self._transcripts.abandoned({*again, *(turn.key for turn in self._speaking.values())}))
        self._speaking.clear()
        return handover

    def _drop(self, outcome: str, now: float) -> None:
        self._lose_response()
        self._scheduler.drop(outcome, WithdrawnReason.FAILED, now)
        self._eager.drop(WithdrawnReason.FAILED)
        self._speaking.clear()
        self._state.event(*self._transcripts.left())

    # events

    def _receive(self, event: ServerEvent, now: float) -> None:
        kind = event.type
        if kind.startswith("response."):
            self._response(event, now)
        elif kind.startswith("input_audio_buffer."):
            self._audio_buffer(event, now)
        elif kind.startswith("conversation.item.input_audio_transcription."):
            self._transcription(event)
        elif kind == "conversation.item.deleted" and event.item_id is not None:  # we delete none
            self._order.remove(event.item_id)
            self._scheduler.blocked(event.item_id, now)
        elif kind == "rate_limits.updated":
            used_up = [each.reset_seconds for each in event.rate_limits or () if each.remaining is not None and each.remaining <= 0]
            resets = [seconds for seconds in used_up if seconds is not None]
            self._scheduler.resets_in = max(resets, default=None)

    def _response(self, event: ServerEvent, now: float) -> None:
        if event.type == "response.created" and event.response is not None:
            if not self._eager.created(event.response, now):
                self._scheduler.created(event.response, now)
        elif event.type == "response.done" and event.response is not None:
            if event.response.usage is not None:
                self._budget.spent(event.response.usage.total)
            usage, model = event.response.usage, self._state.settings.model.name
            self._state.count(usage, model)
            self._limiter.over(model, None if usage is None else usage.by_kind)  # before another one is asked for
            if not self._eager.done(event.response, now):
                self._scheduler.done(event.response, now)
        elif not self._eager.output(event, now):
            self._scheduler.output(event, now)

    def _audio_buffer(self, event: ServerEvent, now: float) -> None:
        item = event.item_id
        if item is None:
            return
        if event.type.endswith("speech_started"):
            began = event.audio_start_ms
            deaf = self._paused or (began is not None and began < self._deaf_until_ms)  # it began in audio that was thrown away
            if not deaf and len(self._speaking) < _MOST_SPEAKING:
                self._speaking[item] = Turn(item, self._state.key(item), self._state.clock.arrival(began))
                self._eager.speaks(self._speaking[item], now)
                if self._finishing:
                    self._end_speech(now)
            self._counted(began)
        elif event.type.endswith("speech_stopped"):
            turn = self._speaking.get(item)
            if turn is not None:
                turn.ended = self._state.clock.arrival(event.audio_end_ms)
                turn.timeline.stopped(turn.ended, self.settings.model.turn_detection.silence_ms)
                self._eager.stopped(turn, now)
            self._counted(event.audio_end_ms)
        elif event.type.endswith(".committed"):
            self._committed(item, now)

    def _counted(self, heard_ms: float | None) -> None:
        """The server says at which millisecond of its count speech began or ended."""
        match self._drift.heard(heard_ms, self._state.clock.ms):
            case Hearing.MISREAD:
                self._state.event(AudioMisread(heard_ms or 0.0, self._state.clock.ms))
            case Hearing.RIGHT:
                self._state.event(AudioHeard())

    def _committed(self, item: str, now: float) -> None:
        if item in self._void or any(turn.item == item for turn in self._turns):
            return
        state = self._state
        while item in self._speaking and next(iter(self._speaking)) != item:
            self._speaking.pop(next(iter(self._speaking)))  # passed over by the server: nothing will come of it
        turn = self._speaking.pop(item, None) or Turn(item, state.key(item))
        turn.timeline.committed = now
        self._turns.append(turn)
        del self._turns[:-_MOST_TRANSCRIPTS]
        self._committed_until = now if turn.ended is None else turn.ended
        self._expect_until = -math.inf
        began = now if turn.started is None else turn.started
        self._order.append(item, began)
        self._history.customer(turn.key, began)
        if text := self._early.pop(turn.key, ""):  # words may overtake the commit
            turn.heard = True
            self._history.customer_words(turn.key, text)
        early = self._eager.claim(turn)
        if early is not None:
            self._scheduler.adopt(early, turn, now)
        else:
            self._scheduler.committed(turn, now)
        if self._paused:
            self._scheduler.drop("paused", WithdrawnReason.PAUSED, now)

    def _transcription(self, event: ServerEvent) -> None:
        item = event.item_id
        if item is None:
            return
        state, key = self._state, self._state.key(item)
        turn = next((turn for turn in reversed(self._turns) if turn.item == item), None)
        if event.type.endswith(".delta") and event.delta:
            self._eager.said(item, event.delta)
            state.event(*self._transcripts.piece(key, event.delta))
        elif event.type.endswith(".completed"):
            text = (event.transcript or "")[: state.limits.words_characters]
            if turn is None:
                keep_latest(self._early, key, text.strip(), _MOST_TRANSCRIPTS)
            else:
                turn.heard = bool(text.strip())
                self._history.customer_words(key, text.strip())
            state.event(*self._transcripts.whole(key, text))
            transcription = self.settings.model.transcription
            if transcription is not None:
                state.count_writing(event.usage, self.transcribed_by or transcription.model)
        elif event.type.endswith(".failed"):
            state.event(*self._transcripts.failed(key), ModelFault("transcription_failed"))

    # errors

    def _nothing_to_commit(self) -> None:
        """Nothing depends on it."""

    def _about_request(self, error: ErrorInfo, now: float) -> bool:
        return self._eager.refused(error.event_id, error, now) or self._scheduler.refused(error.event_id, error, now)

    def _about_item(self, error: ErrorInfo) -> bool:
        """Words whose neighbour is gone: their place is the end, then."""
        lost = self._inserted.pop(error.event_id or "", None)
        if lost is None:
            return False
        state = self._state
        state.send(client_events.text_item(state.name("i"), state.name("m"), "user", lost, None))
        return True

    def _blocked(self, item: str | None, now: float) -> None:
        self._scheduler.expect_intruder()
        self._scheduler.blocked(item, now)

    def _limited(self, error: ErrorInfo, now: float) -> None:
        self._scheduler.limited(now, asked_wait(error))

    # settings

    def _settings_event(self, settings: SessionSettings, event_id: str) -> bytes:
        return settings.conversation_update(event_id, self.settings.model)

    def _may_update(self) -> bool:
        return not self._scheduler.active and not self._eager.busy

    def _update_changed(self, now: float) -> None:
        self._limiter.per_minute = self.settings.model.max_responses_per_minute
        self._hold()
        self._scheduler.ask(now)

    def _hold(self) -> None:
        self._scheduler.held = not self._begun or self._paused or self._updating is not None

    # words

    def _seed(self, handover: HandOverState, now: float) -> None:
        self._seeded = True
        names = {seed.key: self._plant(seed) for seed in self._history.seeds()}
        for turn in handover.turns:
            turn.item = names.get(turn.key, turn.item)
            self._scheduler.waiting.append(turn)
        if handover.replay_from is not None:
            self._expect_until = now + _REPLAY_EXPECTS

    def _plant(self, seed: Seed) -> str:
        state = self._state
        name = state.name("m")
        self._order.append(name, seed.at)
        state.send(client_events.text_item(state.name("i"), name, seed.role, seed.text, None))
        return name

    def _insert(self, started: float, text: str) -> None:
        state = self._state
        name, event = state.name("m"), state.name("i")
        previous = self._order.insert(name, started)
        if previous is not None:
            keep_latest(self._inserted, event, text, _MOST_TRANSCRIPTS)
        state.send(client_events.text_item(event, name, "user", text, previous))

    def _end_speech(self, now: float) -> None:
        if self._speaking and self._commit_at is None:
            silence = self.settings.model.turn_detection.silence_ms
            self._state.command(FillSilence(((silence or 500) + 300) / 1000))
            self._commit_at = now + self._state.limits.end_speech
            self._commit_sent = False
