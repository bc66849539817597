"""TaskRouter's state as far as a Flex call needs it: one workspace, workers, tasks and reservations; pure, with the time passed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from .errors import bad_parameter, not_found, precondition_failed

T = TypeVar("T")

TASK_STATES: Final = ("pending", "reserved", "assigned", "canceled", "wrapping", "completed")
RESERVATION_STATES: Final = ("pending", "accepted", "rejected", "timeout", "canceled", "rescinded", "wrapping", "completed")
_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "wrapping": ("assigned",),
    "completed": ("assigned", "wrapping"),
    "canceled": ("pending", "reserved"),
}
"""The states from which a task may be moved by REST, by the state it is moved to; other moves are TaskRouter's own."""
_EVENT_WORDS: Final = {"pending": "created", "wrapping": "wrapup"}
"""Reservation states whose event has another name."""
MAX_TASKS: Final = 10_000
"""Above this the oldest tasks are forgotten with their reservations."""
RESERVATION_SECONDS: Final = 120
"""How long a task is offered to a worker; the stand-in lets it time out only when it is told to."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What a worker does; ``available``: they are offered tasks."""

    sid: str
    name: str
    available: bool


@dataclass(slots=True)
class Worker:
    """An agent or a supervisor. ``identity`` is the name by which Sync and Flex know them; ``attributes`` is JSON text."""

    sid: str
    name: str
    identity: str
    roles: tuple[str, ...]
    created: float
    activity: Activity
    attributes: str
    updated: float
    status_changed: float
    version: int = 0


@dataclass(slots=True)
class Task:
    """A piece of work, here a call. ``attributes`` is JSON text; ``version`` rises with each change and is the ETag."""

    sid: str
    attributes: str
    created: float
    updated: float
    status: str = "pending"
    reason: str | None = None
    priority: int = 0
    version: int = 0


@dataclass(slots=True)
class Reservation:
    """A task offered to, or held by, a worker."""

    sid: str
    task_sid: str
    worker_sid: str
    created: float
    updated: float
    status: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class TaskRouterEvent:
    """What TaskRouter tells browsers: ``name`` as on their socket (``reservation.accepted``), and what it is about, as it is now."""

    name: str
    worker: Worker | None = None
    task: Task | None = None
    reservation: Reservation | None = None
    transfer: str | None = None
    """The SID of a transfer."""


@dataclass(slots=True)
class TaskRouter:
    """The workspace and what is in it. ``listeners`` are called with every event, after the change."""

    new_sid: Callable[[str], str]
    workspace_sid: str = ""
    activity_sid: str = ""
    queue_sid: str = ""
    channel_sid: str = ""
    workflow_sid: str = ""
    workers: dict[str, Worker] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    activities: dict[str, Activity] = field(default_factory=dict)
    listeners: list[Callable[[TaskRouterEvent], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workspace_sid = self.workspace_sid or self.new_sid("WS")
        self.activity_sid, self.queue_sid = self.new_sid("WA"), self.new_sid("WQ")
        rows = ((self.new_sid("WA"), "Offline", False), (self.activity_sid, "Available", True), (self.new_sid("WA"), "Unavailable", False))
        self.activities = {sid: Activity(sid, name, available) for sid, name, available in rows}
        self.channel_sid, self.workflow_sid = self.new_sid("TC"), self.new_sid("WW")

    @property
    def offline_activity_sid(self) -> str:
        """The activity of a worker who is not there."""
        return next(sid for sid, one in self.activities.items() if one.name == "Offline")

    def add_worker(self, name: str, now: float, *, identity: str | None = None, roles: tuple[str, ...] = ("agent",)) -> Worker:
        """A new worker; the identity is made from the name as Flex does (``agent@example.com`` becomes ``agent_40example_2Ecom``)."""
        known = identity or flex_identity(name)
        attributes = {"contact_uri": f"client:{known}", "roles": list(roles), "full_name": name.partition("@")[0], "email": name}
        begins = self.activities[self.activity_sid]
        worker = Worker(self.new_sid("WK"), name, known, roles, now, begins, json.dumps(attributes), now, now)
        self.workers[worker.sid] = worker
        return worker

    def update_worker(self, worker: Worker, now: float, *, activity_sid: str | None = None, attributes: str | None = None) -> None:
        """Change what a worker does, or their attributes; 400/20001 for an activity that is not there or attributes that are no object."""
        if activity_sid is not None and activity_sid not in self.activities:
            raise bad_parameter("ActivitySid is not the SID of an activity of this workspace")
        if attributes is not None and not _is_object(attributes):
            raise bad_parameter("Attributes must be a JSON object")
        worker.version, worker.updated = worker.version + 1, now
        if attributes is not None:
            worker.attributes = attributes
            self.tell(TaskRouterEvent("worker.attributes.update", worker))
        if activity_sid is not None:
            worker.activity, worker.status_changed = self.activities[activity_sid], now
            self.tell(TaskRouterEvent("worker.activity.update", worker))

    def worker(self, sid: str, path: str = "") -> Worker:
        """The worker; 404/20404."""
        return _get(self.workers, sid, path or f"/Workers/{sid}")

    def add_task(self, attributes: Mapping[str, Any], now: float) -> Task:
        """A new task."""
        if len(self.tasks) >= MAX_TASKS:
            self._forget()
        task = Task(self.new_sid("WT"), json.dumps(attributes), now, now)
        self.tasks[task.sid] = task
        return task

    def task(self, sid: str, path: str = "") -> Task:
        """The task; 404/20404."""
        return _get(self.tasks, sid, path or f"/Tasks/{sid}")

    def reservation(self, sid: str, path: str = "") -> Reservation:
        """The reservation; 404/20404."""
        return _get(self.reservations, sid, path or f"/Reservations/{sid}")

    def of_task(self, task_sid: str) -> list[Reservation]:
        """The reservations of a task, oldest first."""
        return [found for found in self.reservations.values() if found.task_sid == task_sid]

    def reserve(self, task: Task, worker: Worker, now: float, status: str = "accepted", *, sid: str | None = None) -> Reservation:
        """Offer a task to a worker (``pending``) or give it to them (``accepted``)."""
        found = Reservation(sid or self.new_sid("WR"), task.sid, worker.sid, now, now, "pending")
        self.reservations[found.sid] = found
        self.set_reservation(found, "pending", now)
        if status != "pending":
            self.set_reservation(found, status, now)
        return found

    def set_reservation(self, found: Reservation, status: str, now: float) -> None:
        """Let a reservation change its state, and the task with it where that follows."""
        if status not in RESERVATION_STATES:
            raise bad_parameter(f"Reservation status must be one of {', '.join(RESERVATION_STATES)}")
        found.status, found.updated = status, now
        found.version += 1
        follows = {"pending": "reserved", "accepted": "assigned"}.get(status)
        task = self.tasks.get(found.task_sid)
        if task is not None and follows is not None and task.status in ("pending", "reserved"):
            self._change(task, now, status=follows)
        self.tell(TaskRouterEvent(f"reservation.{_EVENT_WORDS.get(status, status)}", self.workers.get(found.worker_sid), task, found))

    def transfer(self, task: Task, to: Worker, now: float, *, status: str = "accepted") -> Reservation:
        """A transfer: whoever holds the task wraps up, and ``to`` gets a reservation of their own."""
        if status == "accepted":
            for held in self.of_task(task.sid):
                if held.status == "accepted":
                    self.set_reservation(held, "wrapping", now)
        return self.reserve(task, to, now, status)

    def end_task(self, task: Task, status: str, now: float, reason: str | None = None) -> None:
        """Move a task to ``wrapping``, ``completed`` or ``canceled``, its reservations with it."""
        held = {"wrapping": ("accepted",), "completed": ("accepted", "wrapping"), "canceled": ("pending",)}[status]
        self._change(task, now, status=status, reason=reason)
        for found in self.of_task(task.sid):
            if found.status in held:
                self.set_reservation(found, status, now)
        self.tell(TaskRouterEvent(f"task.{_EVENT_WORDS.get(status, status)}", task=task))

    def update_task(
        self,
        task: Task,
        now: float,
        if_match: str | None,
        *,
        attributes: str | None = None,
        status: str | None = None,
        reason: str | None = None,
        priority: int | None = None,
    ) -> None:
        """What REST asks for; 412/20412 for a stale ``if_match``, 400/20001 for attributes that are no object or a move not allowed."""
        if if_match is not None and if_match.strip('"') != str(task.version):
            raise precondition_failed("The ETag of the task does not match If-Match")
        if attributes is not None and not _is_object(attributes):
            raise bad_parameter("Attributes must be a JSON object")
        if status is not None and status != task.status:
            if task.status not in _BEFORE.get(status, ()):
                raise bad_parameter(f"A task cannot be moved from {task.status} to {status}")
            if status in ("completed", "canceled") and not reason:
                raise bad_parameter("Reason is required to complete or cancel a task")
        if attributes is not None:
            task.attributes = attributes
        if priority is not None:
            task.priority = priority
        if status is not None and status != task.status:
            self.end_task(task, status, now, reason)
        else:
            self._change(task, now)
            self.tell(TaskRouterEvent("task.updated", task=task))

    def tell(self, event: TaskRouterEvent) -> None:
        """Tell all listeners."""
        for listener in list(self.listeners):
            listener(event)

    def _change(self, task: Task, now: float, *, status: str | None = None, reason: str | None = None) -> None:
        task.status = status or task.status
        task.reason = reason or task.reason
        task.version += 1
        task.updated = now

    def _forget(self) -> None:
        gone = set(list(self.tasks)[: MAX_TASKS // 10])
        self.tasks = {sid: task for sid, task in self.tasks.items() if sid not in gone}
        self.reservations = {sid: found for sid, found in self.reservations.items() if found.task_sid not in gone}


def flex_identity(name: str) -> str:
    """A name as an identity: what is neither letter nor digit becomes ``_`` and its code in hexadecimal."""
    return "".join(char if char.isascii() and char.isalnum() else "".join(f"_{byte:02X}" for byte in char.encode()) for char in name)


def _get(table: Mapping[str, T], sid: str, path: str) -> T:
    try:
        return table[sid]
    except KeyError:
        raise not_found(path) from None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
