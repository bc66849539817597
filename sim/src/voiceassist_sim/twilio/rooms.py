"""The conferences in which the legs of calls meet, as the 2010 API knows them: who is in which; pure, with the time passed in.

A conference is named by its task, and TaskRouter alone makes it: the customer's leg joins with the first worker who accepts, wherever the
task's attributes point by then. What a worker writes into a task moves nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .errors import not_found
from .taskrouter import TaskRouterEvent

MAX_ROOMS: Final = 10_000
"""Above this the oldest conferences are forgotten."""


@dataclass(slots=True)
class Leg:
    """One call's part in a conference; it is in it from ``joined`` (seconds since the epoch). ``reservation_sid``: of a worker's leg."""

    call_sid: str
    joined: float
    reservation_sid: str = ""


@dataclass(slots=True)
class Room:
    """One conference; ``status``: init, in-progress, completed."""

    sid: str
    task_sid: str
    created: float
    updated: float
    status: str = "init"
    legs: list[Leg] = field(default_factory=list)

    def present(self, now: float) -> list[Leg]:
        """The legs that are in it by now."""
        return [leg for leg in self.legs if leg.joined <= now]

    def shown(self, now: float) -> str:
        """The status by now: a conference is in progress once a leg has joined."""
        return "init" if self.status == "in-progress" and not self.present(now) else self.status


class Rooms:
    """All conferences of an account. ``customer_leg`` gives the SID of a task's call, ``clock`` seconds since the epoch."""

    def __init__(self, new_sid: Callable[[str], str], customer_leg: Callable[[str], str | None], clock: Callable[[], float]) -> None:
        self._new_sid, self._customer_leg, self._clock = new_sid, customer_leg, clock
        self._rooms: dict[str, Room] = {}
        self.join_seconds = 0.0
        """How long the legs need to join after a worker has accepted."""

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def room(self, sid: str, path: str) -> Room:
        """The conference; 404/20404."""
        try:
            return self._rooms[sid]
        except KeyError:
            raise not_found(path) from None

    def of_task(self, task_sid: str) -> Room:
        """The conference of a task that is not over; a new one, empty, if there is none."""
        for room in self:
            if room.task_sid == task_sid and room.status != "completed":
                return room
        now = self._clock()
        room = Room(self._new_sid("CF"), task_sid, now, now)
        self._rooms[room.sid] = room
        while len(self._rooms) > MAX_ROOMS:
            del self._rooms[next(iter(self._rooms))]
        return room

    def heard(self, event: TaskRouterEvent) -> None:
        """TaskRouter's events: who accepts joins, who wraps up leaves, and all is over when the task is."""
        found, task = event.reservation, event.task
        if task is None:
            return
        if found is not None and found.status == "accepted":
            self._join(self.of_task(task.sid), found.sid)
        elif found is not None:
            for room in self:
                if room.task_sid == task.sid:
                    room.legs = [leg for leg in room.legs if leg.reservation_sid != found.sid]
        elif task.status in ("wrapping", "completed", "canceled"):
            self.end(task.sid)

    def end(self, task_sid: str) -> None:
        """The conference of a task is over."""
        for room in self:
            if room.task_sid == task_sid and room.status != "completed":
                room.status, room.updated = "completed", self._clock()
                room.legs.clear()

    def _join(self, room: Room, reservation_sid: str) -> None:
        now = self._clock()
        room.status, room.updated = "in-progress", now
        customer = self._customer_leg(room.task_sid)
        if customer is not None and all(leg.call_sid != customer for leg in room.legs):
            room.legs.append(Leg(customer, now + self.join_seconds))
        if all(leg.reservation_sid != reservation_sid for leg in room.legs):
            room.legs.append(Leg(self._new_sid("CA"), now + self.join_seconds, reservation_sid))
