"""What an agent's browser asks of TaskRouter and is told by it: worker, activities, channels, reservations, tasks; pure, time passed in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..account import Account
from ..errors import bad_parameter, not_found
from ..taskrouter import Reservation, Task, TaskRouterEvent, Worker
from .taskrouter_json import TaskRouterJson, whole_list

ACTIVE: Final = ("pending", "accepted", "wrapping")
CAPACITY: Final = 5
"""Voice tasks that one worker may have at once."""


class AgentDesk:
    """One account's TaskRouter as browsers see it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._state = account.taskrouter
        self.json = TaskRouterJson(account.account_sid, account.taskrouter, account.transfers)

    def answer(self, worker: Worker, method: str, path: str, params: Mapping[str, Any], now: float) -> dict[str, Any]:
        """The payload of the answer to one request; raises TwilioError."""
        workspace, *parts = path.removeprefix("Workspaces/").split("/")
        if workspace != self._state.workspace_sid:
            raise not_found(path)
        match (method, parts):
            case ("GET", ["Activities"]):
                return whole_list(map(self.json.activity, self._state.activities.values()), "activities")
            case ("GET", ["Workers", sid]):
                return self.json.worker(self._own(worker, sid, path))
            case ("POST", ["Workers", sid]):
                own = self._own(worker, sid, path)
                self._state.update_worker(own, now, activity_sid=params.get("ActivitySid"), attributes=_json_text(params.get("Attributes")))
                return self.json.worker(own)
            case ("GET", ["Workers", sid, "WorkerChannels" | "Channels"]):
                return whole_list([self.json.channel(self._own(worker, sid, path), CAPACITY)], "channels")
            case ("GET", ["Workers", sid, "Reservations"]):
                own = self._own(worker, sid, path)
                rows = [one for one in self._state.reservations.values() if one.worker_sid == own.sid and one.status in ACTIVE]
                return whole_list((self.json.reservation(one, now) for one in rows), "reservations")
            case ("GET", ["Workers", sid, "Reservations", ref]):
                return self.json.reservation(self._held(self._own(worker, sid, path), ref, path), now)
            case ("POST", ["Workers", sid, "Reservations", ref]):
                found = self._held(self._own(worker, sid, path), ref, path)
                self._move(found, params, now)
                return self.json.reservation(found, now)
            case ("POST", ["Workers", sid, "Transfers"]):
                held = self._held(self._own(worker, sid, path), str(params.get("ReservationSid")), path)
                made = self._account.transfers.start(held, str(params.get("To")), str(params.get("Mode", "COLD")))
                return self.json.transfer(made)
            case ("POST", ["Workers", sid, "Transfers", ref]):
                self._own(worker, sid, path)
                if params.get("TransferStatus") != "canceled":
                    raise bad_parameter("TransferStatus must be canceled")
                return self.json.transfer(self._account.transfers.cancel(ref))
            case ("GET", ["Tasks", sid]):
                return self.json.task(self._visible(worker, sid, path), now)
            case ("POST", ["Tasks", sid]):
                task = self._visible(worker, sid, path)
                self._state.update_task(
                    task,
                    now,
                    None,
                    attributes=_json_text(params.get("Attributes")),
                    status=params.get("AssignmentStatus"),
                    reason=params.get("Reason"),
                )
                return self.json.task(task, now)
            case _:
                raise not_found(path)

    def told(self, event: TaskRouterEvent, now: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Who is told of an event, by the worker's SID, and what."""
        if event.transfer is not None:
            transfer = self._account.transfers.transfers[event.transfer]
            yield transfer.worker_sid, self.json.transfer(transfer)
        elif event.reservation is not None:
            yield event.reservation.worker_sid, self.json.reservation(event.reservation, now)
        elif event.task is not None:
            for sid in {one.worker_sid for one in self._state.of_task(event.task.sid) if one.status in (*ACTIVE, "completed")}:
                yield sid, self.json.task(event.task, now)
        elif event.worker is not None:
            yield event.worker.sid, self.json.worker(event.worker)

    # Inside

    def _move(self, found: Reservation, params: Mapping[str, Any], now: float) -> None:
        instruction, status = params.get("Instruction"), params.get("ReservationStatus")
        if instruction in ("conference", "call", "dequeue") or status == "accepted":
            self._account.accept(found.sid, conference=instruction == "conference")
        elif instruction in ("reject",) or status == "rejected":
            self._state.set_reservation(found, "rejected", now)
            if params.get("WorkerActivitySid"):
                self._state.update_worker(self._state.workers[found.worker_sid], now, activity_sid=str(params["WorkerActivitySid"]))
        elif status in ("wrapping", "completed"):
            self._account.let_go(found.sid, str(status))
        else:
            raise bad_parameter("Instruction or ReservationStatus is missing or not known")

    def _own(self, worker: Worker, sid: str, path: str) -> Worker:
        if sid != worker.sid and not is_supervisor(worker):
            raise not_found(path)
        return self._state.worker(sid, path)

    def _held(self, worker: Worker, ref: str, path: str) -> Reservation:
        found = self._state.reservation(ref, path)
        if found.worker_sid != worker.sid:
            raise not_found(path)
        return found

    def _visible(self, worker: Worker, sid: str, path: str) -> Task:
        task = self._state.task(sid, path)
        if not is_supervisor(worker) and all(one.worker_sid != worker.sid for one in self._state.of_task(sid)):
            raise not_found(path)
        return task


def _json_text(value: Any) -> str | None:
    """Attributes, which clients send as an object or as JSON text."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def is_supervisor(worker: Worker) -> bool:
    """Whether a worker may watch others."""
    return bool(re.search(r"\b(supervisor|admin)\b", " ".join(worker.roles)))
