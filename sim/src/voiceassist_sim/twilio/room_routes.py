"""The 2010 API's REST operations on conferences and their participants: list and fetch, as the vendor documents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from .api import Answer, ApiRequest, Route, route
from .dates import rfc2822
from .errors import not_found
from .fields import choice, integer
from .rooms import Leg, Room, Rooms

_AT: Final = "/2010-04-01/Accounts/{AccountSid}/Conferences"
_STATES: Final = ("init", "in-progress", "completed")


class RoomRoutes:
    """Conferences and participants."""

    def __init__(self, account_sid: str, rooms: Rooms) -> None:
        self._account_sid = account_sid
        self._rooms = rooms

    def routes(self) -> list[Route]:
        """The operations that are served."""
        return [
            route("GET", f"{_AT}.json", self.list),
            route("GET", f"{_AT}/{{Sid}}.json", self.fetch),
            route("GET", f"{_AT}/{{ConferenceSid}}/Participants.json", self.list_participants),
            route("GET", f"{_AT}/{{ConferenceSid}}/Participants/{{CallSid}}.json", self.fetch_participant),
        ]

    def list(self, request: ApiRequest) -> Answer:
        """Conferences, the newest first, by ``FriendlyName`` and ``Status`` if given."""
        name, status = request.query.get("FriendlyName"), choice(request.query, "Status", _STATES)
        found = [room for room in self._rooms if name in (None, room.task_sid) and status in (None, room.shown(request.now))]
        rows = [self._json(request, room) for room in reversed(found)]
        return Answer(200, _page(request, "conferences", rows, ("FriendlyName", "Status")))

    def fetch(self, request: ApiRequest) -> Answer:
        """A conference."""
        return Answer(200, self._json(request, self._rooms.room(request.params["Sid"], request.path)))

    def list_participants(self, request: ApiRequest) -> Answer:
        """Who is in a conference."""
        room = self._rooms.room(request.params["ConferenceSid"], request.path)
        rows = [self._participant_json(room, leg) for leg in room.present(request.now)]
        return Answer(200, _page(request, "participants", rows, ()))

    def fetch_participant(self, request: ApiRequest) -> Answer:
        """One who is in a conference, by the call; 404/20404 for others."""
        room = self._rooms.room(request.params["ConferenceSid"], request.path)
        for leg in room.present(request.now):
            if leg.call_sid == request.params["CallSid"]:
                return Answer(200, self._participant_json(room, leg))
        raise not_found(request.path)

    def _uri(self, room: Room) -> str:
        return f"/2010-04-01/Accounts/{self._account_sid}/Conferences/{room.sid}"

    def _json(self, request: ApiRequest, room: Room) -> dict[str, Any]:
        uri, status = self._uri(room), room.shown(request.now)
        return {
            "sid": room.sid,
            "account_sid": self._account_sid,
            "friendly_name": room.task_sid,
            "status": status,
            "region": "us1",
            "api_version": "2010-04-01",
            "reason_conference_ended": "last-participant-left" if status == "completed" else None,
            "call_sid_ending_conference": None,
            "date_created": rfc2822(room.created),
            "date_updated": rfc2822(room.updated),
            "uri": f"{uri}.json",
            "subresource_uris": {"participants": f"{uri}/Participants.json", "recordings": f"{uri}/Recordings.json"},
        }

    def _participant_json(self, room: Room, leg: Leg) -> dict[str, Any]:
        return {
            "account_sid": self._account_sid,
            "call_sid": leg.call_sid,
            "label": None,
            "call_sid_to_coach": None,
            "coaching": False,
            "conference_sid": room.sid,
            "date_created": rfc2822(leg.joined),
            "date_updated": rfc2822(leg.joined),
            "end_conference_on_exit": False,
            "muted": False,
            "hold": False,
            "start_conference_on_enter": True,
            "status": "connected",
            "queue_time": None,
            "uri": f"{self._uri(room)}/Participants/{leg.call_sid}.json",
        }


def _page(request: ApiRequest, key: str, rows: Sequence[Mapping[str, Any]], filters: Sequence[str]) -> dict[str, Any]:
    """One page as the 2010 API gives it: relative links, and the numbers of the first and the last row."""
    size = integer(request.query, "PageSize", low=1, high=1000) or 50
    number = integer(request.query, "Page", low=0, high=1 << 40) or 0
    kept = [(name, request.query[name]) for name in filters if name in request.query]
    start, shown = number * size, rows[number * size : (number + 1) * size]

    def link(at: int) -> str:
        return f"{request.path}?{urlencode([*kept, ('PageSize', size), ('Page', at)])}"

    return {
        key: list(shown),
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(0, len(shown) - 1),
        "uri": link(number),
        "first_page_uri": link(0),
        "previous_page_uri": link(number - 1) if number else None,
        "next_page_uri": link(number + 1) if start + size < len(rows) else None,
    }
