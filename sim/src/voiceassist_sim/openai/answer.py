"""Decides what the model says: from what was heard, the instructions and the tools to output items cut into deltas. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .behaviour import AnswerStyle
from .conversation import Item
from .ledger import Turn
from .manner import Form, Manner
from .schema import Json

PREAMBLE: Final = "One moment, I am looking at what the customer said."
_SILENT_BELOW: Final = -60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What there is to tell the agent."""

    relevant: bool
    question: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One output item: a message (``tool`` None) or a call of a function, its text cut into deltas."""

    deltas: tuple[str, ...]
    tool: str | None = None
    phase: str | None = None

    @property
    def text(self) -> str:
        """The whole text or arguments."""
        return "".join(self.deltas)


def reply_to(items: Sequence[Item], manner: Manner) -> Reply:
    """Answer everything in a context that no completed response has answered yet.

    Known utterances give their question and answer, unknown audio its length and loudness (committed or in an item), a user's text (unless
    it is the agent's, with the prefix ``Agent:``) itself, unless the assistant's words follow it: those answered it in another session.
    Several are answered together, questions joined by `` / ``.
    """
    found: list[Reply] = []
    elsewhere = max((index for index, item in enumerate(items) if item.role == "assistant"), default=-1)
    for index, item in enumerate(items):
        if item.answered or item.role != "user":
            continue
        heard = item.turn or item.heard
        if heard is not None:
            found += _reply_to_turn(heard)
        elif item.text and not item.text.startswith("Agent:") and index > elsewhere:
            found.append(Reply(True, item.text[:200], f"Noted: {item.text[:200]}"))
    relevant = [reply for reply in found if reply.relevant]
    if not relevant:
        return Reply(False)
    answer = " ".join([" ".join(reply.answer for reply in relevant)] * manner.repeat)
    return Reply(True, " / ".join(reply.question for reply in relevant), f"{manner.prefix} {answer}" if manner.prefix else answer)


def _reply_to_turn(turn: Turn) -> list[Reply]:
    if turn.loudness < _SILENT_BELOW:
        return []
    if turn.heard.matches:
        return [Reply(match.utterance.relevant, match.utterance.question, match.utterance.answer) for match in turn.heard.matches]
    return [
        Reply(
            True,
            f"Unknown audio of {turn.spoken_length_ms} ms",
            f"Heard {turn.spoken_length_ms} ms of unknown audio at {turn.loudness:.1f} dBFS.",
        )
    ]


def tool_to_call(config: Json) -> Json | None:
    """The function that a response calls: the forced one, the first if one is required, ``suggest`` if it is there; else none."""
    functions: list[Json] = [tool for tool in config.get("tools") or [] if tool["type"] == "function"]
    chosen: Any = config.get("tool_choice", "auto")
    if chosen == "none" or not functions:
        return None
    if isinstance(chosen, dict):
        return next((tool for tool in functions if tool["name"] == chosen.get("name")), None)
    if chosen == "required":
        return functions[0]
    return next((tool for tool in functions if tool["name"] == "suggest"), None)


def arguments_for(tool: Json, reply: Reply) -> str:
    """The call's arguments as JSON, properties in the order in which the schema declares them."""
    schema: Json = tool.get("parameters") or {}
    properties: Json = schema.get("properties") or {}
    required = schema.get("required") or list(properties)
    arguments: Json = {}
    for name, declared in properties.items():
        if not reply.relevant and name != "relevant" and name not in required:
            continue
        arguments[name] = _value(name, declared if isinstance(declared, dict) else {}, reply)
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _value(name: str, declared: Json, reply: Reply) -> Any:
    if declared.get("enum"):
        return declared["enum"][0]
    kind = declared.get("type", "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match kind:
        case "boolean":
            return reply.relevant
        case "number" | "integer":
            return 1
        case "array":
            return []
        case "object":
            return {}
        case "null":
            return None
    return reply.question if name in ("question", "title", "topic") else reply.answer


def outputs(
    config: Json, reply: Reply, style: AnswerStyle, rng: random.Random, *, phase: bool = True, form: Form | None = None
) -> list[Output]:
    """The output items of a response with this configuration."""
    tool = tool_to_call(config)
    if tool is None or style is AnswerStyle.TEXT or form is Form.TEXT:
        text = reply.answer if reply.relevant else "Nothing to suggest."
        return [Output(_cut(text, rng) if style is not AnswerStyle.WHOLE else (text,))]
    arguments = f"You could say: {reply.answer}" if form is Form.PROSE else arguments_for(tool, reply)
    call = Output((arguments,) if style is AnswerStyle.WHOLE else _cut(arguments, rng), tool=tool["name"])
    if style is AnswerStyle.PREAMBLE:
        return [Output(_cut(PREAMBLE, rng), phase="commentary" if phase else None), call]
    return [call]


def _cut(text: str, rng: random.Random) -> tuple[str, ...]:
    """Cut a text into pieces of 3 to 8 characters."""
    pieces = []
    at = 0
    while at < len(text):
        size = rng.randint(3, 8)
        pieces.append(text[at : at + size])
        at += size
    return tuple(pieces)
