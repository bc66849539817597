"""The shape of a request and its answer inside the stand-in, and the table that leads from a path to what serves it; no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from .errors import method_not_allowed, not_found


class Body(StrEnum):
    """What a route reads from the request's body."""

    NONE = "none"
    FORM = "form"
    JSON = "json"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body; ``filename`` and ``content_type`` as they were given, ``None`` if absent."""

    content: bytes
    filename: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One authenticated request. ``path`` is the path as at Twilio; ``base_url`` is what stands before it in absolute links.

    ``now`` is seconds since the epoch.
    """

    method: str
    path: str
    base_url: str
    now: float
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    json: Any = None
    if_match: str | None = None

    def url(self, path: str) -> str:
        """The absolute URL of a resource at ``path``."""
        return f"{self.base_url}{path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; ``body`` ``None`` is an answer without body (204)."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[ApiRequest], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: ``template`` as in the vendor's specification, and the form fields that it takes."""

    method: str
    template: str
    handler: Handler
    body: Body = Body.NONE
    fields: frozenset[str] = frozenset()
    field_pattern: re.Pattern[str] | None = None
    repeated: frozenset[str] = frozenset()
    """Those of the fields that may be given more than once: arrays."""

    def takes(self, name: str) -> bool:
        """Whether ``name`` is a form field of this operation."""
        return name in self.fields or name in self.repeated or bool(self.field_pattern and self.field_pattern.fullmatch(name))


class Router:
    """The operations of one product."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._patterns = [(_pattern(route.template), route) for route in self.routes]

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The operation and the values in its path (percent-decoded); raises 404/20404 or 405/20004."""
        known_path = False
        for pattern, route in self._patterns:
            match = pattern.fullmatch(raw_path)
            if match is None:
                continue
            if route.method == method:
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
            known_path = True
        raise method_not_allowed(method) if known_path else not_found(unquote(raw_path))


def route(method: str, template: str, handler: Handler, *form_fields: str) -> Route:
    """A route that reads a form when it is a POST, and nothing otherwise."""
    return Route(method, template, handler, Body.FORM if method == "POST" else Body.NONE, frozenset(form_fields))


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", template)
    return re.compile("".join(f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else re.escape(part) for part in parts))
