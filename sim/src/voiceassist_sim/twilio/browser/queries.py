"""The query language of Flex's live queries, as far as its UI uses it: comparisons of fields, and, or, not, brackets; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import TwilioError

Row = Mapping[str, Any]
Test = Callable[[Row], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>==|!=|>=|<=|>|<|&&|\|\||[()\[\],])|(?P<word>[^\s()\[\],=!<>&|"']+))"""
)
_LONGEST: Final = 20_000


def compile_query(text: str) -> Test:
    """Whether a row is meant (fields are named with or without ``data.`` before them); an empty query means all. Raises 400/54507."""
    if len(text) > _LONGEST:
        raise _refuse()
    tokens = _tokens(text)
    if not tokens:
        return lambda _: True
    try:
        test, rest = _either(tokens)
    except RecursionError:
        raise _refuse() from None
    if rest:
        raise _refuse()
    return test


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise _refuse()
        tokens.append(found[0].strip())
        at = found.end()
    return tokens


def _either(tokens: list[str]) -> tuple[Test, list[str]]:
    first, rest = _all(tokens)
    tests = [first]
    while rest and rest[0].lower() in ("or", "||"):
        test, rest = _all(rest[1:])
        tests.append(test)
    return (lambda row: any(test(row) for test in tests)), rest


def _all(tokens: list[str]) -> tuple[Test, list[str]]:
    first, rest = _one(tokens)
    tests = [first]
    while rest and rest[0].lower() in ("and", "&&"):
        test, rest = _one(rest[1:])
        tests.append(test)
    return (lambda row: all(test(row) for test in tests)), rest


def _one(tokens: list[str]) -> tuple[Test, list[str]]:
    if tokens and tokens[0] == "(":
        test, rest = _either(tokens[1:])
        if not rest or rest[0] != ")":
            raise _refuse()
        return test, rest[1:]
    if tokens and tokens[0].lower() == "not":
        inner, rest = _one(tokens[1:])
        return (lambda row: not inner(row)), rest
    if len(tokens) < 3:
        raise _refuse()
    name, sign, rest = tokens[0], tokens[1].lower(), tokens[2:]
    if rest[0].lower() == "in" and sign == "not":
        sign, rest = "not_in", rest[1:]
    wanted: Any
    if rest and rest[0] == "[":
        if "]" not in rest:
            raise _refuse()
        end = rest.index("]")
        wanted, rest = [_value(one) for one in rest[1:end] if one != ","], rest[end + 1 :]
    else:
        wanted, rest = _value(rest[0]), rest[1:]
    return _comparison(name, sign, wanted), rest


def _comparison(name: str, sign: str, wanted: Any) -> Test:
    signs: Mapping[str, Callable[[Any], bool]] = {
        "==": lambda held: bool(held == wanted),
        "eq": lambda held: bool(held == wanted),
        "!=": lambda held: bool(held != wanted),
        "not_eq": lambda held: bool(held != wanted),
        "in": lambda held: held in wanted,
        "not_in": lambda held: held not in wanted,
        "contains": lambda held: isinstance(held, str) and str(wanted).lower() in held.lower(),
        "has": lambda held: isinstance(held, list) and wanted in held,
        ">": lambda held: held is not None and held > wanted,
        "<": lambda held: held is not None and held < wanted,
        ">=": lambda held: held is not None and held >= wanted,
        "<=": lambda held: held is not None and held <= wanted,
    }
    if sign not in signs:
        raise _refuse()
    test = signs[sign]
    parts = name.removeprefix("data.").split(".")

    def compare(row: Row) -> bool:
        held: Any = row
        for part in parts:
            held = held.get(part) if isinstance(held, Mapping) else None
        try:
            return test(held)
        except TypeError:
            return False

    return compare


def _value(token: str) -> Any:
    if token[:1] in ("'", '"'):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token.lower() in ("true", "false"):
        return token.lower() == "true"
    try:
        return float(token) if "." in token else int(token)
    except ValueError:
        raise _refuse() from None


def _refuse() -> TwilioError:
    return TwilioError(400, 54507, "Invalid query")
