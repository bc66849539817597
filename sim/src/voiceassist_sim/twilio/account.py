"""One simulated account: its state, and what a test or the demo does to it (calls, workers, transfers, tokens, faults) as plain methods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from .access_tokens import ApiKey, verify
from .api import Router
from .auth import Credentials
from .call_routes import CallRoutes
from .calls import Call, Calls, HangUp
from .errors import bad_parameter
from .events import EventFeed
from .faults import Faults
from .flex import FlexConfiguration
from .holds import Holds
from .iam import FlexTokens
from .journal import Journal
from .room_routes import RoomRoutes
from .rooms import Rooms
from .serverless_code import ServerlessCode
from .serverless_routes import ServerlessRoutes
from .serverless_store import ServerlessStore
from .settings import Settings
from .sids import SidSource
from .stream_runner import StreamRunner
from .streams import Dialer, MediaStream
from .streams.request import SAMPLE_RATE, Recording
from .sync_model import Change
from .sync_routes import SyncRoutes
from .sync_store import SyncStore
from .sync_view import SyncView
from .taskrouter import Reservation, TaskRouter, Worker
from .taskrouter_routes import TaskRouterRoutes
from .transfers import Transfers

PLAYED_OUT_SECONDS: Final = 0.5
"""How long after its recording's end a call that hangs up then goes on."""


@dataclass(frozen=True, slots=True)
class CreatedCall:
    """What the agent's browser would know of a call."""

    call_sid: str
    task_sid: str
    workspace_sid: str
    worker_sid: str
    reservation_sid: str
    identity: str
    flex_token: str

    def as_json(self) -> dict[str, str]:
        """As the control API gives it."""
        return {
            "callSid": self.call_sid,
            "taskSid": self.task_sid,
            "workspaceSid": self.workspace_sid,
            "workerSid": self.worker_sid,
            "reservationSid": self.reservation_sid,
            "identity": self.identity,
            "flexToken": self.flex_token,
        }


class Account:
    """The account behind the stand-in. ``clock`` gives epoch seconds; ``seed`` makes identifiers repeatable."""

    def __init__(
        self,
        *,
        account_sid: str | None = None,
        auth_token: str | None = None,
        api_keys: Mapping[str, str | ApiKey] | None = None,
        settings: Settings | None = None,
        connect_to: Mapping[str, tuple[str, int]] | None = None,
        ca: Path | None = None,
        clock: Callable[[], float],
        seed: int | None = None,
    ) -> None:
        self.sids = SidSource(seed)
        self.clock = clock
        self.settings = settings or Settings()
        self.credentials = Credentials(account_sid or self.sids("AC"), auth_token or self.sids.secret())
        for sid, secret in (api_keys if api_keys is not None else {self.sids("SK"): self.sids.secret()}).items():
            self.set_api_key(sid, secret)
        self.connect_to: dict[str, tuple[str, int]] = dict(connect_to or {})
        self.journal = Journal()
        self.feed = EventFeed()
        self.on_change: list[Callable[[Change], None]] = []
        """Who else is told of each change of Sync, in order; must not raise."""
        self.faults = Faults()
        self.holds = Holds()
        self.sync = SyncStore(self.sids, self.settings, self._changed)
        self.serverless = ServerlessStore(self.sids, self.settings)
        self.taskrouter = TaskRouter(self.sids)
        self.transfers = Transfers(self.taskrouter, self.sids, clock)
        self.flex_tokens = FlexTokens(self.account_sid, self.sids.secret)
        self.flex = FlexConfiguration(self.account_sid, self.taskrouter.workspace_sid, clock())
        self.browser: object | None = None
        """The endpoint for browsers (a BrowserEdge), while it runs; nothing here knows more of it."""
        self.streams = StreamRunner(
            self.account_sid,
            Dialer(self.connect_to, ca),
            auth_token=lambda: self.credentials.auth_token,
            clock=clock,
            tell=self._stream_event,
            on_playing=self._began_playing,
        )
        self.calls = Calls(self.sids, self.settings, on_stop=self.streams.stop, on_ended=self._call_ended)
        self.rooms = Rooms(self.sids, self._customer_leg, clock)
        self.taskrouter.listeners.append(self.rooms.heard)
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def account_sid(self) -> str:
        """The account's SID."""
        return self.credentials.account_sid

    @property
    def api_key(self) -> tuple[str, str]:
        """SID and secret of the first API key."""
        sid = next(iter(self.credentials.keys))
        return sid, self.credentials.keys[sid].secret

    def products(self) -> dict[str, Router]:
        """The operations by product, as served under ``/{product}``."""
        sid, settings = self.account_sid, self.settings
        code = ServerlessCode(sid, self.serverless, settings)
        return {
            "api": Router([*CallRoutes(sid, self.calls, settings, self.streams.start).routes(), *RoomRoutes(sid, self.rooms).routes()]),
            "sync": Router(SyncRoutes(sid, self.sync, settings).routes()),
            "iam": Router(self.flex_tokens.routes()),
            "taskrouter": Router(TaskRouterRoutes(sid, self.taskrouter).routes()),
            "flex-api": Router(self.flex.routes()),
            "serverless": Router([*ServerlessRoutes(sid, self.serverless).routes(), *code.routes()]),
            "serverless-upload": Router(code.upload_routes()),
        }

    # Credentials

    def set_auth_tokens(self, primary: str, secondary: str | None = None) -> None:
        """Rotate the auth token: both are accepted, the primary one signs."""
        self.credentials.auth_token, self.credentials.auth_token_secondary = primary, secondary

    def set_api_key(self, sid: str, secret: str | ApiKey) -> None:
        """Add an API key, or give it another secret."""
        self.credentials.keys[sid] = secret if isinstance(secret, ApiKey) else ApiKey(secret)

    def remove_api_key(self, sid: str) -> None:
        """Delete an API key: it authenticates nobody any more and signs no token."""
        self.credentials.keys.pop(sid, None)

    # Workers and tokens

    def add_worker(self, name: str | None = None, *, identity: str | None = None, roles: tuple[str, ...] = ("agent",)) -> Worker:
        """A new worker; supervisors have the role ``supervisor``."""
        return self.taskrouter.add_worker(
            name or f"agent{len(self.taskrouter.workers) + 1}@example.com", self.clock(), identity=identity, roles=roles
        )

    def flex_token(self, worker_sid: str, *, ttl: float = 3600.0, with_worker: bool = True) -> str:
        """A Flex token of a worker; ``ttl`` in seconds may be negative: an expired one."""
        return self.flex_tokens.issue(self.taskrouter.worker(worker_sid), self.clock(), ttl=ttl, with_worker=with_worker)

    # Calls

    def create_call(
        self,
        recording: Recording,
        *,
        worker_sid: str | None = None,
        status: str = "in-progress",
        reservation: str = "accepted",
        play_from: Literal["first-stream", "now"] = "first-stream",
        hang_up: HangUp = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> CreatedCall:
        """A call from a customer with a task, held by a worker (a new one, if none is given).

        The recording begins to be heard with the first stream that opens, or ``now``. ``hang_up``: the call completes when the recording
        is over, or after so many seconds; ``None``: when somebody completes it. ``attributes`` are laid over the task's attributes.
        Must be called inside the event loop.
        """
        now = self.clock()
        worker = self.add_worker() if worker_sid is None else self.taskrouter.worker(worker_sid)
        call = self.calls.add(recording, now, status=status)
        known: dict[str, Any] = {
            "type": "inbound",
            "call_sid": call.sid,
            "from": call.from_number,
            "to": call.to_number,
            "direction": "inbound",
        }
        task = self.taskrouter.add_task(known, now)
        call.task_sid, call.hang_up = task.sid, hang_up
        if reservation != "pending":
            known["conference"] = self._conference(task.sid, call.sid)
        task.attributes = json.dumps(known | dict(attributes or {}))
        held = self.taskrouter.reserve(task, worker, now, reservation)
        self._call_event("created", call)
        if play_from == "now":
            call.began_playing = asyncio.get_running_loop().time()
            self._began_playing(call)
        if isinstance(hang_up, int | float):
            self._hang_up_in(call, float(hang_up))
        token = self.flex_token(worker.sid)
        return CreatedCall(call.sid, task.sid, self.taskrouter.workspace_sid, worker.sid, held.sid, worker.identity, token)

    def answer_call(self, call_sid: str) -> None:
        """Let a call that rings be in progress."""
        self.calls.set_status(self.calls.get(call_sid), "in-progress", self.clock())

    def complete_call(self, call_sid: str, status: str = "completed") -> None:
        """End a call: its streams stop, its task wraps up."""
        self.calls.set_status(self.calls.get(call_sid), status, self.clock())

    def transfer(self, call_sid: str, worker_sid: str, *, status: str = "accepted") -> Reservation:
        """Transfer a call's task: the holder wraps up, the other worker gets a reservation (``pending`` leaves the holder's as it is)."""
        task = self.task_of(call_sid)
        return self.taskrouter.transfer(self.taskrouter.task(task), self.taskrouter.worker(worker_sid), self.clock(), status=status)

    def task_of(self, call_sid: str) -> str:
        """The SID of a call's task."""
        return self.calls.get(call_sid).task_sid

    def set_reservation(self, reservation_sid: str, status: str) -> None:
        """Let a reservation change its state."""
        self.taskrouter.set_reservation(self.taskrouter.reservation(reservation_sid), status, self.clock())

    def accept(self, reservation_sid: str, *, conference: bool = True) -> None:
        """What an agent's click does: the reservation is accepted, and the customer and the agent meet in a conference, which the task's
        attributes name; 400/20001 for a reservation that is not pending."""
        found = self.taskrouter.reservation(reservation_sid)
        if found.status != "pending":
            raise bad_parameter(f"A reservation that is {found.status} cannot be accepted")
        now = self.clock()
        task = self.taskrouter.task(found.task_sid)
        came, _ = self.transfers.of(found.sid)
        for held in self.taskrouter.of_task(task.sid):
            if held.status == "accepted" and (came is None or came.mode == "COLD"):  # whoever had the task leaves it
                self.taskrouter.set_reservation(held, "wrapping", now)
        self.taskrouter.set_reservation(found, "accepted", now)
        attributes = json.loads(task.attributes)
        if conference and "conference" not in attributes:
            attributes["conference"] = self._conference(task.sid, str(attributes.get("call_sid", "")))
            self.taskrouter.update_task(task, now, None, attributes=json.dumps(attributes))

    def let_go(self, reservation_sid: str, status: str) -> None:
        """A worker wraps up (``wrapping``) or is done (``completed``); the task with it when nobody else holds it."""
        found = self.taskrouter.reservation(reservation_sid)
        if found.status not in {"wrapping": ("accepted",), "completed": ("accepted", "wrapping")}[status]:
            raise bad_parameter(f"A reservation that is {found.status} cannot be {status}")
        task, now = self.taskrouter.task(found.task_sid), self.clock()
        holding = {"wrapping": ("pending", "accepted"), "completed": ("pending", "accepted", "wrapping")}[status]
        if any(one is not found and one.status in holding for one in self.taskrouter.of_task(task.sid)):
            self.taskrouter.set_reservation(found, status, now)
        else:
            self.taskrouter.end_task(task, status, now)

    # What was seen

    def view(self, token: str, service_sid: str) -> SyncView:
        """Sync as the holder of an access token sees it; 401 for a bad token."""
        grant = verify(token, self.account_sid, self.credentials.keys, self.clock())
        return SyncView(self.sync, grant, service_sid, self.journal.messages(), self.clock())

    def messages(self, stream: str | None = None) -> list[Change]:
        """The remembered messages, of one stream (SID or unique name) or of all."""
        return [change for change in self.journal.messages() if stream in (None, change.sid, change.unique_name)]

    # Inside

    async def close_account(self) -> None:
        """End all streams, timers and listeners."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self.streams.close()
        self.feed.close()

    def _changed(self, change: Change) -> None:
        self.journal.add_change(change)
        self.feed.publish(change.as_json())
        for listener in self.on_change:
            listener(change)

    def _conference(self, task_sid: str, call_sid: str) -> dict[str, Any]:
        return {"sid": self.rooms.of_task(task_sid).sid, "participants": {"customer": call_sid, "worker": self.sids("CA")}}

    def _customer_leg(self, task_sid: str) -> str | None:
        return next((call.sid for call in self.calls if call.task_sid == task_sid and call.status == "in-progress"), None)

    def _call_ended(self, call: Call) -> None:
        timer = self._timers.pop(call.sid, None)
        if timer is not None:
            timer.cancel()
        self.rooms.end(call.task_sid)
        task = self.taskrouter.tasks.get(call.task_sid)
        if task is not None and task.status == "assigned":
            self.taskrouter.end_task(task, "wrapping", self.clock())
        self._call_event("ended", call)

    def _began_playing(self, call: Call) -> None:
        self._call_event("playing", call)
        if call.hang_up == "recording":
            self._hang_up_in(call, len(call.recording.customer) / SAMPLE_RATE + PLAYED_OUT_SECONDS)

    def _hang_up_in(self, call: Call, seconds: float) -> None:
        self._timers[call.sid] = asyncio.get_running_loop().call_later(seconds, self.complete_call, call.sid)

    def _call_event(self, event: str, call: Call) -> None:
        self.feed.publish({"type": "call", "at": self.clock(), "event": event, "callSid": call.sid, "status": call.status})

    def _stream_event(self, event: str, stream: MediaStream) -> None:
        shown = {
            "type": "stream",
            "at": self.clock(),
            "event": event,
            "callSid": stream.request.call_sid,
            "streamSid": stream.request.stream_sid,
            "name": stream.request.name,
            "state": stream.state,
            "error": None if stream.failure is None else int(stream.failure.code),
        }
        self.feed.publish(shown)
