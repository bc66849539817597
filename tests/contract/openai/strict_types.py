"""Checks Realtime events against the types of the ``openai`` package, recursively and with every undeclared key refused.

The package itself parses leniently: unknown keys are kept, wrong values passed on. Here its models are walked as a schema instead.
``check_client_event`` is meant for what the relay sends, ``check_server_event`` for what a stand-in sends; both return one line for each
thing that is wrong, an empty list if all is well. Import it as ``contract.openai.strict_types``.

What the types lack although the vendor has it is allowed by name: ``item_reference`` in ``response.create`` (client), ``id``, ``object``
and ``expires_at`` of a session, ``obfuscation`` of a delta, and ``phase`` of an item (server).
"""

from __future__ import annotations

import collections.abc
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from openai.types.realtime import (
    RealtimeResponseCreateParams,
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
)
from openai.types.realtime.conversation_item import ConversationItem
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_conversation_item_assistant_message import RealtimeConversationItemAssistantMessage
from openai.types.realtime.realtime_conversation_item_function_call import RealtimeConversationItemFunctionCall
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from openai.types.realtime.response_item_reference import ResponseItemReference
from pydantic import BaseModel

_SESSION_EXTRAS = {"id": str, "object": str, "expires_at": int}
_SERVER_EXTRAS: dict[type, dict[str, Any]] = {
    RealtimeSessionCreateRequest: _SESSION_EXTRAS,
    RealtimeTranscriptionSessionCreateRequest: _SESSION_EXTRAS,
    RealtimeConversationItemAssistantMessage: {"phase": Literal["commentary", "final_answer"]},
    RealtimeConversationItemFunctionCall: {"phase": Literal["commentary", "final_answer"]},
}
_CLIENT_OVERRIDES: dict[tuple[type, str], Any] = {
    (RealtimeResponseCreateParams, "input"): list[ConversationItem | ResponseItemReference] | None,
}


def check_client_event(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event that a client sends; empty if nothing is."""
    return _Walk({}, _CLIENT_OVERRIDES).check(event, RealtimeClientEvent, "")


def check_server_event(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event that a server sends; empty if nothing is."""
    extras = dict(_SERVER_EXTRAS)
    if str(event.get("type", "")).endswith(".delta"):
        extras |= {alternative: {"obfuscation": str} for alternative in _alternatives(RealtimeServerEvent)}
    return _Walk(extras, {}).check(event, RealtimeServerEvent, "")


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, through aliases and Annotated."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _alternatives(member)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _name(value: Any) -> str:
    return "null" if value is None else type(value).__name__


class _Walk:
    def __init__(self, extras: dict[type, dict[str, Any]], overrides: dict[tuple[type, str], Any]) -> None:
        self._extras = extras
        self._overrides = overrides

    def check(self, value: Any, annotation: Any, path: str) -> list[str]:
        alternatives = _alternatives(annotation)
        if len(alternatives) == 1:
            return self._one(value, alternatives[0], path)
        if isinstance(value, dict):
            models = [each for each in alternatives if _is_model(each)]
            fitting = [model for model in models if _tags_fit(value, model)]
            if models and not fitting and "type" in value:
                return [f"{path or '(event)'}: none of {len(models)} declared types has {_tags(value)}"]
            if fitting:
                alternatives = fitting
        results = [self._one(value, each, path) for each in alternatives]
        return min(results, key=len)

    def _one(self, value: Any, annotation: Any, path: str) -> list[str]:
        origin = get_origin(annotation)
        place = path or "(event)"
        if annotation is Any or annotation is object:
            return []
        if annotation is type(None):
            return [] if value is None else [f"{place}: null expected, not {_name(value)}"]
        if origin is Literal:
            allowed = get_args(annotation)
            if any(value == each and type(value) is type(each) for each in allowed):
                return []
            return [f"{place}: {value!r} is none of {', '.join(map(repr, allowed))}"]
        if _is_model(annotation):
            return self._model(value, annotation, path)
        if origin in (list, collections.abc.Iterable, collections.abc.Sequence):
            if not isinstance(value, list):
                return [f"{place}: a list expected, not {_name(value)}"]
            (inner,) = get_args(annotation)
            return [problem for index, element in enumerate(value) for problem in self.check(element, inner, f"{path}[{index}]")]
        if origin is dict:
            if not isinstance(value, dict):
                return [f"{place}: an object expected, not {_name(value)}"]
            inner = get_args(annotation)[1]
            return [problem for key, element in value.items() for problem in self.check(element, inner, f"{path}.{key}")]
        if annotation is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        elif annotation in (str, int, bool):
            fits = type(value) is annotation
        else:
            raise TypeError(f"{place}: this checker does not know the type {annotation!r}")
        return [] if fits else [f"{place}: {annotation.__name__} expected, not {_name(value)}"]

    def _model(self, value: Any, model: type[BaseModel], path: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{path or '(event)'}: an object expected, not {_name(value)}"]
        prefix = f"{path}." if path else ""
        fields = {info.alias or name: (name, info) for name, info in model.model_fields.items()}
        extras = self._extras.get(model, {})
        problems = []
        for key, element in value.items():
            if key in fields:
                name, info = fields[key]
                annotation = self._overrides.get((model, name), info.annotation)
                problems += self.check(element, annotation, f"{prefix}{key}")
            elif key in extras:
                problems += self.check(element, extras[key], f"{prefix}{key}")
            else:
                problems.append(f"{prefix}{key}: not declared by {model.__name__}")
        problems += [f"{prefix}{key}: missing" for key, (_, info) in fields.items() if info.is_required() and key not in value]
        return problems


def _tags_fit(value: dict[str, Any], model: type[BaseModel]) -> bool:
    """Whether the fields of a model that can have only one value have it."""
    for name in ("type", "role"):
        info = model.model_fields.get(name)
        if info is None:
            continue
        allowed = [each for inner in _alternatives(info.annotation) if get_origin(inner) is Literal for each in get_args(inner)]
        if allowed and not any(inner is str for inner in _alternatives(info.annotation)) and value.get(name) not in allowed:
            return False
    return True


def _tags(value: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value[name]!r}" for name in ("type", "role") if name in value) or "no tag"
