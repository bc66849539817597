"""The 2010 API's REST operations on calls and their media streams.

There is neither a fetch nor a list of streams, as at the vendor. A created stream is answered before its websocket is open: whether it
opens shows only in the status callback. TwiML is not run here, so an update of a call that asks for it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .api import Answer, ApiRequest, Body, Route, route
from .calls import Call, Calls, ForkedStream
from .dates import rfc2822
from .errors import bad_parameter
from .fields import choice, required
from .settings import Settings
from .stream_order import FIELDS, PARAMETER, read_order

_AT: Final = "/2010-04-01/Accounts/{AccountSid}/Calls"
_TWIML_FIELDS: Final = ("Url", "Twiml", "Method", "FallbackUrl", "FallbackMethod", "StatusCallback", "StatusCallbackMethod", "TimeLimit")


class CallRoutes:
    """The operations of the product ``api``. ``start`` is called with every stream that was accepted."""

    def __init__(self, account_sid: str, calls: Calls, settings: Settings, start: Callable[[Call, ForkedStream], None]) -> None:
        self._account_sid = account_sid
        self._calls = calls
        self._settings = settings
        self._start = start

    def routes(self) -> list[Route]:
        """All operations, as in the vendor's specification."""
        return [
            route("GET", f"{_AT}/{{Sid}}.json", self.fetch),
            route("POST", f"{_AT}/{{Sid}}.json", self.update, "Status", *_TWIML_FIELDS),
            Route("POST", f"{_AT}/{{CallSid}}/Streams.json", self.create_stream, Body.FORM, frozenset(FIELDS), PARAMETER),
            route("POST", f"{_AT}/{{CallSid}}/Streams/{{Sid}}.json", self.update_stream, "Status"),
        ]

    def fetch(self, request: ApiRequest) -> Answer:
        """A call."""
        return Answer(200, self._call_json(self._calls.get(request.params["Sid"], request.path)))

    def update(self, request: ApiRequest) -> Answer:
        """End a call."""
        call = self._calls.get(request.params["Sid"], request.path)
        unsupported = sorted(set(request.form) & set(_TWIML_FIELDS))
        if unsupported:
            raise bad_parameter(f"{', '.join(unsupported)}: this stand-in runs no TwiML; only Status can be set")
        required(request.form, "Status")
        self._calls.update_status(call, choice(request.form, "Status", ("canceled", "completed")) or "", request.now)
        return Answer(200, self._call_json(call))

    def create_stream(self, request: ApiRequest) -> Answer:
        """Fork the audio of a call."""
        call = self._calls.get(request.params["CallSid"], request.path)
        order = read_order(request.form, drop_query=self._settings.lenient.stream_query_dropped)
        stream = self._calls.fork(call, order, request.now)
        self._start(call, stream)
        return Answer(201 if self._settings.lenient.stream_created_201 else 200, self._stream_json(call, stream))

    def update_stream(self, request: ApiRequest) -> Answer:
        """Stop a stream, by SID or by name."""
        call = self._calls.get(request.params["CallSid"], request.path)
        required(request.form, "Status")
        choice(request.form, "Status", ("stopped",))
        return Answer(200, self._stream_json(call, self._calls.stop(call, request.params["Sid"], request.now, request.path)))

    def _stream_json(self, call: Call, stream: ForkedStream) -> dict[str, Any]:
        return {
            "sid": stream.sid,
            "account_sid": self._account_sid,
            "call_sid": call.sid,
            "name": stream.order.name,
            "status": "in-progress" if stream.active else "stopped",
            "date_updated": rfc2822(stream.updated),
            "uri": f"{self._uri(call)}/Streams/{stream.sid}.json",
        }

    def _call_json(self, call: Call) -> dict[str, Any]:
        uri = self._uri(call)
        over = call.ended is not None and call.started is not None
        return {
            "sid": call.sid,
            "account_sid": self._account_sid,
            "parent_call_sid": None,
            "phone_number_sid": None,
            "group_sid": None,
            "trunk_sid": None,
            "from": call.from_number,
            "from_formatted": call.from_number,
            "to": call.to_number,
            "to_formatted": call.to_number,
            "direction": "inbound",
            "status": call.status,
            "date_created": rfc2822(call.created),
            "date_updated": rfc2822(call.updated),
            "start_time": None if call.started is None else rfc2822(call.started),
            "end_time": None if call.ended is None else rfc2822(call.ended),
            "duration": str(round((call.ended or 0) - (call.started or 0))) if over else None,
            "price": None,
            "price_unit": "USD",
            "answered_by": None,
            "api_version": "2010-04-01",
            "forwarded_from": None,
            "caller_name": None,
            "queue_time": "0",
            "uri": f"{uri}.json",
            "subresource_uris": {"streams": f"{uri}/Streams.json"},
        }

    def _uri(self, call: Call) -> str:
        return f"/2010-04-01/Accounts/{self._account_sid}/Calls/{call.sid}"
