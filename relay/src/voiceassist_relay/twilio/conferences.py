"""Asks Twilio whether a call's leg is in the conference of a task: what no worker's browser can write.

TaskRouter names the conference of a voice task by the task's SID; Twilio's own template for Flex finds it by that name
(`twilio-professional-services/flex-project-template`, `conferences.list({friendlyName: taskSid, status: 'in-progress'})`).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final
from urllib.parse import urlencode

from ..config.snapshot import CurrentSnapshot
from ..errors import TwilioRefused
from .error_answers import is_gone
from .rest import Answer, TwilioRest, segment
from .retry import RetryPolicy, retrying

IN_PROGRESS: Final = "in-progress"
MAX_CONFERENCES: Final = 5
"""Conferences of one task that are looked at; there is one at a time."""
_NOT_YET: Final = frozenset({"queued", "connecting", "ringing", "complete", "failed"})


class Seat(Enum):
    """Whether a call is in the conference of a task."""

    TAKEN = auto()
    NO_CONFERENCE = auto()
    """There is none yet, or none any more."""
    ELSEWHERE = auto()
    """The conference goes on without this call."""


class Conferences:
    """Conferences and participants, read when they are needed and never remembered."""

    def __init__(self, rest: TwilioRest, current: CurrentSnapshot, policy: RetryPolicy) -> None:
        self._rest, self._current, self._policy = rest, current, policy

    async def seat(self, task_sid: str, call_sid: str) -> Seat:
        """Where the call is, as seen from the task. Raises TwilioError."""
        query = urlencode({"FriendlyName": task_sid, "Status": IN_PROGRESS, "PageSize": str(MAX_CONFERENCES)})
        answer = await self._get("conference_list", f"{self._at()}.json?{query}")
        listed = answer.body.get("conferences")
        going = [
            str(one.get("sid"))
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and one.get("friendly_name") == task_sid and one.get("status") == IN_PROGRESS
        ]
        for sid in going[:MAX_CONFERENCES]:
            if await self._has(sid, call_sid):
                return Seat.TAKEN
        return Seat.ELSEWHERE if going else Seat.NO_CONFERENCE

    async def _has(self, conference_sid: str, call_sid: str) -> bool:
        path = f"{self._at()}/{segment(conference_sid)}/Participants/{segment(call_sid)}.json"
        try:
            answer = await self._get("participant_fetch", path)
        except TwilioRefused as error:
            if is_gone(error):
                return False
            raise
        return answer.body.get("call_sid") == call_sid and answer.body.get("status") not in _NOT_YET

    def _at(self) -> str:
        return f"/2010-04-01/Accounts/{segment(self._current().config.twilio.account_sid)}/Conferences"

    async def _get(self, operation: str, path: str) -> Answer:
        return await retrying(self._policy, lambda: self._rest.request(operation, "api", "GET", path), idempotent=True)
