"""Reads request bodies and the typed fields in them: integers, booleans, JSON, enumerations; every refusal names the field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from .api import Route
from .errors import TwilioError, bad_parameter

_TRUE = frozenset({"true", "True", "TRUE", "1"})
_FALSE = frozenset({"false", "False", "FALSE", "0"})


def parse_form(body: bytes, content_type: str, route: Route, *, ignore_unknown: bool) -> dict[str, str]:
    """The fields of a form body; 400/20001 for another content type, bad UTF-8, a field given twice, or one the operation does not take."""
    if not body and not content_type:
        return {}
    if content_type != "application/x-www-form-urlencoded":
        raise bad_parameter(f"Content-Type must be application/x-www-form-urlencoded, not {content_type or 'absent'}")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise bad_parameter("The body is not valid form data in UTF-8") from error
    form: dict[str, str] = {}
    for name, value in pairs:
        if not route.takes(name):
            if ignore_unknown:
                continue
            raise bad_parameter(f"Unknown parameter {name[:80]!r}")
        if name in form and name not in route.repeated:
            raise bad_parameter(f"Parameter {name!r} is given more than once")
        form[name] = value
    return form


def parse_lists(body: bytes, route: Route) -> dict[str, tuple[str, ...]]:
    """The array fields of a form body that `parse_form` found good, in the order in which they came."""
    lists: dict[str, tuple[str, ...]] = {}
    for name, value in parse_qsl(body.decode("utf-8"), keep_blank_values=True) if route.repeated else ():
        if name in route.repeated:
            lists[name] = (*lists.get(name, ()), value)
    return lists


def parse_json(body: bytes, content_type: str) -> Any:
    """A JSON body; 400/20001 for another content type or for what is not JSON."""
    if content_type != "application/json":
        raise bad_parameter(f"Content-Type must be application/json, not {content_type or 'absent'}")
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_parameter("The body is not valid JSON") from error


def integer(form: Mapping[str, str], name: str, *, low: int, high: int, error: TwilioError | None = None) -> int | None:
    """An integer field within bounds, ``None`` if absent; the refusal is ``error`` or 400/20001."""
    text = form.get(name)
    if text is None:
        return None
    try:
        value = int(text) if text.isascii() else None
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise error or bad_parameter(f"{name} must be an integer between {low} and {high}, not {text[:40]!r}")
    return value


def boolean(form: Mapping[str, str], name: str) -> bool | None:
    """A boolean field, ``None`` if absent."""
    text = form.get(name)
    if text is None:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise bad_parameter(f"{name} must be true or false, not {text[:40]!r}")


def choice(form: Mapping[str, str], name: str, allowed: Iterable[str]) -> str | None:
    """A field with a closed set of values, ``None`` if absent."""
    text = form.get(name)
    options = list(allowed)
    if text is not None and text not in options:
        raise bad_parameter(f"{name} must be one of {', '.join(options)}, not {text[:40]!r}")
    return text


def text(form: Mapping[str, str], name: str, most: int, *, needed: bool = False) -> str | None:
    """A text field of at most so many characters; it must be there and not be empty if it is ``needed``."""
    value = required(form, name) if needed else form.get(name)
    if value is not None and len(value) > most:
        raise bad_parameter(f"{name} may have {most} characters, not {len(value)}")
    return value


def required(form: Mapping[str, str], name: str) -> str:
    """A field that must be there and not be empty."""
    text = form.get(name)
    if not text:
        raise bad_parameter(f"Missing required parameter {name}")
    return text


def loads_strict(text: str) -> Any:
    """JSON without the constants (NaN, Infinity) that Python's reader adds to it; raises ValueError."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)
