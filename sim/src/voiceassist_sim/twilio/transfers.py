"""Transfers of tasks from one worker to another, as Flex's agents make them: cold or warm, accepted, refused or called back; pure.

A cold transfer lets the worker who makes it wrap up at once; in a warm one both hold the task until one of them leaves. That Twilio itself
does it at these moments is assumed, not documented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .errors import bad_parameter, not_found
from .taskrouter import Reservation, TaskRouter, TaskRouterEvent

MODES: Final = ("WARM", "COLD")


@dataclass(slots=True)
class Transfer:
    """One transfer; ``to`` is the SID of a worker or of a queue; ``offered`` the reservation that came of it, ``None`` if nobody is there.

    ``status``: initiated, complete, failed, canceled. Times in seconds since the epoch.
    """

    sid: str
    task_sid: str
    reservation_sid: str
    worker_sid: str
    to: str
    mode: str
    created: float
    updated: float
    status: str = "initiated"
    offered: str | None = None


@dataclass(slots=True)
class Transfers:
    """All transfers of a workspace; it listens to what becomes of the reservations."""

    taskrouter: TaskRouter
    new_sid: Callable[[str], str]
    clock: Callable[[], float]
    transfers: dict[str, Transfer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.taskrouter.listeners.append(self._heard)

    def start(self, held: Reservation, to: str, mode: str) -> Transfer:
        """Offer a held task to another worker, or to the first available one of the queue; 400/20001 for what cannot be transferred."""
        state, now = self.taskrouter, self.clock()
        if held.status != "accepted":
            raise bad_parameter(f"A task whose reservation is {held.status} cannot be transferred")
        if mode not in MODES:
            raise bad_parameter(f"Mode must be one of {', '.join(MODES)}")
        if to == state.queue_sid:
            free = [one for one in state.workers.values() if one.activity.available and one.sid != held.worker_sid]
            target = free[0] if free else None
        else:
            target = state.worker(to)
            if target.sid == held.worker_sid:
                raise bad_parameter("To must be another worker")
        if any(one.task_sid == held.task_sid and one.status == "initiated" for one in self.transfers.values()):
            raise bad_parameter("The task is being transferred already")
        transfer = Transfer(self.new_sid("TT"), held.task_sid, held.sid, held.worker_sid, to, mode, now, now)
        self.transfers[transfer.sid] = transfer
        self._tell(transfer, "initiated")
        if target is not None:
            # The reservation's own event names the transfer, so it has to be known before.
            transfer.offered = found_sid = self.new_sid("WR")
            state.reserve(state.task(held.task_sid), target, now, "pending", sid=found_sid)
        if mode == "COLD":
            state.set_reservation(held, "wrapping", now)
        return transfer

    def cancel(self, sid: str) -> Transfer:
        """Call a transfer back that nobody has accepted yet."""
        transfer = self.transfers.get(sid)
        if transfer is None:
            raise not_found(f"/Transfers/{sid}")
        if transfer.status != "initiated":
            raise bad_parameter(f"A transfer that is {transfer.status} cannot be canceled")
        self._end(transfer, "canceled")
        offered = self.taskrouter.reservations.get(transfer.offered or "")
        if offered is not None and offered.status == "pending":
            self.taskrouter.set_reservation(offered, "canceled", self.clock())
        return transfer

    def of(self, reservation_sid: str) -> tuple[Transfer | None, Transfer | None]:
        """The transfer by which a reservation came, and the one that its worker has under way."""
        came = next((one for one in self.transfers.values() if one.offered == reservation_sid), None)
        goes = next((one for one in self.transfers.values() if one.reservation_sid == reservation_sid and one.status == "initiated"), None)
        return came, goes

    def _heard(self, event: TaskRouterEvent) -> None:
        if event.reservation is None:
            return
        came, _ = self.of(event.reservation.sid)
        if came is None or came.status != "initiated":
            return
        if event.name == "reservation.accepted":
            self._end(came, "complete")
        elif event.name in ("reservation.rejected", "reservation.timeout", "reservation.canceled", "reservation.rescinded"):
            self._tell(came, "attempt-failed")
            self._end(came, "failed")

    def _end(self, transfer: Transfer, status: str) -> None:
        transfer.status, transfer.updated = status, self.clock()
        self._tell(transfer, "completed" if status == "complete" else status)

    def _tell(self, transfer: Transfer, what: str) -> None:
        worker = self.taskrouter.workers.get(transfer.worker_sid)
        self.taskrouter.tell(TaskRouterEvent(f"task.transfer-{what}", worker, transfer=transfer.sid))
