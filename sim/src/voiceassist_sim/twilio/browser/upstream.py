"""A request that a client sends upstream through the socket, and its answer: the shapes, and the reading of one; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ..errors import TwilioError
from .packets import Packet
from .violations import Rule


class Improper(TwilioError):
    """A refusal of what the protocol does not allow at all: counted as a violation of ``rule``."""

    def __init__(self, rule: Rule, detail: str, *, status: int = 400, code: int = 20001) -> None:
        super().__init__(status, code, detail)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Upstream:
    """One request. ``id`` is what the reply repeats; ``path`` is as it came (percent-encoded); ``params`` are decoded."""

    id: str
    grant: str
    host: str
    path: str
    method: str
    params: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def segments(self) -> list[str]:
        """The path's parts, decoded."""
        return [unquote(part) for part in self.path.removeprefix("/").split("/")]

    @property
    def if_match(self) -> str | None:
        """The revision that a write expects."""
        return self.headers.get("If-Match")


@dataclass(frozen=True, slots=True)
class Downstream:
    """The answer: an HTTP status and a JSON body."""

    status: int
    body: Any = None


def read_upstream(packet: Packet) -> Upstream:
    """The request in a ``message`` packet; raises `Improper`."""
    asked = packet.header.get("http_request")
    grant = packet.header.get("active_grant")
    if not isinstance(grant, str) or not grant:
        raise Improper(Rule.NO_ACTIVE_GRANT, "message without active_grant")
    if not isinstance(asked, dict):
        raise Improper(Rule.BAD_REQUEST, "message without http_request")
    texts = {name: asked.get(name) for name in ("host", "path", "method")}
    if not all(isinstance(text, str) and text for text in texts.values()) or not str(texts["path"]).startswith("/"):
        raise Improper(Rule.BAD_REQUEST, "http_request needs host, path and method")
    params = asked.get("params") or {}
    headers = asked.get("headers") or {}
    if not isinstance(params, dict) or not isinstance(headers, dict):
        raise Improper(Rule.BAD_REQUEST, "http_request.params and .headers must be objects")
    return Upstream(
        id=packet.id,
        grant=grant,
        host=str(texts["host"]),
        path=str(texts["path"]),
        method=str(texts["method"]),
        params={str(name): _decoded(str(name), value) for name, value in params.items()},
        headers={str(name): str(value) for name, value in headers.items()},
        body=packet.payload,
    )


def _decoded(name: str, value: Any) -> str:
    if isinstance(value, list):
        raise Improper(Rule.UNKNOWN_PARAMETER, f"parameter {name[:40]!r} is given more than once")
    return unquote(str(value))
