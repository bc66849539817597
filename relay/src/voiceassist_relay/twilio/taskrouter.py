"""Asks TaskRouter whether a worker holds the task of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ..config.snapshot import CurrentSnapshot
from ..errors import RequestRefused, TwilioError, TwilioRefused
from .error_answers import from_twilio, is_gone
from .person import Person, holds
from .rest import Answer, TwilioRest, segment
from .retry import RetryPolicy, retrying

A = TypeVar("A")
B = TypeVar("B")

WORKSPACE_SECONDS: Final = 600.0
"""How long the workspace that Flex names is remembered."""
MAX_TASKS: Final = 10
"""Tasks of one worker that are looked at; a worker holds few at a time."""
_CANNOT = "It could not be checked whether this worker holds the call's task"


class Assignments:
    """Tasks and reservations, read when they are needed and never remembered."""

    def __init__(self, rest: TwilioRest, current: CurrentSnapshot, now: Callable[[], float], policy: RetryPolicy) -> None:
        self._rest, self._current, self._now, self._policy = rest, current, now, policy
        self._workspace: tuple[str, str, float] | None = None  # account, workspace, until

    async def holds(self, person: Person, task_sid: str, call_sid: str) -> bool:
        """Whether the person has accepted this task and the task is about this call. Raises RequestRefused (502, 503)."""
        if not person.worker:
            return False
        task_path = f"/v1/Workspaces/{segment(await self._workspace_sid())}/Tasks/{segment(task_sid)}"
        try:
            task, held = await _both(
                self._get("task_fetch", "taskrouter", task_path), self._reservations(task_path, "ReservationStatus=accepted")
            )
            if not held:
                # The call is over for everybody: the one who wraps up may still hold it.
                held = await self._reservations(task_path, f"ReservationStatus=wrapping&WorkerSid={segment(person.worker)}")
        except TwilioRefused as error:
            if is_gone(error):
                return False
            raise from_twilio(error, self._current().secrets, _CANNOT) from error
        except TwilioError as error:
            raise from_twilio(error, self._current().secrets, _CANNOT) from error
        return holds(call_sid, task.body.get("attributes"), person.worker, held)

    async def find(self, person: Person, call_sid: str) -> str | None:
        """The task of this call that the person holds, for a request that names none. Raises RequestRefused (502, 503)."""
        if not person.worker:
            return None
        path = f"/v1/Workspaces/{segment(await self._workspace_sid())}/Workers/{segment(person.worker)}"
        try:
            held = await self._reservations(path, "ReservationStatus=accepted")
            held += await self._reservations(path, "ReservationStatus=wrapping")
        except TwilioRefused as error:
            if is_gone(error):
                return None
            raise from_twilio(error, self._current().secrets, _CANNOT) from error
        except TwilioError as error:
            raise from_twilio(error, self._current().secrets, _CANNOT) from error
        for task_sid in list(dict.fromkeys(str(one.get("task_sid")) for one in held))[:MAX_TASKS]:
            if await self.holds(person, task_sid, call_sid):
                return task_sid
        return None

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
