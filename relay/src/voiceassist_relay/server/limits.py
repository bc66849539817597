"""The bounds on what a client may send to an HTTP port, how long it may take, and how many may come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one port. Times in seconds, sizes in bytes as they come over the wire."""

    head_bytes: int = 16_384
    """Request line and headers together."""
    head_seconds: float = 10.0
    """From the connection, or from the first byte of a later request, to the last byte of the head."""
    body_bytes: int = 65_536
    """The body; what chunked framing adds may be as much again."""
    body_seconds: float = 10.0
    """From the end of the head to the end of the body."""
    connections: int = 2_000
    """All that are open at once, calls included. One more takes the place of the one that has been without a whole request for the
    longest time; where there is none such, it is closed at once."""
    keep_alive_seconds: int = 4_000
    """Between requests. Longer than whatever stands before us keeps its side, so that it is never us who close under a request: 60 s in
    nginx, 90 s in Traefik, 600 s at Google's load balancers, and an AWS balancer's idle time-out, at most 4000 s of which the operator
    asks for 3600. Sockets that are only held open give way to others (`connections`)."""
    stall_seconds: float = 30.0
    """How long the peer's machine may leave bytes of ours unacknowledged, or keepalive probes unanswered."""


class HttpRefusal(StrEnum):
    """Why a request or connection was turned away before the application saw it."""

    CONNECTIONS = "connections"
    DISPLACED = "displaced"
    HEAD_TOO_BIG = "head_too_big"
    HEAD_TIMEOUT = "head_timeout"
    BODY_TOO_BIG = "body_too_big"
    BODY_TIMEOUT = "body_timeout"
    MALFORMED = "malformed"
    PROXY_PROTOCOL = "proxy_protocol"
    PIPELINED = "pipelined"
