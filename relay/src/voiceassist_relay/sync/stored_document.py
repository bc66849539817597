"""A call's Document on the wire (pure): read leniently whatever version wrote it, written without what is at its default.

What this version does not know is kept when the Document is written again. A state that it does not know means hands off: a newer
relay is doing something to the call that we cannot judge, so nothing of it is written, restarted, stopped or ended here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import stream_name

_STATES = frozenset(state.value for state in CallState)
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class UnknownState:
    """The Document is in a state of a later version."""

    state: str
    generation: int | None
    """None where that cannot be read either."""


def read_document(call_sid: str, data: Mapping[str, Any]) -> CallDocument | UnknownState:
    """The Document that `data` (JSON values) is. Fields that are not known stay in it.

    One that was damaged counts as lost, so that it never stands in the way of a later start; what of it can be read is kept:
    generation, numbers and names go on from there.
    """
    state = data.get("state")
    if isinstance(state, str) and state not in _STATES:
        generation = data.get("generation")
        return UnknownState(state[:_SHOWN], generation if _counts(generation) else None)
    try:
        return CallDocument.model_validate(data, extra="allow")
    except ValidationError as error:
        broken = {finding["loc"][0] for finding in error.errors(include_url=False, include_context=False, include_input=False)}
    whole = {name: value for name, value in data.items() if name not in broken}
    generation = whole.get("generation", 1)
    lost = {
        "generation": generation,
        "streamName": stream_name(call_sid, generation),
        "syncStream": "",
        "deadline": 0,
        "worker": "",
        "identity": "",
    }
    return CallDocument.model_validate({**lost, **whole, "state": CallState.LOST}, extra="allow")


def unknown_fields(document: CallDocument) -> tuple[str, ...]:
    """Names of the fields that a later version has written into it."""
    return tuple(document.model_extra or ())


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
