"""The CRD's own rules, for a file that no API server has seen: its schema, its defaults and its CEL rules. Pure."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import celpy
import jsonschema
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

Schema = Mapping[str, Any]


def _has_value(old: object) -> celtypes.BoolType:
    """CEL's `hasValue()` of an optional `oldSelf`: an object that is not there yet has none."""
    return celtypes.BoolType(old is not None)


def _value(old: celtypes.Value) -> celtypes.Value:
    """CEL's `value()` of an optional `oldSelf`; asked for only where it has one."""
    return old


def _is_sorted(values: object) -> celtypes.BoolType:
    """CEL's `isSorted()` of a list, which Kubernetes adds."""
    assert isinstance(values, list)  # noqa: S101 - the API server refuses a rule that asks it of anything else
    return celtypes.BoolType(all(a <= b for a, b in pairwise(values)))


_CEL = celpy.Environment()


def problems(body: Mapping[str, Any], crd: Mapping[str, Any]) -> list[str]:
    """Returns what the API server would refuse about a new object, as `spec.field: what is wrong`; empty where it would take it.

    What `kubectl apply` refuses by itself, fields that the schema does not have, is among it. `body` is not changed.
    """
    [version] = [one for one in crd["spec"]["versions"] if one["storage"]]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    made = {"metadata": {}, **copy.deepcopy(dict(body))}
    _set_defaults(made, schema)
    found = [f"{_path(error.absolute_path)}: {error.message}" for error in jsonschema.Draft4Validator(schema).iter_errors(made)]
    found += [f"{path}: there is no such field" for path in _undeclared(made, schema, "")]
    # The API server evaluates rules only where the schema itself is satisfied.
    return found or list(_broken_rules(made, schema, ""))


def _path(parts: Any) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the object"


def _set_defaults(value: Any, schema: Schema) -> None:
    for name, part in (schema.get("properties") or {}).items():
        if isinstance(value, dict):
            if name not in value and "default" in part:
                value[name] = copy.deepcopy(part["default"])
            if name in value:
                _set_defaults(value[name], part)
    for each, part in _elements(value, schema):
        _set_defaults(each, part)


def _elements(value: Any, schema: Schema) -> Iterator[tuple[Any, Schema]]:
    """What is in an array, or in an object of free keys."""
    items, more = schema.get("items"), schema.get("additionalProperties")
    if isinstance(value, list) and isinstance(items, Mapping):
        yield from ((each, items) for each in value)
    if isinstance(value, dict) and isinstance(more, Mapping):
        yield from ((each, more) for each in value.values())


def _parts(value: Any, schema: Schema, path: str) -> Iterator[tuple[Any, Schema, str]]:
    """What is in a value, with its schema and its path."""
    if isinstance(value, dict):
        known, more = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, each in value.items():
            part = known.get(name, more)
            if isinstance(part, Mapping):
                yield each, part, f"{path}.{name}" if path else name
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for number, each in enumerate(value):
            yield each, schema["items"], f"{path}[{number}]"


def _undeclared(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if schema.get("x-kubernetes-preserve-unknown-fields") or path == "metadata":
        return
    if isinstance(value, dict) and "properties" in schema:
        yield from (f"{path}.{name}" if path else name for name in value if name not in schema["properties"])
    for each, part, where in _parts(value, schema, path):
        yield from _undeclared(each, part, where)


def _broken_rules(value: Any, schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations") or []:
        text = rule["rule"]
        if "oldSelf" in text and not rule.get("optionalOldSelf"):
            continue  # it is about changes
        if not _holds(text, value):
            yield f"{path + rule.get('fieldPath', '') if path else 'the object'}: {rule['message']}"
    for each, part, where in _parts(value, schema, path):
        yield from _broken_rules(each, part, where)


@functools.cache
def _program(rule: str) -> celpy.Runner:
    return _CEL.program(_CEL.compile(rule), functions={"hasValue": _has_value, "value": _value, "isSorted": _is_sorted})


def _holds(rule: str, value: Any) -> bool:
    try:
        return bool(_program(rule).evaluate({"self": json_to_cel(value), "oldSelf": None}))
    except CELEvalError:
        return False  # as the API server refuses what a rule cannot be evaluated for
