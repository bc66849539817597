"""What an agent's browser asks of TaskRouter and is told by it: worker, activities, channels, reservations, tasks; pure, time passed in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..account import Account
from ..errors import bad_parameter, not_found
from ..taskrouter import Reservation, Task, TaskRouterEvent, Worker
from .conferences import Conferences
from .taskrouter_json import TaskRouterJson, whole_list

ACTIVE: Final = ("pending", "accepted", "wrapping")
CAPACITY: Final = 5
"""Voice tasks that one worker may have at once."""


class AgentDesk:
    """One account's TaskRouter as browsers see it."""

    def __init__(self, account: Account, conferences: Conferences) -> None:
        self._account = account
        self._conferences = conferences
        self._state = account.taskrouter
        self.json = TaskRouterJson(account.account_sid, account.taskrouter, account.transfers)

    def answer(
        self, worker: Worker, method: str, path: str, params: Mapping[str, Any], now: float, if_match: str | None = None
    ) -> dict[str, Any]:
        """The payload of the answer to one request; raises TwilioError."""
        kind, workspace, *parts = path.split("/")
        if kind == "Interactions":
            return self._interaction(method, workspace, parts, params, path)
        if workspace != self._state.workspace_sid:
            raise not_found(path)
        match (method, parts):
            case ("GET", ["Activities"]):
                return whole_list(map(self.json.activity, self._state.activities.values()), "activities")
            case ("GET", ["Workers", sid]):
                return self.json.worker(self._state.worker(sid, path))
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
                return self.json.reservation(found, now, moving=False)
            case ("POST", ["Workers", sid, "Transfers"]):
                held = self._held(self._own(worker, sid, path), str(params.get("ReservationSid")), path)
                made = self._account.transfers.start(held, str(params.get("To")), str(params.get("Mode", "COLD")))
                return self.json.transfer(made)
            case ("POST", ["Workers", sid, "Transfers", ref]):
                self._own(worker, sid, path)
                if params.get("TransferStatus") != "canceled":
                    raise bad_parameter("TransferStatus must be canceled")
                return self.json.transfer(self._account.transfers.cancel(ref))
            case ("POST", ["Workers", sid, "CustomerParticipant" | "HoldWorkerParticipant" | "KickWorkerParticipant" as deed]):
                self._own(worker, sid, path)
                return self.json.task(self._participant(worker, deed, params, path), now)
            case ("POST", ["Workers", sid, "WorkerParticipant"]):
                held = self._held(self._own(worker, sid, path), str(params.get("ReservationSid")), path)
                return self.json.reservation(held, now, moving=False)
            case ("POST", ["Tasks", sid, "Reservations", ref]):
                return self._supervise(worker, self._visible(worker, sid, path), ref, params, path, now)
            case ("GET", ["Workers"]):
                return whole_list(map(self.json.worker, self._state.workers.values()), "workers")
            case ("GET", ["TaskQueues"]):
                return whole_list([self.json.queue()], "task_queues")
            case ("GET", ["TaskQueues", sid]) if sid == self._state.queue_sid:
                return self.json.queue()
            case ("GET", ["Tasks", sid]):
                return self.json.task(self._visible(worker, sid, path), now)
            case ("POST", ["Tasks", sid]):
                task = self._visible(worker, sid, path)
                self._state.update_task(
                    task,
                    now,
                    if_match,
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

    def _interaction(self, method: str, sid: str, parts: list[str], params: Mapping[str, Any], path: str) -> dict[str, Any]:
        match (method, parts):
            case ("GET", ["Channels"]):
                return self._conferences.channels(sid)
            case ("GET", ["Channels", _, "Participants"]):
                return self._conferences.participants(sid, path)
            case ("POST", ["Channels", _, "Participants", ref]):
                return self._conferences.modify(sid, ref, params.get("media_properties") or {}, path)
            case _:
                raise not_found(path)

    def _participant(self, worker: Worker, deed: str, params: Mapping[str, Any], path: str) -> Task:
        task = self._visible(worker, str(params.get("TaskSid")), path)
        hold = params.get("Hold")
        if deed == "KickWorkerParticipant":
            kicked = (one for one in self._state.of_task(task.sid) if one.worker_sid == params.get("TargetWorkerSid"))
            for one in [one for one in kicked if one.status == "accepted"]:
                self._account.let_go(one.sid, "wrapping")
        elif hold is None:
            pass
        elif deed == "CustomerParticipant":
            self._conferences.hold_customer(task.sid, _flag(hold))
        else:
            self._conferences.hold_worker(task.sid, str(params.get("TargetWorkerSid")), _flag(hold))
        return task

    def _supervise(self, worker: Worker, task: Task, ref: str, params: Mapping[str, Any], path: str, now: float) -> dict[str, Any]:
        found = self._state.reservation(ref, path)
        if found.task_sid != task.sid or not is_supervisor(worker):
            raise not_found(path)
        if params.get("Instruction") != "supervise":
            raise bad_parameter("Instruction must be supervise")
        self._conferences.watch(task, worker.sid, found.sid)
        return self.json.reservation(found, now, moving=False)

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


def _flag(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _json_text(value: Any) -> str | None:
    """Attributes, which clients send as an object or as JSON text."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def is_supervisor(worker: Worker) -> bool:
    """Whether a worker may watch others."""
    return bool(re.search(r"\b(supervisor|admin)\b", " ".join(worker.roles)))
