"""Small checks from which the tables of what a client may send are built; each refusal has the vendor's code, message and parameter path.

A check is called with the value, the path to it (``session.audio.input.format``) and whether nulls count as left out; it raises
:class:`Refused` or returns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Json = dict[str, Any]
Check = Callable[[Any, str, bool], None]

UNKNOWN: Final = "unknown_parameter"
INVALID: Final = "invalid_value"
MISSING: Final = "missing_required_parameter"


class Refused(Exception):
    """A client event that the vendor answers with an ``error`` event.

    ``code`` is one of the coarse codes of the reference; ``fine`` is the finer code that the vendor's other services use for the same case
    (``invalid_type``, ``integer_above_max_value`` …) and is sent instead where the behaviour asks for it.
    """

    def __init__(self, code: str, message: str, param: str | None = None, *, fine: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.fine = fine or code
        self.type = "invalid_request_error"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"


def wrong_type(path: str, wanted: str, value: object) -> Refused:
    """The refusal of a value of another JSON type."""
    return Refused(INVALID, f"Invalid type for '{path}': expected {wanted}, but got {_kind(value)} instead.", path, fine="invalid_type")


def unsupported_value(path: str, value: object, allowed: Sequence[object]) -> Refused:
    """The refusal of a value that is not in a closed list."""
    names = [f"'{name}'" for name in allowed]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])}{',' if len(names) > 2 else ''} and {names[-1]}"
    return Refused(INVALID, f"Invalid value: '{value}'. Supported values are: {listed}.", path)


def text(longest: int | None = None, *, pattern: str | None = None, empty: bool = True) -> Check:
    """A string of at most ``longest`` characters. Raises Refused."""
    compiled = re.compile(pattern) if pattern else None

    def check(value: Any, path: str, _lenient: bool) -> None:
        if not isinstance(value, str):
            raise wrong_type(path, "a string", value)
        if longest is not None and len(value) > longest:
            raise Refused(
                INVALID,
                f"Invalid '{path}': string too long. Expected a string with maximum length {longest}, "
                f"but got a string with length {len(value)} instead.",
                path,
                fine="string_above_max_length",
            )
        if not empty and not value:
            raise Refused(
                INVALID,
                f"Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
                path,
                fine="empty_string",
            )
        if compiled is not None and not compiled.fullmatch(value):
            raise Refused(
                INVALID,
                f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{pattern}'.",
                path,
            )

    return check


def choice(*allowed: str) -> Check:
    """One of some strings."""

    def check(value: Any, path: str, _lenient: bool) -> None:
        if not isinstance(value, str):
            raise wrong_type(path, f"one of {', '.join(repr(name) for name in allowed)}", value)
        if value not in allowed:
            raise unsupported_value(path, value, allowed)

    return check


def boolean() -> Check:
    """true or false."""

    def check(value: Any, path: str, _lenient: bool) -> None:
        if not isinstance(value, bool):
            raise wrong_type(path, "a boolean", value)

    return check


def _bounded(value: float, path: str, low: float | None, high: float | None, noun: str) -> None:
    if low is not None and value < low:
        raise Refused(
            INVALID,
            f"Invalid '{path}': {noun} below minimum value. Expected a value >= {low}, but got {value} instead.",
            path,
            fine=f"{noun}_below_min_value",
        )
    if high is not None and value > high:
        raise Refused(
            INVALID,
            f"Invalid '{path}': {noun} above maximum value. Expected a value <= {high}, but got {value} instead.",
            path,
            fine=f"{noun}_above_max_value",
        )


def integer(low: int | None = None, high: int | None = None) -> Check:
    """A whole number within bounds."""

    def check(value: Any, path: str, _lenient: bool) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(path, "an integer", value)
        _bounded(value, path, low, high, "integer")

    return check


def number(low: float | None = None, high: float | None = None) -> Check:
    """A number within bounds."""

    def check(value: Any, path: str, _lenient: bool) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(path, "a decimal", value)
        _bounded(value, path, low, high, "decimal")

    return check


def nullable(inner: Check) -> Check:
    """What ``inner`` takes, or null."""

    def check(value: Any, path: str, lenient: bool) -> None:
        if value is not None:
            inner(value, path, lenient)

    return check


def array(inner: Check, longest: int | None = None) -> Check:
    """A list, each element as ``inner`` takes it. Raises Refused."""

    def check(value: Any, path: str, lenient: bool) -> None:
        if not isinstance(value, list):
            raise wrong_type(path, "an array", value)
        if longest is not None and len(value) > longest:
            raise Refused(
                INVALID,
                f"Invalid '{path}': array too long. Expected an array with maximum length {longest}, "
                f"but got an array with length {len(value)} instead.",
                path,
                fine="array_above_max_length",
            )
        for index, element in enumerate(value):
            inner(element, f"{path}[{index}]", lenient)

    return check


def mapping(inner: Check, most: int | None = None, longest_key: int | None = None) -> Check:
    """An object with free keys, each value as ``inner`` takes it. Raises Refused."""

    def check(value: Any, path: str, lenient: bool) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        if most is not None and len(value) > most:
            raise Refused(
                INVALID,
                f"Invalid '{path}': too many properties. Expected an object with at most {most} properties, "
                f"but got an object with {len(value)} properties instead.",
                path,
                fine="object_above_max_properties",
            )
        for key, element in value.items():
            if longest_key is not None and len(key) > longest_key:
                raise Refused(
                    INVALID,
                    f"Invalid property name in '{path}': '{key[:80]}' is too long. Expected at most {longest_key} characters.",
                    path,
                    fine="property_name_above_max_length",
                )
            inner(element, f"{path}.{key}", lenient)

    return check


def anything() -> Check:
    """Any JSON value."""

    def check(_value: Any, _path: str, _lenient: bool) -> None:
        return

    return check


def record(fields: Mapping[str, Check], required: Sequence[str] = ()) -> Check:
    """An object with these fields and no other."""

    def check(value: Any, path: str, lenient: bool) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        _fields(value, path, fields, required, lenient)

    return check


def _fields(value: Json, path: str, fields: Mapping[str, Check], required: Sequence[str], lenient: bool) -> None:
    prefix = f"{path}." if path else ""
    for name in value:
        if name not in fields:
            raise Refused(UNKNOWN, f"Unknown parameter: '{prefix}{name}'.", f"{prefix}{name}")
    for name in required:
        if name not in value or (lenient and value[name] is None):
            raise Refused(MISSING, f"Missing required parameter: '{prefix}{name}'.", f"{prefix}{name}")
    for name, element in value.items():
        if element is None and lenient:
            continue
        fields[name](element, f"{prefix}{name}", lenient)


def tagged(tag: str, variants: Mapping[str, tuple[Mapping[str, Check], Sequence[str]] | Check]) -> Check:
    """An object whose field ``tag`` says which fields it has; a variant is (fields, required names) or a check of its own.

    Raises Refused.
    """

    def check(value: Any, path: str, lenient: bool) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        prefix = f"{path}." if path else ""
        if tag not in value:
            raise Refused(MISSING, f"Missing required parameter: '{prefix}{tag}'.", f"{prefix}{tag}")
        name = value[tag]
        if not isinstance(name, str):
            raise wrong_type(f"{prefix}{tag}", "a string", name)
        variant = variants.get(name)
        if variant is None:
            raise unsupported_value(f"{prefix}{tag}", name, list(variants))
        if callable(variant):
            variant(value, path, lenient)
        else:
            _fields(value, path, {**variant[0], tag: text()}, variant[1], lenient)

    return check


def word_or(words: Sequence[str], inner: Check) -> Check:
    """One of some strings, or what ``inner`` takes."""

    def check(value: Any, path: str, lenient: bool) -> None:
        if isinstance(value, str):
            if value not in words:
                raise unsupported_value(path, value, words)
        elif isinstance(value, dict):
            inner(value, path, lenient)
        else:
            raise wrong_type(path, f"one of {', '.join(repr(word) for word in words)} or an object", value)

    return check
