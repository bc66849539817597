"""Session: the conversation with the model over one socket, from its first item to its last. Pure state machine.

Server events and the clock go in, actions come out. What the call keeps from session to session (history, limiter) is handed in.
"""

from __future__ import annotations

import math

from voiceassist_crds.messages import Track, WithdrawnReason

from . import client_events
from .audio_time import AudioClock
from .failures import HARMLESS_CODES, from_code, label, wait_in
from .history import Seed
from .outputs import Action, FillSilence, GiveUp, ModelFault, Replace, Send, TokensUsed, Words
from .responses import ResponseScheduler
from .server_events import ErrorInfo, ServerEvent, whole_characters
from .session_base import SessionState
from .session_settings import Plan
from .suggest_tool import AGENT_PREFIX
from .turns import HandOverState, Turn, hand_over

_UPDATED = "session.updated"
_MOST_SPEAKING = 8
_MOST_TRANSCRIPTS = 32
_REPLAY_EXPECTS = 3.0  # seconds in which replayed speech is expected to be noticed


class ConversationSession:
    """One session. Every method takes the time in loop seconds and returns the actions to be done, in order."""

    track = Track.CUSTOMER

    def __init__(self, state: SessionState, clock: AudioClock, *, paused: bool) -> None:
        self._state = state
        self._clock = clock
        self._scheduler = ResponseScheduler(state)
        self._begun = False
        self._seeded = False
        self._paused = paused
        self._speaking: dict[str, Turn] = {}
        self._turns: list[Turn] = []
        self._void: list[str] = []
        self._partial: dict[str, str] = {}
        self._early: dict[str, str] = {}
        self._deaf_until_ms = -math.inf
        self._committed_until: float | None = None
        self._expect_until = -math.inf
        self._wanted: Plan | None = None
        self._updating: tuple[str, Plan] | None = None
        self._unsaid: list[tuple[float, str]] = []
        self._placed: dict[str, str] = {}
        self._server_errors = 0
        self._finishing = False
        self._commit_at: float | None = None
        self._commit_sent = False

    # what the shell looks at

    @property
    def plan(self) -> Plan:
        """The settings in force."""
        return self._state.plan

    @property
    def speech_open(self) -> bool:
        """Whether the server heard speech begin and did not make a turn of it yet."""
        return bool(self._speaking) and not self._paused

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest."""
        times = [at for at in (self._scheduler.ask_at, self._commit_at) if at is not None]
        return min(times, default=None)

    def idle(self, now: float) -> bool:
        """Whether the session could be left without losing anything: nobody speaks, no turn waits, nothing is being answered."""
        return not self._speaking and self._scheduler.idle and now >= self._expect_until

    @property
    def at_turns_end(self) -> bool:
        """Whether the switch to another session would fall between turns."""
        return not self._speaking and not self._scheduler.active and self._scheduler.idle

    def hold_from(self, now: float) -> float | None:  # noqa: ARG002 - the same for both kinds of session
        """Arrival of the first audio that another session would have to hear again; None while nothing is open."""
        for turn in self._scheduler.unanswered():
            if not turn.heard:
                return turn.started
        for turn in self._speaking.values():
            return turn.started
        return None

    # life

    def begin(self, handover: HandOverState, now: float) -> list[Action]:
        """The socket is this call's from now on: the conversation so far goes in, and what was left open is taken up."""
        self._begun = True
        if not self._paused:
            self._seed(handover, now)
        self._hold()
        self._scheduler.ask(now)
        return self._state.take()

    def received(self, event: ServerEvent, now: float) -> list[Action]:
        """One server event."""
        kind = event.type
        if kind.startswith("response."):
            self._response(event, now)
        elif kind.startswith("input_audio_buffer."):
            self._buffer(event, now)
        elif kind.startswith("conversation.item.input_audio_transcription."):
            self._transcription(event)
        elif kind == "error" and event.error is not None:
            self._error(event.error, now)
        elif kind == _UPDATED:
            self._updated(now)
        elif kind == "rate_limits.updated":
            used_up = [each.reset_seconds for each in event.rate_limits or () if each.remaining is not None and each.remaining <= 0]
            resets = [seconds for seconds in used_up if seconds is not None]
            self._scheduler.resets_in = max(resets, default=None)
        self._update_between_responses(now)
        return self._state.take()

    def tick(self, now: float) -> list[Action]:
        """Time passed."""
        if self._commit_at is not None and now >= self._commit_at:
            if self._speaking and not self._commit_sent:
                self._state.do(Send(client_events.buffer_commit(self._state.name("b"))))
                self._commit_sent = True
                self._commit_at = now + self._state.limits.end_speech
            else:
                self._speaking.clear()  # committed, and yet no turn: the server made nothing of it
                self._commit_at = None
        self._scheduler.ask(now)
        return self._state.take()

    def agent_spoke(self, started: float, text: str) -> list[Action]:
        """The agent's words, already in the history; a session that has not begun takes them from there."""
        if self._begun and self._paused:
            self._unsaid.append((started, text))
        elif self._begun:
            self._place(started, AGENT_PREFIX + text)
        return self._state.take()

    def update(self, plan: Plan, now: float) -> list[Action]:
        """Other settings, as soon as no response is under way."""
        self._wanted = plan
        self._update_between_responses(now)
        return self._state.take()

    def pause(self, now: float) -> list[Action]:
        """The call's audio is none of the model's business for a while: what is open is dropped, there and here."""
        self._paused = True
        self._scheduler.drop("paused", WithdrawnReason.PAUSED, now)
        if self._begun:
            self._state.do(Send(client_events.buffer_clear(self._state.name("b"))))
        self._deaf_until_ms = self._clock.ms
        self._void = [*self._void, *self._speaking][-_MOST_SPEAKING:]
        self._speaking.clear()
        self._expect_until, self._commit_at = -math.inf, None
        self._hold()
        return self._state.take()

    def resume(self, now: float) -> list[Action]:
        """Audio will flow again."""
        self._paused = False
        if self._seeded:
            for started, text in self._unsaid:
                self._place(started, AGENT_PREFIX + text)
        elif self._begun:
            self._seed(HandOverState(), now)
        self._unsaid.clear()
        self._hold()
        self._scheduler.ask(now)
        return self._state.take()

    def finish(self, now: float) -> list[Action]:
        """The call's audio is over: an open turn is brought to its end."""
        self._finishing = True
        self._end_speech(now)
        return self._state.take()

    def abandon(self) -> tuple[list[Action], HandOverState]:
        """The session is gone: its open turns go to the next one."""
        handover, again = hand_over(self._scheduler.abandon(), list(self._speaking.values()), self._committed_until)
        self._state.history.forget(again)
        self._speaking.clear()
        return self._state.take(), handover

    def drop(self, outcome: str, now: float) -> list[Action]:
        """The call is over: turns without an outcome get this one."""
        self._scheduler.drop(outcome, WithdrawnReason.FAILED, now)
        self._speaking.clear()
        return self._state.take()

    # events

    def _response(self, event: ServerEvent, now: float) -> None:
        if event.type == "response.created" and event.response is not None:
            self._scheduler.created(event.response, now)
        elif event.type == "response.done" and event.response is not None:
            self._scheduler.done(event.response, now)
        else:
            self._scheduler.output(event, now)

    def _buffer(self, event: ServerEvent, now: float) -> None:
        item = event.item_id
        if item is None:
            return
        if event.type.endswith("speech_started"):
            began = event.audio_start_ms
            deaf = self._paused or (began is not None and began < self._deaf_until_ms)  # it began in audio that was thrown away
            if not deaf and len(self._speaking) < _MOST_SPEAKING:
                self._speaking[item] = Turn(item, self._state.key(item), self._clock.arrival(began))
                if self._finishing:
                    self._end_speech(now)
        elif event.type.endswith("speech_stopped"):
            turn = self._speaking.get(item)
            if turn is not None:
                turn.ended = self._clock.arrival(event.audio_end_ms)
                turn.timeline.stopped(turn.ended, self.plan.model.turn_detection.silence_ms)
        elif event.type.endswith(".committed"):
            self._committed(item, now)

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
        state.order.append(item, began)
        state.history.customer(turn.key, began)
        if text := self._early.pop(turn.key, ""):  # words may overtake the commit
            turn.heard = True
            state.history.customer_words(turn.key, text)
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
            text = (self._partial.get(key, "") + event.delta)[: state.limits.words_characters]
            _keep(self._partial, key, text)
            state.do(Words(Track.CUSTOMER, key, whole_characters(text), final=False))
        elif event.type.endswith(".completed"):
            text = (event.transcript or "")[: state.limits.words_characters]
            self._partial.pop(key, None)
            if turn is None:
                _keep(self._early, key, text.strip())
            else:
                turn.heard = bool(text.strip())
                state.history.customer_words(key, text.strip())
            state.do(Words(Track.CUSTOMER, key, text, final=True))
            transcription = self.plan.model.transcription
            if event.usage is not None and transcription is not None:
                for modality, direction, cached, count in event.usage.counts():
                    state.do(TokensUsed(transcription.model, modality, direction, cached, count))
        elif event.type.endswith(".failed"):
            self._partial.pop(key, None)
            state.do(ModelFault("transcription_failed"))

    def _error(self, error: ErrorInfo, now: float) -> None:
        state = self._state
        if error.code in HARMLESS_CODES or "ancellation failed" in (error.message or ""):
            return
        if self._scheduler.refused(error.event_id, error, now):
            return
        state.do(ModelFault(label(error.code, error.type)))
        if self._updating is not None and error.event_id == self._updating[0]:
            self._updating = None  # the server keeps the old settings, and so do we
            state.live.received(_UPDATED)
            self._hold()
            self._scheduler.ask(now)
            return
        lost = self._placed.pop(error.event_id or "", None)
        if lost is not None:  # its neighbour is gone: its place is the end, then
            state.do(Send(client_events.text_item(state.name("i"), state.name("m"), "user", lost, None)))
            return
        fatal = from_code(error.code, error.type)
        if fatal is not None:
            state.do(GiveUp(fatal))
        elif error.code == "session_expired":
            state.do(Replace("expiring", now=True))
        elif error.code == "rate_limit_exceeded":
            self._scheduler.limited(now, wait_in(error.message))
        elif "server_error" in {error.code, error.type}:
            self._server_errors += 1
            if self._server_errors > 1:
                state.do(Replace("error", now=True))

    # settings

    def _update_between_responses(self, now: float) -> None:
        plan = self._wanted
        if plan is None or self._updating is not None or self._scheduler.active:
            return
        self._wanted = None
        if plan == self.plan:
            return
        name = self._state.name("u")
        self._updating = (name, plan)
        self._hold()
        self._state.live.expect(_UPDATED, now, self._state.limits.update)
        self._state.do(Send(plan.conversation_update(name)))

    def _updated(self, now: float) -> None:
        if self._updating is None:
            return
        self._state.plan = self._updating[1]
        self._state.limiter.per_minute = self.plan.model.max_responses_per_minute
        self._updating = None
        self._state.live.received(_UPDATED)
        self._hold()
        self._scheduler.ask(now)

    def _hold(self) -> None:
        self._scheduler.held = not self._begun or self._paused or self._updating is not None

    # words

    def _seed(self, handover: HandOverState, now: float) -> None:
        self._seeded = True
        names = {seed.key: self._plant(seed) for seed in self._state.history.seeds()}
        for turn in handover.turns:
            turn.item = names.get(turn.key, turn.item)
            self._scheduler.waiting.append(turn)
        if handover.replay_from is not None:
            self._expect_until = now + _REPLAY_EXPECTS

    def _plant(self, seed: Seed) -> str:
        state = self._state
        name = state.name("m")
        state.order.append(name, seed.at)
        state.do(Send(client_events.text_item(state.name("i"), name, seed.role, seed.text, None)))
        return name

    def _place(self, started: float, text: str) -> None:
        state = self._state
        name, event = state.name("m"), state.name("i")
        previous = state.order.insert(name, started)
        if previous is not None:
            _keep(self._placed, event, text)
        state.do(Send(client_events.text_item(event, name, "user", text, previous)))

    def _end_speech(self, now: float) -> None:
        if self._speaking and self._commit_at is None:
            silence = self.plan.model.turn_detection.silence_ms
            self._state.do(FillSilence(((silence or 500) + 300) / 1000))
            self._commit_at = now + self._state.limits.end_speech
            self._commit_sent = False


def _keep(texts: dict[str, str], key: str, text: str) -> None:
    """Keeps the latest few texts."""
    texts[key] = text
    if len(texts) > _MOST_TRANSCRIPTS:
        del texts[next(iter(texts))]
