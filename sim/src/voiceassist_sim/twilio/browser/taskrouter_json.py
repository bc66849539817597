"""TaskRouter's objects as a browser gets them: other field names and times than in REST, and every field must be there; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..dates import iso_millis
from ..taskrouter import RESERVATION_SECONDS, Activity, Reservation, Task, TaskRouter, Worker
from ..transfers import Transfer, Transfers

TASK_SECONDS: Final = 86_400
QUEUE_NAME: Final = "Everyone"
WORKFLOW_NAME: Final = "Assign to Anyone"


class TaskRouterJson:
    """Writes the objects of one account's workspace. Times are whole seconds since the epoch unless said otherwise."""

    def __init__(self, account_sid: str, state: TaskRouter, transfers: Transfers) -> None:
        self._state = state
        self._transfers = transfers
        self._ours = {"account_sid": account_sid, "workspace_sid": state.workspace_sid}

    def worker(self, worker: Worker) -> dict[str, Any]:
        """A worker; attributes are JSON text."""
        return self._ours | {
            "sid": worker.sid,
            "friendly_name": worker.name,
            "activity_sid": worker.activity.sid,
            "activity_name": worker.activity.name,
            "available": worker.activity.available,
            "attributes": worker.attributes,
            "date_created": int(worker.created),
            "date_updated": int(worker.updated),
            "date_status_changed": int(worker.status_changed),
            "version": str(worker.version),
        }

    def activity(self, activity: Activity) -> dict[str, Any]:
        """An activity."""
        return self._ours | {
            "sid": activity.sid,
            "friendly_name": activity.name,
            "available": activity.available,
            "date_created": 0,
            "date_updated": 0,
        }

    def queue(self) -> dict[str, Any]:
        """The workspace's one queue."""
        state = self._state
        return self._ours | {
            "sid": state.queue_sid,
            "friendly_name": QUEUE_NAME,
            "reservation_activity_name": "Unavailable",
            "reservation_activity_sid": state.offline_activity_sid,
            "assignment_activity_name": "Unavailable",
            "assignment_activity_sid": state.offline_activity_sid,
            "target_workers": "1==1",
            "max_reserved_workers": 1,
            "task_order": "FIFO",
            "lifo_queue": False,
            "date_created": 0,
            "date_updated": 0,
        }

    def channel(self, worker: Worker, capacity: int) -> dict[str, Any]:
        """A worker's one channel: voice, for ``capacity`` tasks at once."""
        held = [found for found in self._state.reservations.values() if found.worker_sid == worker.sid]
        busy = sum(found.status in ("pending", "accepted", "wrapping") for found in held)
        return self._ours | {
            "sid": f"WC{worker.sid[2:]}",
            "worker_sid": worker.sid,
            "task_channel_sid": self._state.channel_sid,
            "task_channel_unique_name": "voice",
            "configured_capacity": capacity,
            "available": busy < capacity,
            "assigned_tasks": busy,
            "available_capacity_percentage": max(0, 100 * (capacity - busy) // capacity),
            "last_reserved_time": iso_millis(max((found.created for found in held), default=worker.created)),
            "date_created": int(worker.created),
            "date_updated": int(worker.updated),
        }

    def task(self, task: Task, now: float) -> dict[str, Any]:
        """A task; attributes and addons are JSON text."""
        return self._ours | {
            "sid": task.sid,
            "date_created": int(task.created),
            "date_updated": int(task.updated),
            "assignment_status": task.status,
            "attributes": task.attributes,
            "addons": "{}",
            "age": max(0, int(now - task.created)),
            "priority": task.priority,
            "reason": task.reason,
            "timeout": TASK_SECONDS,
            "queue_name": QUEUE_NAME,
            "queue_sid": self._state.queue_sid,
            "routing_target": None,
            "task_channel_unique_name": "voice",
            "task_channel_sid": self._state.channel_sid,
            "workflow_name": WORKFLOW_NAME,
            "workflow_sid": self._state.workflow_sid,
            "version": str(task.version),
            "virtual_start_time": int(task.created),
        }

    def transfer(self, transfer: Transfer) -> dict[str, Any]:
        """A transfer."""
        return self._ours | {
            "sid": transfer.sid,
            "task_sid": transfer.task_sid,
            "initiating_reservation_sid": transfer.reservation_sid,
            "initiating_worker_sid": transfer.worker_sid,
            "initiating_queue_sid": self._state.queue_sid,
            "initiating_workflow_sid": self._state.workflow_sid,
            "transfer_mode": transfer.mode,
            "transfer_to": transfer.to,
            "transfer_type": "QUEUE" if transfer.to == self._state.queue_sid else "WORKER",
            "transfer_status": transfer.status,
            "date_created": int(transfer.created),
            "date_updated": int(transfer.updated),
        }

    def reservation(self, found: Reservation, now: float, *, moving: bool = True) -> dict[str, Any]:
        """A reservation with its task, and with the transfers by which it came and by which it goes (``moving``; Flex's client fails on
        them in the answer to a change of the reservation)."""
        worker = self._state.workers[found.worker_sid]
        came, goes = self._transfers.of(found.sid)
        transfers = {"task_transfer": came, "active_outgoing_task_transfer": goes} if moving else {}
        shown = {name: self.transfer(one) for name, one in transfers.items() if one is not None}
        return (
            self._ours
            | shown
            | {
                "sid": found.sid,
                "task_sid": found.task_sid,
                "worker_sid": found.worker_sid,
                "worker_name": worker.name,
                "reservation_status": found.status,
                "reservation_timeout": RESERVATION_SECONDS,
                "worker_previous_activity_sid": worker.activity.sid,
                "date_created": int(found.created),
                "date_updated": int(found.updated),
                "task": self.task(self._state.task(found.task_sid), now),
                "version": str(found.version),
            }
        )


def whole_list(rows: Iterable[dict[str, Any]], key: str) -> dict[str, Any]:
    """All rows as the one page of a list."""
    contents = list(rows)
    return {"contents": contents, "total": len(contents), "next_token": None, "previous_token": None, "meta": {"key": key}}
