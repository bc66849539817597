"""TaskRouter's REST operations: workspace, workers, tasks, and the reservations of a task or of a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .api import Answer, ApiRequest, Route, route
from .dates import iso
from .errors import not_found
from .fields import choice, integer
from .paging import page
from .taskrouter import RESERVATION_STATES, TASK_STATES, Reservation, Task, TaskRouter, Worker

_AT: Final = "/v1/Workspaces/{WorkspaceSid}"
RATE_LIMIT: Final = 1000
"""What the rate limit headers tell; the stand-in enforces no such limit."""


class TaskRouterRoutes:
    """The operations of the product ``taskrouter``."""

    def __init__(self, account_sid: str, taskrouter: TaskRouter) -> None:
        self._account_sid = account_sid
        self._state = taskrouter

    def routes(self) -> list[Route]:
        """The operations that are served, as in the vendor's specification."""
        return [
            route("GET", "/v1/Workspaces", self.list_workspaces),
            route("GET", _AT, self.fetch_workspace),
            route("GET", f"{_AT}/Workers/{{Sid}}", self.fetch_worker),
            route("GET", f"{_AT}/Tasks/{{Sid}}", self.fetch_task),
            route("POST", f"{_AT}/Tasks/{{Sid}}", self.update_task, "Attributes", "AssignmentStatus", "Reason", "Priority"),
            route("GET", f"{_AT}/Tasks/{{TaskSid}}/Reservations", self.list_of_task),
            route("GET", f"{_AT}/Tasks/{{TaskSid}}/Reservations/{{Sid}}", self.fetch_of_task),
            route("GET", f"{_AT}/Workers/{{WorkerSid}}/Reservations", self.list_of_worker),
            route("GET", f"{_AT}/Workers/{{WorkerSid}}/Reservations/{{Sid}}", self.fetch_of_worker),
        ]

    def list_workspaces(self, request: ApiRequest) -> Answer:
        """The one workspace."""
        return Answer(200, page(request, "workspaces", [self._workspace_json(request)], max_page_size=1000))

    def fetch_workspace(self, request: ApiRequest) -> Answer:
        """The workspace."""
        self._check_workspace(request)
        return Answer(200, self._workspace_json(request), _rate_headers())

    def fetch_worker(self, request: ApiRequest) -> Answer:
        """A worker."""
        self._check_workspace(request)
        worker = self._state.worker(request.params["Sid"], request.path)
        return Answer(200, self._worker_json(request, worker), _rate_headers("0"))

    def fetch_task(self, request: ApiRequest) -> Answer:
        """A task; the ETag is what an update's ``If-Match`` must name."""
        self._check_workspace(request)
        return self._task_answer(request, self._state.task(request.params["Sid"], request.path))

    def update_task(self, request: ApiRequest) -> Answer:
        """Replace a task's attributes as a whole, or move it on."""
        self._check_workspace(request)
        task = self._state.task(request.params["Sid"], request.path)
        self._state.update_task(
            task,
            request.now,
            request.if_match,
            attributes=request.form.get("Attributes"),
            status=choice(request.form, "AssignmentStatus", TASK_STATES),
            reason=request.form.get("Reason"),
            priority=integer(request.form, "Priority", low=0, high=2**31 - 1),
        )
        return self._task_answer(request, task)

    def list_of_task(self, request: ApiRequest) -> Answer:
        """The reservations of a task, by ``ReservationStatus`` and ``WorkerSid`` if given."""
        self._check_workspace(request)
        task = self._state.task(request.params["TaskSid"], request.path)
        worker = request.query.get("WorkerSid")
        held = (found for found in self._state.of_task(task.sid) if worker in (None, found.worker_sid))
        return self._reservations(request, held, f"Tasks/{task.sid}", ("ReservationStatus", "WorkerSid"))

    def list_of_worker(self, request: ApiRequest) -> Answer:
        """The reservations of a worker, by ``ReservationStatus`` if given."""
        self._check_workspace(request)
        worker = self._state.worker(request.params["WorkerSid"], request.path)
        held = (found for found in self._state.reservations.values() if found.worker_sid == worker.sid)
        return self._reservations(request, held, f"Workers/{worker.sid}", ("ReservationStatus",))

    def fetch_of_task(self, request: ApiRequest) -> Answer:
        """One reservation of a task."""
        self._check_workspace(request)
        found = self._state.reservation(request.params["Sid"], request.path)
        if found.task_sid != request.params["TaskSid"]:
            raise not_found(request.path)
        return Answer(200, self._reservation_json(request, found, f"Tasks/{found.task_sid}"), _rate_headers("0"))

    def fetch_of_worker(self, request: ApiRequest) -> Answer:
        """One reservation of a worker."""
        self._check_workspace(request)
        found = self._state.reservation(request.params["Sid"], request.path)
        if found.worker_sid != request.params["WorkerSid"]:
            raise not_found(request.path)
        return Answer(200, self._reservation_json(request, found, f"Workers/{found.worker_sid}"), _rate_headers())

    def _reservations(self, request: ApiRequest, held: Iterable[Reservation], parent: str, filters: tuple[str, ...]) -> Answer:
        status = choice(request.query, "ReservationStatus", RESERVATION_STATES)
        rows = [self._reservation_json(request, found, parent) for found in held if status in (None, found.status)]
        return Answer(200, page(request, "reservations", rows, max_page_size=1000, filters=filters), _rate_headers("0"))

    def _check_workspace(self, request: ApiRequest) -> None:
        if request.params["WorkspaceSid"] != self._state.workspace_sid:
            raise not_found(request.path)

    def _task_answer(self, request: ApiRequest, task: Task) -> Answer:
        return Answer(200, self._task_json(request, task), _rate_headers(str(task.version)))

    def _url(self, request: ApiRequest, rest: str = "") -> str:
        return request.url(f"/v1/Workspaces/{self._state.workspace_sid}{rest}")

    def _workspace_json(self, request: ApiRequest) -> dict[str, Any]:
        state = self._state
        return {
            "sid": state.workspace_sid,
            "account_sid": self._account_sid,
            "friendly_name": "Flex Task Assignment",
            "date_created": iso(0),
            "date_updated": iso(0),
            "default_activity_name": "Offline",
            "default_activity_sid": state.offline_activity_sid,
            "timeout_activity_name": "Offline",
            "timeout_activity_sid": state.offline_activity_sid,
            "event_callback_url": None,
            "events_filter": None,
            "multi_task_enabled": True,
            "prioritize_queue_order": "FIFO",
            "url": self._url(request),
            "links": {"tasks": self._url(request, "/Tasks"), "workers": self._url(request, "/Workers")},
        }

    def _worker_json(self, request: ApiRequest, worker: Worker) -> dict[str, Any]:
        url = self._url(request, f"/Workers/{worker.sid}")
        return {
            "sid": worker.sid,
            "account_sid": self._account_sid,
            "workspace_sid": self._state.workspace_sid,
            "friendly_name": worker.name,
            "attributes": worker.attributes,
            "activity_name": worker.activity.name,
            "activity_sid": worker.activity.sid,
            "available": worker.activity.available,
            "date_created": iso(worker.created),
            "date_updated": iso(worker.updated),
            "date_status_changed": iso(worker.status_changed),
            "url": url,
            "links": {"reservations": f"{url}/Reservations", "workspace": self._url(request)},
        }

    def _task_json(self, request: ApiRequest, task: Task) -> dict[str, Any]:
        state = self._state
        url = self._url(request, f"/Tasks/{task.sid}")
        return {
            "sid": task.sid,
            "account_sid": self._account_sid,
            "workspace_sid": state.workspace_sid,
            "workflow_sid": state.workflow_sid,
            "workflow_friendly_name": "Assign to Anyone",
            "task_queue_sid": state.queue_sid,
            "task_queue_friendly_name": "Everyone",
            "task_channel_sid": state.channel_sid,
            "task_channel_unique_name": "voice",
            "assignment_status": task.status,
            "attributes": task.attributes,
            "addons": "{}",
            "age": int(request.now - task.created),
            "priority": task.priority,
            "reason": task.reason,
            "timeout": 86400,
            "ignore_capacity": False,
            "routing_target": None,
            "date_created": iso(task.created),
            "date_updated": iso(task.updated),
            "task_queue_entered_date": iso(task.created),
            "virtual_start_time": iso(task.created),
            "url": url,
            "links": {"reservations": f"{url}/Reservations", "workspace": self._url(request)},
        }

    def _reservation_json(self, request: ApiRequest, found: Reservation, parent: str) -> dict[str, Any]:
        worker = self._state.workers[found.worker_sid]
        return {
            "sid": found.sid,
            "account_sid": self._account_sid,
            "workspace_sid": self._state.workspace_sid,
            "task_sid": found.task_sid,
            "worker_sid": found.worker_sid,
            "worker_name": worker.name,
            "reservation_status": found.status,
            "date_created": iso(found.created),
            "date_updated": iso(found.updated),
            "url": self._url(request, f"/{parent}/Reservations/{found.sid}"),
            "links": {
                "task": self._url(request, f"/Tasks/{found.task_sid}"),
                "worker": self._url(request, f"/Workers/{found.worker_sid}"),
                "workspace": self._url(request),
            },
        }


def _rate_headers(etag: str | None = None) -> Mapping[str, str]:
    headers = {
        "X-Rate-Limit-Limit": str(RATE_LIMIT),
        "X-Rate-Limit-Remaining": str(RATE_LIMIT - 1),
        "X-Rate-Limit-Config": f"{RATE_LIMIT}/1s",
    }
    return headers if etag is None else headers | {"ETag": f'"{etag}"'}
