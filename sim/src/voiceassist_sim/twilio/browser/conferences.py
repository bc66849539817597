"""The conference of each call as Flex sees it: channels and participants, who joins, leaves and is put on hold; pure, time passed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..account import Account
from ..dates import iso_millis
from ..errors import not_found
from ..taskrouter import Task, TaskRouterEvent

Tell = Callable[[str, str, Mapping[str, Any]], None]
"""Called with a worker's SID, an event's name and its payload."""


@dataclass(slots=True)
class Participant:
    """Who is in a conference: the customer, or an agent or supervisor with their worker's SID."""

    sid: str
    kind: str
    call_sid: str
    worker_sid: str = ""
    reservation_sid: str = ""
    hold: bool = False
    muted: bool = False
    number: int = 1


@dataclass(slots=True)
class Conference:
    """The conference of one task; ``participants`` are those who are in it, ``left`` those who were."""

    channel_sid: str
    task_sid: str
    participants: list[Participant] = field(default_factory=list)
    left: list[Participant] = field(default_factory=list)

    @property
    def interaction_sid(self) -> str:
        """What Flex calls the whole: made from the task's SID, as its client does."""
        return f"KD{self.task_sid[2:]}"


class Conferences:
    """All conferences. They come and go with TaskRouter's events."""

    def __init__(self, account: Account, tell: Tell) -> None:
        self._account = account
        self._tell = tell
        self.listeners: list[Callable[[], None]] = []
        """Called after every change."""
        self._conferences: dict[str, Conference] = {}

    def heard(self, event: TaskRouterEvent) -> None:
        """An agent who accepts joins (and the customer with the first), one who wraps up leaves."""
        found, task = event.reservation, event.task
        if found is None or task is None:
            return
        if found.status == "accepted":
            conference = self._of(task)
            if not any(one.reservation_sid == found.sid for one in conference.participants):
                self._join(conference, "agent", self._account.sids("CA"), found.worker_sid, found.sid)
        elif task.sid in self._conferences:
            conference = self._conferences[task.sid]
            for one in [one for one in conference.participants if one.reservation_sid == found.sid]:
                self._leave(conference, one)
            if not any(one.kind == "agent" for one in conference.participants):
                for one in list(conference.participants):
                    self._leave(conference, one)

    def channels(self, interaction_sid: str) -> dict[str, Any]:
        """The channels of a call: one, of type voice, once an agent is in it."""
        found = self._conferences.get(f"WT{interaction_sid[2:]}")
        rows = [] if found is None else [found]
        return {"channels": [self._channel_json(one) for one in rows], "meta": {"key": "channels"}}

    def participants(self, interaction_sid: str, path: str) -> dict[str, Any]:
        """Who is in it."""
        conference = self._conferences.get(f"WT{interaction_sid[2:]}")
        if conference is None:
            raise not_found(path)
        rows = [self._participant_json(conference, one) | {"sid": one.sid} for one in conference.participants]
        return {"participants": rows, "channel_type": "voice", "meta": {"key": "participants"}}

    def modify(self, interaction_sid: str, participant_sid: str, wanted: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Change a participant: ``hold`` and ``muted`` count, the rest is taken note of."""
        conference = self._conferences.get(f"WT{interaction_sid[2:]}")
        found = next((one for one in conference.participants if one.sid == participant_sid), None) if conference else None
        if conference is None or found is None:
            raise not_found(path)
        self._modify(conference, found, hold=wanted.get("hold"), muted=wanted.get("muted"))
        return self._participant_json(conference, found) | {"sid": found.sid}

    def hold_customer(self, task_sid: str, hold: bool) -> None:
        """Put the customer on hold, or take them back."""
        conference = self._conferences.get(task_sid)
        for one in conference.participants if conference else ():
            if conference is not None and one.kind == "customer":
                self._modify(conference, one, hold=hold)

    def hold_worker(self, task_sid: str, worker_sid: str, hold: bool) -> None:
        """Put an agent on hold, or take them back."""
        conference = self._conferences.get(task_sid)
        for one in conference.participants if conference else ():
            if conference is not None and one.worker_sid == worker_sid:
                self._modify(conference, one, hold=hold)

    def watch(self, task: Task, worker_sid: str, reservation_sid: str) -> None:
        """A supervisor joins to listen."""
        conference = self._of(task)
        if not any(one.kind == "supervisor" and one.worker_sid == worker_sid for one in conference.participants):
            self._join(conference, "supervisor", self._account.sids("CA"), worker_sid, reservation_sid)

    def rows(self, task_sid: str) -> dict[str, dict[str, Any]] | None:
        """The conference as a Sync Map's items, as supervisors read it; ``None`` if there is none."""
        conference = self._conferences.get(task_sid)
        if conference is None:
            return None
        sid = self._conference_sid(conference)
        rows: dict[str, dict[str, Any]] = {"conf_status": {"status": "started", "conference_sid": sid}}
        for one in (*conference.left, *conference.participants):
            rows[one.call_sid] = {
                "participant_type": "worker" if one.kind == "agent" else one.kind,
                "conference_sid": sid,
                "worker_sid": one.worker_sid,
                "reservation_sid": one.reservation_sid,
                "hold": one.hold,
                "muted": one.muted,
                "end_conference_on_exit": False,
                "status": "left" if one in conference.left else "joined",
            }
        return rows

    def on_hold(self, task_sid: str) -> bool:
        """Whether the customer of a task waits."""
        conference = self._conferences.get(task_sid)
        return conference is not None and any(one.kind == "customer" and one.hold for one in conference.participants)

    # Inside

    def _of(self, task: Task) -> Conference:
        known = self._conferences.get(task.sid)
        if known is not None:
            return known
        conference = Conference(self._account.sids("UO"), task.sid)
        self._conferences[task.sid] = conference
        self._join(conference, "customer", str(json.loads(task.attributes).get("call_sid", "")))
        return conference

    def _join(self, conference: Conference, kind: str, call_sid: str, worker_sid: str = "", reservation_sid: str = "") -> None:
        one = Participant(self._account.sids("UT"), kind, call_sid, worker_sid, reservation_sid)
        conference.participants.append(one)
        self._event(conference, one, "participant.added", "participant-join")

    def _leave(self, conference: Conference, one: Participant) -> None:
        conference.participants.remove(one)
        conference.left.append(one)
        one.number += 1
        self._event(conference, one, "participant.removed", "participant-leave")
        if not conference.participants:
            self._conferences.pop(conference.task_sid, None)

    def _modify(self, conference: Conference, one: Participant, *, hold: bool | None = None, muted: bool | None = None) -> None:
        one.hold = one.hold if hold is None else bool(hold)
        one.muted = one.muted if muted is None else bool(muted)
        one.number += 1
        said = "participant-hold" if one.hold else "participant-unhold"
        self._event(conference, one, "participant.modified", said if hold is not None else "participant-modify")

    def _event(self, conference: Conference, one: Participant, name: str, said: str) -> None:
        for worker_sid, reservation_sid in self._workers(conference.task_sid):
            payload = self._participant_json(conference, one, said)
            if not one.reservation_sid:
                payload["routing_properties"]["reservation_sid"] = reservation_sid
            self._tell(worker_sid, name, payload)
        for listener in self.listeners:
            listener()

    def _workers(self, task_sid: str) -> Iterator[tuple[str, str]]:
        for found in self._account.taskrouter.of_task(task_sid):
            if found.status in ("accepted", "wrapping"):
                yield found.worker_sid, found.sid

    def _conference_sid(self, conference: Conference) -> str:
        """As the task's attributes name it, which they do a moment after the first agent has joined."""
        task = self._account.taskrouter.tasks.get(conference.task_sid)
        named = json.loads(task.attributes).get("conference") if task else None
        return str(named.get("sid", "")) if isinstance(named, dict) else ""

    def _channel_json(self, conference: Conference) -> dict[str, Any]:
        return {
            "sid": conference.channel_sid,
            "interaction_sid": conference.interaction_sid,
            "type": "voice",
            "status": "active",
            "media_sid": self._conference_sid(conference),
        }

    def _participant_json(self, conference: Conference, one: Participant, said: str = "participant-join") -> dict[str, Any]:
        media = {
            "AccountSid": self._account.account_sid,
            "CallSid": one.call_sid,
            "ConferenceSid": self._conference_sid(conference),
            "FriendlyName": conference.task_sid,
            "Coaching": "false",
            "EndConferenceOnExit": "false",
            "StartConferenceOnEnter": "true",
            "Hold": str(one.hold).lower(),
            "Muted": str(one.muted).lower(),
            "SequenceNumber": str(one.number),
            "StatusCallbackEvent": said,
            "Timestamp": iso_millis(self._account.clock()),
        }
        return {
            "participant_sid": one.sid,
            "channel_sid": conference.channel_sid,
            "channel_type": "voice",
            "interaction_sid": conference.interaction_sid,
            "type": one.kind,
            "media_properties": {name: [value] for name, value in media.items()},
            "routing_properties": {
                "task_sid": conference.task_sid,
                "worker_sid": one.worker_sid,
                "reservation_sid": one.reservation_sid,
            },
        }
