"""Session supervisor: one track's session through all its replacements: attached, watched, switched."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import structlog

from ..lazy_event import LazyEvent
from .audio_sender import AudioSender, Tap
from .core.audio_format import encoder
from .core.audio_time import FRAME_SECONDS, AudioClock, SilenceFill
from .core.failures import Fatal, Passing
from .core.limits import recycle_after
from .core.outputs import NOTHING, Event, FillSilence, GiveUp, ModelFault, Outputs, Replace, Send, TurnHandled
from .core.server_events import ServerEvent
from .core.session_base import SessionCore
from .core.session_settings import SessionSettings
from .core.turns import HandOverState
from .dialer import Dialer, FinalFailure, SessionDependencies
from .inheritance import Inheritance
from .providers import provider_of
from .session_connection import SessionConnection
from .session_profiles import SessionProfile

_log = structlog.get_logger(__name__)


def _nothing(*_: object) -> None:
    """For those who need not know."""


class SessionSupervisor:
    """One track. `run` owns its sockets; everything else is called by the model client and returns at once.

    What a core commands is carried out here; its events go to `on_events`. `on_attached` is called when a session took over, `on_broken`
    when there has been none for a while that the agent should know of, with why no other could be had, if one was tried.
    """

    __slots__ = (
        "_alarm",
        "_alarm_at",
        "_behind_until",
        "_broke",
        "_changed",
        "_closing",
        "_connection",
        "_dialer",
        "_fatal",
        "_fill",
        "_first",
        "_handover",
        "_heard_at",
        "_inherited",
        "_leave_by",
        "_left_at",
        "_limits",
        "_loop",
        "_may_begin",
        "_needs",
        "_number",
        "_on_attached",
        "_on_broken",
        "_on_events",
        "_paused",
        "_profile",
        "_quiet_since",
        "_recycle_at",
        "_refused_since",
        "_replace",
        "_tell",
        "core",
        "sender",
        "standing",
    )

    def __init__(
        self,
        profile: SessionProfile,
        sender: AudioSender,
        needs: SessionDependencies,
        *,
        on_events: Callable[[tuple[Event, ...]], None],
        on_attached: Callable[[], None] = _nothing,
        on_broken: Callable[[Passing | None], None] = _nothing,
        paused: bool,
    ) -> None:
        self.sender = sender
        self.core: SessionCore | None = None
        self._profile = profile
        self._on_events, self._on_attached, self._on_broken = on_events, on_attached, on_broken
        self._needs = needs
        self._limits = needs.limits
        self._paused = paused
        self._loop = asyncio.get_running_loop()
        self._changed = LazyEvent()
        self._dialer = Dialer(profile, needs, self._changed.set)
        self._dialer.tell = self._attempt_failed
        self._connection: SessionConnection | None = None
        self._number = 0
        self._handover = HandOverState()
        self._left_at = self._heard_at = self._quiet_since = -math.inf
        self._first = self._behind_until = -math.inf
        """Arrival of the first frame that the session got, and until when it was still given what had waited for it."""
        self._refused_since: float | None = None
        """Arrival of the last audio that a session had which was closed over it; None: the latest session was not."""
        self._broke = False
        """Whether the latest session ended by itself."""
        self._recycle_at = self._leave_by = math.inf
        self._replace: str | None = None
        self._fatal: Fatal | None = None
        self._fill = SilenceFill()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._tell: asyncio.TimerHandle | None = None
        self._closing: list[asyncio.Task[None]] = []
        self.standing = LazyEvent()
        """Set once the first session stands, or none will."""
        self._may_begin = LazyEvent()
        self._may_begin.set()
        self._inherited: float | None = None
        """Arrival of the first frame that the first session is to hear, where another relay had the call before."""

    # the life of the track

    async def run(self) -> None:
        """Keeps a session until cancelled. Raises FinalFailure."""
        self._tell = self._loop.call_later(self._limits.tell_after, self._broken)
        try:
            connection = await self._dialer.open(at_once=True)
            self.standing.set()
            await self._may_begin.wait()
            if connection.over is not None:
                connection = await self._dialer.open()
            while True:
                self._attach(connection)
                connection = await self._successor(connection)
        finally:
            self.standing.set()
            self._end()

    async def closed(self) -> None:
        """Waits until the sockets are closed; `run` is to be over before."""
        while self._closing:
            await asyncio.wait(set(self._closing))

    def _attach(self, connection: SessionConnection) -> None:
        """The session takes over: conversation first, then audio, in one go."""
        now, settings = self._loop.time(), self._needs.settings()
        self._number += 1
        self._connection, self._dialer.connection, self._replace = connection, None, None
        clock = AudioClock()
        self.core = core = self._profile.core(self._number, connection.settings, clock, connection.live, paused=self._paused)
        core.transcribed_by = connection.transcribed_by
        connection.on_event, connection.on_writable = self._received, self.sender.writable
        connection.on_acknowledged = self._acknowledged
        self._recycle_at = connection.opened_at + recycle_after(connection.expires_in, self._needs.chance(), self._limits)
        self._leave_by = connection.opened_at + connection.expires_in * self._limits.recycle_margin
        self._quiet_since = now
        handover, self._handover = self._handover, HandOverState()
        self.perform(core.begin(handover, now))
        since, self._inherited = self._since(handover), None
        model = connection.settings.model
        encode = encoder(provider_of(model).audio_format(model))
        maybe_unheard = self._broke or self.sender.waiting  # after a session that was well, nothing but what it heard is told again
        tap = self._tap(core) if core.wants_frames else None
        self._first = self.sender.attach(connection.writer, clock, since, tap, encode)
        self._behind_until = now if maybe_unheard else -math.inf
        if not connection.writable:
            self.sender.writable(False)  # what it was told first fills its socket already
        if connection.settings != settings:
            self.use(settings)
        self._quieten()
        self._on_attached()
        self.arm()
        _log.info("model_session", kind=self._profile.name, number=self._number)

    async def _successor(self, connection: SessionConnection) -> SessionConnection:
        """Waits until the session must be replaced, and has its successor ready before it ends where that can be."""
        task: asyncio.Task[SessionConnection] | None = None
        if connection.over is not None:
            self._changed.set()
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                over = connection.over
                fatal = self._fatal or (over.failure if over is not None and isinstance(over.failure, Fatal) else None)
                if fatal is not None and self._profile.gives_up:
                    raise FinalFailure(fatal)
                if fatal is not None:
                    self._fatal = None
                    self._dialer.refused(fatal)
                if over is not None or fatal is not None:
                    self._leave(over.label if over is not None else "error")
                    return await (task if task is not None and not _failed(task) else self._dialer.open())
                if self._replace is None:
                    continue
                if task is None:
                    task = asyncio.create_task(self._dialer.open())
                    task.add_done_callback(lambda _: self._changed.set())
                elif task.done() and _failed(task):
                    if self._loop.time() >= self._leave_by:
                        return task.result()  # this session is of no more use either
                    task, self._replace, self._recycle_at = None, None, math.inf  # no other session can be had: this one goes on
                elif task.done() and task.result().over is not None:
                    self._dialer.record_lifetime(self._loop.time() - task.result().opened_at, over=True)
                    task = None
                    self._changed.set()
                elif task.done() and (self._at_turns_end or self._loop.time() >= self._leave_by):
                    self._leave(self._replace)
                    return task.result()
        finally:
            if task is not None and not task.done():
                task.cancel()

    @property
    def _at_turns_end(self) -> bool:
        return self.core is None or self.core.at_turns_end

    def _leave(self, why: str) -> None:
        """The session is given up: its open turns are taken along, its socket is closed."""
        now = self._loop.time()
        connection = self._connection
        self._give_up(now)
        self._tell = self._loop.call_later(self._limits.tell_after, self._broken)
        if connection is not None:
            self._give_up_refused(connection)
            self._dialer.record_lifetime(now - connection.opened_at, over=why != "configuration")
        self._needs.metrics.reconnected(why)
        _log.info("model_session_left", kind=self._profile.name, why=why)

    def _give_up(self, now: float) -> None:
        connection, core = self._connection, self.core
        self.sender.detach()
        self._connection = self.core = None
        self._disarm()
        self._left_at = now
        self._quieten()
        if core is not None:
            outputs, self._handover = core.abandon()
            self.perform(outputs)
        if connection is not None:
            self._heard_at, self._broke = self._read_at(connection), connection.over is not None
            self._shut(connection)

    def _give_up_refused(self, connection: SessionConnection) -> None:
        """Audio that two sessions in a row were closed over is heard by no third: its turns are dropped."""
        since = self._since(self._handover)
        if not connection.refused_audio:
            self._refused_since = None
        elif self._refused_since is None or since > self._refused_since:
            self._refused_since = self.sender.last_arrival
        else:
            self._refused_since = None
            handover, last = self._handover, self.sender.last_arrival
            self._handover = HandOverState(handover.turns, None, last if math.isfinite(last) else None)
            revision = connection.settings.revision
            self._on_events(tuple(TurnHandled("dropped", revision, turn.timeline.timing(self._left_at)) for turn in handover.again))
            self._on_events((ModelFault("audio_refused"),))
            _log.warning("audio_given_up", kind=self._profile.name, seconds=round(last - since, 1), turns=len(handover.again))

    def _shut(self, connection: SessionConnection) -> None:
        if connection.over is not None:
            connection.abort()
            return
        connection.on_event = connection.on_writable = connection.on_acknowledged = None
        task = asyncio.get_running_loop().create_task(connection.close())
        self._closing.append(task)
        task.add_done_callback(self._closing.remove)

    def _end(self) -> None:
        self.sender.close()
        self._disarm()
        self._quieten()
        for connection in (self._connection, self._dialer.connection):
            if connection is not None:
                self._shut(connection)
        self._connection = self._dialer.connection = None

    # from one relay to another

    def wait_for_call(self) -> None:
        """The first session is opened and then told nothing until `begin_with`: another relay has the call still."""
        self._may_begin.clear()

    def begin_with(self, track: Inheritance | None) -> None:
        """Goes on where another relay stopped, if it said where; the session that stands is the call's now."""
        if track is not None:
            self._number, self._handover, self._inherited = track.number, track.handover, track.since
            self.sender.begin_with(track.frames, track.arrivals, track.fresh)
        self._quieten()
        self._tell = self._loop.call_later(self._limits.tell_after, self._broken)
        self._may_begin.set()

    def give(self) -> Inheritance:
        """The session is given up, and what another relay goes on with is handed out; `sender.hold` is to be called before."""
        frames, arrivals, fresh = self.sender.kept()
        if self.core is not None:
            self._give_up(self._loop.time())
        handover, self._handover = self._handover, HandOverState()
        return Inheritance(self._number, handover, self._since(handover), frames, arrivals, fresh)

    # what happens on the way

    def _received(self, event: ServerEvent, now: float) -> None:
        core = self.core
        if core is not None:
            self.perform(core.received(event, now))
            self.arm()
            if self._replace is not None:
                self._changed.set()

    def perform(self, outputs: Outputs) -> None:
        """Carries out what the core commands and hands on its events."""
        for command in outputs.commands:
            match command:
                case Send(data):
                    if self._connection is not None:
                        self._connection.send(data)
                case FillSilence(seconds):
                    self.sender.fill(math.ceil(seconds / FRAME_SECONDS), self._loop.time())
                case Replace(reason, now):
                    self.replace(reason, now=now)
                case GiveUp(fatal):
                    self._fatal = fatal
                    self._changed.set()
        self._on_events(outputs.events)

    def _tap(self, core: SessionCore) -> Tap:
        def tap(payload: bytes, arrived: float) -> None:
            outputs = core.frame(payload, arrived)
            if outputs is not NOTHING:
                self.perform(outputs)
            if core.deadline is not None:
                self.arm()

        return tap

    def replace(self, reason: str, *, now: bool) -> None:
        """The session is to be replaced; `now`: even in the middle of a turn."""
        if self._replace is None and self._connection is not None:
            self._dialer.record_lifetime(self._loop.time() - self._connection.opened_at, over=False)
        self._replace = self._replace or reason
        if now:
            self._leave_by = self._loop.time()
        self._changed.set()

    def use(self, settings: SessionSettings) -> None:
        """Other settings: at once, or with another session where this one cannot take them."""
        if self.core is None or self._connection is None:
            return  # the next session is opened with them
        if not self._profile.same_endpoint(self._connection.settings, settings):
            self.replace("configuration", now=False)
            return
        self.perform(self.core.update(settings, self._loop.time()))
        self.arm()

    def pause(self) -> HandOverState:
        """No byte of audio from now on. Returns what a session that broke had left open: it is not taken up."""
        self._paused = True
        self.sender.pause()
        handover, self._handover = self._handover, HandOverState()
        if self.core is not None:
            if self._connection is not None and not self._connection.writable:
                self._connection.kill()  # it holds audio back that must not go out any more
            self.perform(self.core.pause(self._loop.time()))
            self.arm()
        return handover

    def resume(self) -> None:
        """Audio flows again."""
        self._paused = False
        self._quiet_since = self._loop.time()
        if self.core is not None:
            self.perform(self.core.resume(self._loop.time()))
        self.sender.resume()
        self.arm()

    def finish(self) -> None:
        """The track's audio is over."""
        if self.core is not None:
            self.perform(self.core.finish(self._loop.time()))
            self.arm()

    def drop(self, outcome: str) -> HandOverState:
        """The call is over: what is open gets its outcome. Returns what a session that broke had left open."""
        handover, self._handover = self._handover, HandOverState()
        if self.core is not None:
            self.perform(self.core.drop(outcome, self._loop.time()))
        return handover

    def idle(self, now: float) -> bool:
        """Whether nothing is open, neither in a session nor between two."""
        if self.core is None:
            return self._handover == HandOverState(not_before=self._handover.not_before) and not self.sender.waiting and self._number > 0
        return self.sender.flowing and self.core.idle(now)

    def housekeep(self, now: float) -> None:
        """Once a second: counters, liveness, what may be forgotten, and whether it is time for another session."""
        self.sender.flush()
        connection, core = self._connection, self.core
        for one in (connection, self._dialer.connection):
            if one is not None:
                one.check(now)
        if core is not None and connection is not None:
            if not self.sender.flowing:
                self._behind_until = now + self._limits.housekeeping  # at the next look it may be over
            self.sender.trim(self._needed_from(core, connection, now))
            if now >= self._recycle_at and self._replace is None:
                self.replace("expiring", now=False)
            elif now >= self._leave_by:
                self._changed.set()
        elif self._number:
            self.sender.trim(self._since(self._handover))

    def _acknowledged(self) -> None:
        """The server has answered a ping. For a detection that lags, audio is kept as long as until the next look at the least."""
        if self.core is not None and self._connection is not None:
            needed = self._needed_from(self.core, self._connection, self._loop.time())
            self.sender.acknowledge(needed - self._limits.housekeeping)

    def _needed_from(self, core: SessionCore, connection: SessionConnection, now: float) -> float:
        """Arrival of the first frame that another session would have to hear, should this one break now."""
        held, idle = core.hold_from(now), self._heard_for_sure(min(now, self._read_at(connection)))
        return idle if held is None else min(idle, held)

    def _read_at(self, connection: SessionConnection) -> float:
        """The latest sign of life, but at most `replay_idle` after the ping that it followed: what was sent behind that may be unread."""
        return min(connection.heard_at, connection.live.read_until + self._limits.replay_idle)

    def _heard_for_sure(self, heard_at: float) -> float:
        """Arrival of the first frame that a session may not have heard whose last sign of life came at `heard_at`.

        What had waited for the session was written later than it arrived, so it may be unheard although it arrived long before.
        """
        sure = heard_at - self._limits.replay_idle
        return sure if sure >= self._behind_until else min(sure, self._first)

    def _since(self, handover: HandOverState) -> float:
        """Arrival of the first frame that the next session is to hear."""
        since = handover.replay_from
        if since is None and self._inherited is not None:
            since = self._inherited
        elif since is None:
            since = self._heard_for_sure(min(self._left_at, self._heard_at))
        if handover.not_before is not None:
            since = max(since, math.nextafter(handover.not_before, math.inf))
        return since

    # timers

    def arm(self) -> None:
        """Sees to it that `_wake` runs when the core or the silence rule wants it."""
        core = self.core
        if core is None:
            return
        times = [at for at in (core.deadline, core.listens_at) if at is not None]
        if core.speech_open:
            times.append(self._fill.due_at(max(self.sender.last_arrival, self._quiet_since)))
        if not times:
            self._disarm()
        elif self._alarm is None or self._alarm_at > min(times) + 1e-3:
            self._disarm()
            self._alarm_at = min(times)  # kept here: uvloop's handles of what is due at once do not tell
            self._alarm = self._loop.call_at(self._alarm_at, self._wake)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _attempt_failed(self) -> None:
        if self._dialer.slow:
            self._on_broken(self._dialer.failure)

    def _broken(self) -> None:
        if self._may_begin.is_set() and (self._profile.gives_up or self._dialer.slow):
            self._on_broken(self._dialer.failure)

    def _quieten(self) -> None:
        if self._tell is not None:
            self._tell.cancel()
            self._tell = None

    def _wake(self) -> None:
        self._alarm = None
        core, now = self.core, self._loop.time()
        if core is None:
            return
        if core.speech_open:
            frames = self._fill.take(now, max(self.sender.last_arrival, self._quiet_since))
            if frames:
                self.sender.fill(frames, now)
        if core.listens_at is not None and core.listens_at <= now + 1e-3:
            self.perform(core.listen(*self.sender.since(core.listens_from), now))
        if core.deadline is not None and core.deadline <= now + 1e-3:
            self.perform(core.tick(now))
        self.arm()


def _failed(task: asyncio.Task[SessionConnection]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
