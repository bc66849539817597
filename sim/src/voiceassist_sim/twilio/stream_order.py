"""Reads a request to fork a call's audio: which address, which tracks, which custom parameters; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

from .errors import TwilioError, bad_parameter
from .fields import choice, required
from .streams.address import check_url
from .streams.codes import StreamCode
from .streams.request import RequestedTrack

PARAMETER: Final = re.compile(r"Parameter([1-9][0-9]?)\.(Name|Value)", re.ASCII)
"""The form fields of custom parameters, 1 to 99."""
FIELDS: Final = ("Url", "Name", "Track", "StatusCallback", "StatusCallbackMethod")
PARAMETER_CHARACTERS: Final = 500
"""A parameter's name and value must together be shorter than this."""
TRACKS: Final[Mapping[RequestedTrack, int]] = {"inbound_track": 1, "outbound_track": 1, "both_tracks": 2}
"""How many tracks each choice forks."""
INVALID_TRACK: Final = 31941


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """An accepted request; the fields are those of the vendor's Streams resource."""

    url: str
    track: RequestedTrack = "inbound_track"
    name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    status_callback: str | None = None
    status_callback_method: str = "POST"

    @property
    def tracks(self) -> int:
        """How many tracks it forks."""
        return TRACKS[self.track]


def read_order(form: Mapping[str, str], *, drop_query: bool = False) -> StreamOrder:
    """The order in a form.

    Refused with 400: an address that is not ``wss`` (31922), malformed or of no public name (31923), with a query string (31920, unless
    ``drop_query``); a track that does not exist (31941); anything else that is not allowed (20001).

    Raises TwilioError.
    """
    track = form.get("Track") or "inbound_track"
    if track not in TRACKS:
        raise TwilioError(400, INVALID_TRACK, f"Stream - Invalid Track configuration: {', '.join(TRACKS)} are allowed")
    return StreamOrder(
        url=_address(required(form, "Url"), drop_query),
        track=cast(RequestedTrack, track),
        name=form.get("Name") or None,
        parameters=_parameters(form),
        status_callback=_callback(form.get("StatusCallback")),
        status_callback_method=choice(form, "StatusCallbackMethod", ("GET", "POST")) or "POST",
    )


def _address(url: str, drop_query: bool) -> str:
    if drop_query:
        url = url.partition("?")[0]
    code = check_url(url)
    if code is not None:
        raise TwilioError(400, code, f"{StreamCode(code).meaning}: Url must be wss://, a public host name and a path, with no query")
    return url


def _callback(url: str | None) -> str | None:
    if not url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise bad_parameter("StatusCallback must be an absolute http or https URL")
    return url


def _parameters(form: Mapping[str, str]) -> dict[str, str]:
    given: dict[int, dict[str, str]] = {}
    for field_name, value in form.items():
        match = PARAMETER.fullmatch(field_name)
        if match:
            given.setdefault(int(match[1]), {})[match[2]] = value
    parameters: dict[str, str] = {}
    for number, pair in sorted(given.items()):
        name, value = pair.get("Name"), pair.get("Value", "")
        if not name:
            raise bad_parameter(f"Parameter{number}.Value is given without Parameter{number}.Name")
        if len(name) + len(value) >= PARAMETER_CHARACTERS:
            raise bad_parameter(f"Parameter{number}: name and value must together be shorter than {PARAMETER_CHARACTERS} characters")
        if name in parameters:
            raise bad_parameter(f"Parameter{number}.Name repeats {name[:80]!r}")
        parameters[name] = value
    return parameters
