"""The base of both kinds of session (pure): their state, and settings, pauses and errors, which both handle alike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from . import client_events
from .audio_time import AudioClock
from .failures import HARMLESS_CODES, from_code, is_blocked, is_rate_limit, label, wait_in
from .limits import SessionLimits
from .liveness import Liveness
from .outputs import NOTHING, Command, Event, GiveUp, ModelFault, Outputs, Replace, Send, TokensUsed, WritingTook
from .server_events import ErrorInfo, ServerEvent, Usage
from .session_settings import SessionSettings
from .turns import HandOverState

_UPDATED = "session.updated"


class SessionState:
    """What the parts of one session share: names, the settings in force, and what they give.

    `number` counts the track's sessions in the call from 1; `prefix` begins the keys of its items.
    """

    def __init__(
        self, number: int, settings: SessionSettings, clock: AudioClock, live: Liveness, limits: SessionLimits, *, prefix: str = ""
    ) -> None:
        self.number = number
        self.settings = settings
        self.clock = clock
        self.live = live
        self.limits = limits
        self._prefix = prefix
        self._commands: list[Command] = []
        self._events: list[Event] = []
        self._names = 0

    def command(self, command: Command) -> None:
        """To the session's connection."""
        self._commands.append(command)

    def send(self, data: bytes) -> None:
        """One client event, to the session's connection."""
        self._commands.append(Send(data))

    def event(self, *events: Event) -> None:
        """To the session's owner."""
        self._events.extend(events)

    def count(self, usage: Usage | None, model: str) -> None:
        """The tokens that a response or a transcript took."""
        if usage is not None:
            for modality, direction, cached, count in usage.counts():
                self._events.append(TokensUsed(model, modality, direction, cached, count))

    def count_writing(self, usage: Usage | None, model: str) -> None:
        """What a transcript took."""
        self.count(usage, model)
        if usage is not None:
            self._events.append(WritingTook(model, usage.by_kind, usage.seconds or 0.0))

    def take(self) -> Outputs:
        """What was given since the last time."""
        if not self._commands and not self._events:
            return NOTHING
        given = Outputs(tuple(self._commands), tuple(self._events))
        self._commands.clear()
        self._events.clear()
        return given

    def name(self, prefix: str) -> str:
        """A new name for an event or an item of ours, unique in the session."""
        self._names += 1
        return f"va_{prefix}{self._names}"

    def key(self, item: str) -> str:
        """An item's name that is unique in the call: servers may count their items anew in each session."""
        return f"{self._prefix}{item}" if self.number == 1 else f"{self._prefix}{item}-s{self.number}"


class SessionCore(ABC):
    """One session as a state machine: server events and the clock go in, commands and events come out.

    Times are loop seconds. Every method below `life` returns what is to be done.
    """

    def __init__(self, state: SessionState, *, paused: bool) -> None:
        self._state = state
        self._paused = paused
        self._begun = False
        self._deaf_until_ms = -math.inf
        """Audio before this was thrown away at the server: speech that began in it is none."""
        self._wanted: SessionSettings | None = None
        self._updating: tuple[str, SessionSettings] | None = None
        self._server_errors = 0
        self.transcribed_by: str | None = None
        """The model that writes down, where the server has said so; tokens are counted for it."""

    # what the supervisor looks at

    @property
    def settings(self) -> SessionSettings:
        """The settings in force."""
        return self._state.settings

    @property
    def wants_frames(self) -> bool:
        """Whether `frame` is to be called with each frame that is written."""
        return False

    @property
    def listens_at(self) -> float | None:
        """When `listen` is to be called, in seconds of its clock; None: there is nothing to listen for."""
        return None

    @property
    def listens_from(self) -> float:
        """Arrival of the first frame that `listen` is to be given."""
        return math.inf

    def listen(self, frames: Sequence[bytes], arrivals: Sequence[float], now: float) -> Outputs:  # noqa: ARG002 - for cores that listen
        """The audio that arrived from `listens_from` on: base64 mu-law, and when each frame arrived."""
        return NOTHING

    @property
    @abstractmethod
    def speech_open(self) -> bool:
        """Whether speech began, for the server, that it made no item of yet."""

    @property
    @abstractmethod
    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest, in seconds of its clock."""

    @property
    @abstractmethod
    def at_turns_end(self) -> bool:
        """Whether the switch to another session would fall between turns."""

    @abstractmethod
    def idle(self, now: float) -> bool:
        """Whether the session could be left without losing anything."""

    @abstractmethod
    def hold_from(self, now: float) -> float | None:
        """Arrival, in seconds, of the first audio that another session would have to hear again; None while nothing is open."""

    # life

    def begin(self, handover: HandOverState, now: float) -> Outputs:
        """The connection is this call's from now on; what an earlier session left open is taken up."""
        self._begun = True
        self._take_up(handover, now)
        return self._state.take()

    def received(self, event: ServerEvent, now: float) -> Outputs:
        """One server event."""
        if event.type == "error":
            if event.error is not None:
                self._error(event.error, now)
        elif event.type == _UPDATED:
            if event.session is not None:
                self.transcribed_by = event.session.transcribed_by
            if self._updating is not None:
                self._state.settings = self._updating[1]
                self._settle_update(now)
        else:
            self._receive(event, now)
        self._update_if_free(now)
        return self._state.take()

    def frame(self, payload: bytes, arrived: float) -> Outputs:  # noqa: ARG002 - for cores that want frames
        """A frame of base64 mu-law was written."""
        return NOTHING

    def tick(self, now: float) -> Outputs:
        """Time passed."""
        self._tick(now)
        return self._state.take()

    def update(self, settings: SessionSettings, now: float) -> Outputs:
        """Other settings, as soon as they can be taken."""
        self._wanted = settings
        self._update_if_free(now)
        return self._state.take()

    def pause(self, now: float) -> Outputs:
        """The call's audio is none of the model's business for a while: what is open is dropped, there and here."""
        self._paused = True
        self._drop_answers(now)
        if self._begun:
            self._state.send(client_events.buffer_clear(self._state.name("b")))
        self._deaf_until_ms = self._state.clock.ms
        self._drop_speech()
        return self._state.take()

    def resume(self, now: float) -> Outputs:
        """Audio will flow again."""
        self._paused = False
        self._resume(now)
        return self._state.take()

    def finish(self, now: float) -> Outputs:
        """The call's audio is over: what is open is brought to its end."""
        self._finish(now)
        return self._state.take()

    def abandon(self) -> tuple[Outputs, HandOverState]:
        """The session is gone: what it left open goes to the next one."""
        handover = self._hand_over()
        return self._state.take(), handover

    def drop(self, outcome: str, now: float) -> Outputs:
        """The call is over: turns without an outcome get this one."""
        self._drop(outcome, now)
        return self._state.take()

    # what one kind does otherwise than the other

    @abstractmethod
    def _receive(self, event: ServerEvent, now: float) -> None:
        """One server event that is neither an error nor about settings."""

    @abstractmethod
    def _settings_event(self, settings: SessionSettings, event_id: str) -> bytes | None:
        """The `session.update` for other settings; None if they make no difference to this kind."""

    @abstractmethod
    def _take_up(self, handover: HandOverState, now: float) -> None: ...

    @abstractmethod
    def _tick(self, now: float) -> None: ...

    @abstractmethod
    def _drop_speech(self) -> None:
        """Forgets speech that is open: its audio is thrown away."""

    @abstractmethod
    def _finish(self, now: float) -> None: ...

    @abstractmethod
    def _hand_over(self) -> HandOverState: ...

    @abstractmethod
    def _drop(self, outcome: str, now: float) -> None: ...

    @abstractmethod
    def _nothing_to_commit(self) -> None:
        """Our commit found no audio, or our cancel no response."""

    @abstractmethod
    def _drop_answers(self, now: float) -> None:
        """Forgets turns that wait for an answer."""

    @abstractmethod
    def _resume(self, now: float) -> None:
        """Takes up again what the pause held."""

    def _may_update(self) -> bool:
        """Whether other settings may be sent now."""
        return True

    @abstractmethod
    def _update_changed(self, now: float) -> None:
        """An update was sent, or settled."""

    def _about_request(self, error: ErrorInfo, now: float) -> bool:  # noqa: ARG002 - for cores that make requests
        """Whether an error is the answer to a request of ours, which is dealt with."""
        return False

    def _about_item(self, error: ErrorInfo) -> bool:  # noqa: ARG002 - for cores that add items
        """Whether an error is about an item that we added, which is dealt with."""
        return False

    def _blocked(self, item: str | None, now: float) -> None:  # noqa: B027 - for cores that have turns
        """A policy at the server does not let a turn through."""

    @abstractmethod
    def _limited(self, error: ErrorInfo, now: float) -> None:
        """The server wants fewer requests."""

    # settings

    def _update_if_free(self, now: float) -> None:
        wanted, state = self._wanted, self._state
        if wanted is None or self._updating is not None or not self._may_update():
            return
        self._wanted = None
        if wanted == state.settings:
            return
        name = state.name("u")
        update = self._settings_event(wanted, name)
        if update is None:
            state.settings = wanted
            return
        self._updating = (name, wanted)
        self._update_changed(now)
        state.live.expect(_UPDATED, now, state.limits.update)
        state.send(update)

    def _settle_update(self, now: float) -> None:
        self._updating = None
        self._state.live.received(_UPDATED)
        self._update_changed(now)

    # errors

    def _error(self, error: ErrorInfo, now: float) -> None:
        state = self._state
        if error.code in HARMLESS_CODES or "ancellation failed" in (error.message or ""):
            self._nothing_to_commit()
            return
        if self._about_request(error, now):
            return
        state.event(ModelFault(label(error.code, error.type)))
        if is_blocked(error):
            self._blocked(None, now)
            return
        if self._updating is not None and error.event_id == self._updating[0]:
            self._settle_update(now)  # the server keeps the old settings, and so do we
            return
        if self._about_item(error):
            return
        fatal = from_code(error.code, error.type)
        if fatal is not None:
            state.command(GiveUp(fatal))
        elif error.code == "session_expired":
            state.command(Replace("expiring", now=True))
        elif is_rate_limit(error):
            self._limited(error, now)
        elif "server_error" in {error.code, error.type}:
            self._server_errors += 1
            if self._server_errors > 1:
                state.command(Replace("error", now=True))


def asked_wait(error: ErrorInfo) -> float | None:
    """Seconds for which the server's error asks us to wait; None if it does not say."""
    return wait_in(error.message)


def keep_latest(texts: dict[str, str], key: str, text: str, most: int) -> None:
    """Keeps a text under its key, and at most so many in all: the oldest go."""
    texts[key] = text
    if len(texts) > most:
        del texts[next(iter(texts))]
