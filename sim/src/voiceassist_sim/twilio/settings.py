"""What can be set on the stand-in: rates and bounds, and where it takes the lenient instead of the strict reading.

Where the vendor's documents leave something open, the stand-in is strict by default; each field of `Lenient` switches one such point.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final

from .limits import Rate


@dataclass(slots=True)
class Lenient:
    """The points that the vendor's documents leave open; ``False`` is the strict reading."""

    stream_created_201: bool = False
    """Creating a media stream answers 201 (strict: 200, as the published specification says)."""
    stream_name_reuse: bool = False
    """A stream may take the name of another that is still active on its call (strict: 409/20409)."""
    stream_query_dropped: bool = False
    """A query string in a stream's URL is dropped silently (strict: refused with 400/31920)."""
    ended_call_21220: bool = False
    """A stream on a call that is not in progress is refused with 400/21220 (strict: 404/20404)."""
    stop_stopped_stream: bool = False
    """Stopping a stream that has ended answers 200 (strict: 404/20404)."""
    message_by_stream_name: bool = False
    """Sync messages may be published to a stream's unique name (strict: to its SID only, else 404/20404)."""
    message_burst: bool = False
    """Sync stream messages may use the vendor's ten-second burst window (strict: 30 in any second)."""
    names_per_kind: bool = False
    """A unique name may be used once per kind of Sync object (strict: once per Sync service)."""
    unknown_fields: bool = False
    """Form fields that the vendor does not know are ignored (strict: 400/20001)."""
    any_json_data: bool = False
    """Sync data may be any JSON value (strict: a JSON object, else 400/54008)."""
    retry_after: bool = False
    """Refusals with 429 carry ``Retry-After`` (strict: no header, as Twilio does not promise it)."""

    @classmethod
    def names(cls) -> list[str]:
        """The switches by the names that the command line takes."""
        return [item.name.replace("_", "-") for item in fields(cls)]

    @classmethod
    def of(cls, names: list[str]) -> Lenient:
        """With these switches on, given as on the command line; raises ValueError for a name that does not exist."""
        unknown = sorted(set(names) - set(cls.names()))
        if unknown:
            raise ValueError(f"no such switch: {', '.join(unknown)}; there are: {', '.join(cls.names())}")
        return cls(**{name.replace("-", "_"): True for name in names})


@dataclass(slots=True)
class SyncLimits:
    """Sync's rates and bounds (source: the vendor's page of Sync limits); all rates are per second."""

    messages: Rate = field(default_factory=lambda: Rate(30, burst_seconds=1))
    writes: Rate = field(default_factory=lambda: Rate(20, burst_seconds=10))
    reads: Rate = field(default_factory=lambda: Rate(20, burst_seconds=10))
    creations: Rate = field(default_factory=lambda: Rate(20, burst_seconds=10))
    permissions: Rate = field(default_factory=lambda: Rate(80, burst_seconds=10))
    message_bytes: int = 4096
    data_bytes: int = 16384
    name_characters: int = 320
    max_ttl: int = 31_536_000


SUSPENDED_CODES: Final = (20003, 20005, 20403)


@dataclass(slots=True)
class ServerlessLimits:
    """How long builds take, which runtimes there are, and how many of each thing there may be (``None``: no such limit)."""

    build_seconds: float = 0.0
    """Seconds on the stand-in's clock that a build is ``building`` at least."""
    build_polls: int = 1
    """How often a build that was asked for says ``building`` before it says what it came to."""
    runtimes: tuple[str, ...] = ("node20", "node22", "node24")
    """What runs; a runtime that did once is refused with 82007."""
    max_services: int | None = None
    max_environments: int | None = None
    max_variables: int | None = None
    max_functions: int | None = None
    max_builds: int | None = None
    """Caps per account, service, environment, service and service; one more is refused with 400/20001."""


@dataclass(slots=True)
class Settings:
    """Everything that can be set live."""

    lenient: Lenient = field(default_factory=Lenient)
    sync: SyncLimits = field(default_factory=SyncLimits)
    serverless: ServerlessLimits = field(default_factory=ServerlessLimits)
    max_concurrent_requests: int | None = None
    """More requests than this at the same time are refused with 429/20429; ``None``: no such limit."""
    suspended: int | None = None
    """The account is suspended and every request is refused: 20003 (with 401), 20005 or 20403 (with 403)."""
    max_forked_tracks: int = 4
    """Tracks of one call that may be forked at the same time; a stream of both tracks uses two."""
    max_body_bytes: int = 1 << 20
    """A request body above this is refused with 413."""
    body_timeout: float = 10.0
    """Seconds in which a request body must have arrived."""

    def message_rate(self) -> Rate:
        """The rate of messages to one Sync stream under the chosen reading."""
        return Rate(self.sync.messages.per_second, burst_seconds=10) if self.lenient.message_burst else self.sync.messages
