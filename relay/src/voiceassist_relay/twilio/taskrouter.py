"""Asks Twilio whether a worker holds a call: by the reservations and the conference of a task, which no worker's browser can write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from voiceassist_crds.config import CallProof

from ..config.snapshot import CurrentSnapshot
from ..errors import RequestRefused, TwilioError, TwilioRefused
from .conferences import Conferences, Seat
from .error_answers import from_twilio, is_gone
from .person import Holding, Person, Standing, customer_call_sids
from .rest import Answer, TwilioRest, segment
from .retry import RetryPolicy, retrying

A = TypeVar("A")
B = TypeVar("B")

WORKSPACE_SECONDS: Final = 600.0
"""How long the workspace that Flex names is remembered."""
MAX_TASKS: Final = 10
"""Tasks of one worker that are looked at; a worker holds few at a time."""
_CANNOT = "It could not be checked whether this worker holds the call's task"
_AGAIN_SECONDS: Final = 0.25
"""Between two looks at a conference that is about to begin, at first; then twice as long each time."""


_NOTHING: Final = Holding(Standing.NO)


class Assignments:
    """Reservations, tasks and conferences, read when they are needed and never remembered."""

    def __init__(
        self, rest: TwilioRest, current: CurrentSnapshot, now: Callable[[], float], policy: RetryPolicy, *, joining_seconds: float
    ) -> None:
        """`joining_seconds`: so long a call may take to join the conference after its task was accepted."""
        self._rest, self._current, self._now, self._policy = rest, current, now, policy
        self._conferences = Conferences(rest, current, policy)
        self._joining_seconds = joining_seconds
        self._workspace: tuple[str, str, float] | None = None  # account, workspace, until

    async def holding(self, person: Person, task_sid: str | None, call_sid: str) -> Holding:
        """Whether the person has accepted a task (this one, if it is named) and the call is the task's. Waits a moment for a conference
        that is about to begin. Raises RequestRefused (502, 503)."""
        if not person.worker:
            return _NOTHING
        loop, pause = asyncio.get_running_loop(), _AGAIN_SECONDS
        until = loop.time() + self._joining_seconds
        while True:
            try:
                tasks = [task_sid] if task_sid is not None else await self._tasks_of(person.worker)
                found = await self._look(person.worker, tasks, call_sid)
            except TwilioRefused as error:
                if is_gone(error):
                    return _NOTHING
                raise from_twilio(error, self._current().secrets, _CANNOT) from error
            except TwilioError as error:
                raise from_twilio(error, self._current().secrets, _CANNOT) from error
            if found.standing is not Standing.NOT_YET or loop.time() + pause > until:
                return found
            await asyncio.sleep(pause)
            pause *= 2

    async def holders(self, task_sid: str) -> frozenset[str]:
        """The workers who have accepted the task and not yet left it. Raises RequestRefused (502, 503)."""
        try:
            return await self._holders(task_sid)
        except TwilioRefused as error:
            if is_gone(error):
                return frozenset()
            raise from_twilio(error, self._current().secrets, _CANNOT) from error
        except TwilioError as error:
            raise from_twilio(error, self._current().secrets, _CANNOT) from error

    async def _look(self, worker: str, tasks: list[str], call_sid: str) -> Holding:
        best = _NOTHING
        for task_sid in tasks[:MAX_TASKS]:
            standing = await self._standing(worker, task_sid, call_sid)
            if standing is Standing.HOLDS:
                return Holding(standing, task_sid)
            if standing is Standing.NOT_YET:
                best = Holding(standing, task_sid)
        return best

    async def _standing(self, worker: str, task_sid: str, call_sid: str) -> Standing:
        if self._current().config.twilio.call_proof is CallProof.TASK_ATTRIBUTES:
            path = await self._task_path(task_sid)
            held, task = await _both(self._holders(task_sid), self._get("task_fetch", "taskrouter", path))
            mine = worker in held and call_sid in customer_call_sids(task.body.get("attributes"))
            return Standing.HOLDS if mine else Standing.NO
        held, seat = await _both(self._holders(task_sid), self._conferences.seat(task_sid, call_sid))
        if worker not in held or seat is Seat.ELSEWHERE:
            return Standing.NO
        return Standing.HOLDS if seat is Seat.TAKEN else Standing.NOT_YET

    async def _holders(self, task_sid: str) -> frozenset[str]:
        held = await self._reservations(await self._task_path(task_sid), "ReservationStatus=accepted")
        return frozenset(str(one.get("worker_sid")) for one in held if one.get("reservation_status") == "accepted")

    async def _tasks_of(self, worker: str) -> list[str]:
        path = f"/v1/Workspaces/{segment(await self._workspace_sid())}/Workers/{segment(worker)}"
        held = await self._reservations(path, "ReservationStatus=accepted")
        return list(dict.fromkeys(str(one.get("task_sid")) for one in held))

    async def _task_path(self, task_sid: str) -> str:
        return f"/v1/Workspaces/{segment(await self._workspace_sid())}/Tasks/{segment(task_sid)}"

    async def _workspace_sid(self) -> str:
        config = self._current().config.twilio
        if config.workspace_sid is not None:
            return config.workspace_sid
        known = self._workspace
        if known is not None and known[0] == config.account_sid and self._now() < known[2]:
            return known[1]
        try:
            answer = await self._get("flex_configuration", "flex-api", "/v1/Configuration", as_account=True)
        except TwilioError as error:
            if not (isinstance(error, TwilioRefused) and is_gone(error)):
                raise from_twilio(error, self._current().secrets, _CANNOT, as_account=True) from error
            found: object = None
        else:
            found = answer.body.get("taskrouter_workspace_sid")
        if not isinstance(found, str) or not found:
            raise RequestRefused(
                502,
                "no_workspace",
                f"{_CANNOT}: Flex's configuration names no TaskRouter workspace.",
                "An administrator has to set twilio.workspaceSid.",
            )
        self._workspace = (config.account_sid, found, self._now() + WORKSPACE_SECONDS)
        return found

    async def _reservations(self, path: str, query: str) -> list[dict[str, object]]:
        answer = await self._get("reservation_list", "taskrouter", f"{path}/Reservations?{query}&PageSize=50")
        listed = answer.body.get("reservations")
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []

    async def _get(self, operation: str, product: str, path: str, *, as_account: bool = False) -> Answer:
        return await retrying(
            self._policy, lambda: self._rest.request(operation, product, "GET", path, as_account=as_account), idempotent=True
        )


async def _both(one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
    """Both at the same time; neither is left behind when one fails."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second
