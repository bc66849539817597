"""One response as it is written: its events in the vendor's order, cut short by a cancel or a token limit. Pure: the caller waits."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .answer import Output
from .conversation import Item
from .ids import Ids
from .ledger import Response
from .schema import Json
from .tokens import text_tokens

Step = tuple[list[Json], int | None]
"""Events to send now, and the milliseconds until the next step (None: the response is over)."""


@dataclass(slots=True)
class Failure:
    """Why a response fails."""

    code: str
    message: str
    type: str = "invalid_request_error"


@dataclass(slots=True)
class ResponsePlan:
    """Everything that a response is made of."""

    record: Response
    config: Json
    """Effective fields: output_modalities, max_output_tokens, audio …"""
    outputs: Sequence[Output]
    failure: Failure | None
    conversation_id: str | None
    """None for an out-of-band response."""
    usage_of: Callable[[int], Json]
    """Output tokens to usage."""
    add_item: Callable[[Item], str | None]
    """Puts an output item into the conversation; the id of the one before it."""
    opening: list[Json] = field(default_factory=list)
    """Events that follow ``response.created`` at once (rate limits)."""
    first_token_ms: int = 0
    delta_ms: int = 0
    reasoning_tokens: int = 0
    """Tokens spent before the output."""
    item_ids: Sequence[str] = ()
    """Ids that the output items are to have (a fault), else new ones."""


class ResponseRun:
    """A response that is being written. Call :meth:`step` first, then again after each wait, until the wait is None."""

    def __init__(self, plan: ResponsePlan, ids: Ids) -> None:
        self._plan = plan
        self._ids = ids
        self._items: list[Item] = []
        self._tokens = plan.reasoning_tokens
        self._steps = self._write()
        self.record = plan.record
        self.over = False

    @property
    def in_conversation(self) -> bool:
        """Whether it writes to the default conversation."""
        return self._plan.conversation_id is not None

    def step(self) -> Step:
        """The next events."""
        if self.over:
            return [], None
        events, wait = next(self._steps)
        self.over = wait is None
        return events, wait

    def cancel(self, reason: str) -> list[Json]:
        """Cut it short (``client_cancelled`` or ``turn_detected``); the events that end it."""
        self.record.status, self.record.reason = "cancelled", reason
        events: list[Json] = []
        while not self.over:
            events += self.step()[0]
        return events

    def _write(self) -> Iterator[Step]:
        plan, record = self._plan, self.record
        yield [{"type": "response.created", "response": self._render()}, *plan.opening], plan.first_token_ms
        if plan.failure is not None and record.status == "in_progress":
            record.status, record.error = "failed", plan.failure.code
        for index, output in enumerate(plan.outputs if plan.failure is None else ()):
            if record.status != "in_progress":
                break
            yield from self._write_item(index, output)
        if record.status == "in_progress":
            record.status = "completed"
        record.usage = plan.usage_of(self._tokens)
        yield [{"type": "response.done", "response": self._render(final=True)}], None

    def _write_item(self, index: int, output: Output) -> Iterator[Step]:
        plan, record = self._plan, self.record
        item_id = plan.item_ids[index] if index < len(plan.item_ids) else self._ids.new("item")
        item = Item(item_id, {}, status="in_progress", answered=True)
        if output.tool is not None:
            item.data = {"type": "function_call", "name": output.tool, "call_id": self._ids.new("call"), "arguments": ""}
        else:
            item.data = {"type": "message", "role": "assistant", "content": []}
        if output.phase is not None:
            item.extra["phase"] = output.phase
        self._items.append(item)
        record.output_items.append(item_id)
        voice = output.tool is None and plan.config["output_modalities"] == ["audio"]
        part = _Part(record.id, item, index, voice)
        events = [{"type": "response.output_item.added", "response_id": record.id, "output_index": index, "item": item.render()}]
        if self.in_conversation:
            before = plan.add_item(item)
            events.append({"type": "conversation.item.added", "previous_item_id": before, "item": item.render()})
        else:
            before = None
        events += part.opening()
        limit = plan.config.get("max_output_tokens", "inf")
        spent = self._tokens
        written = ""
        for piece in output.deltas:
            delta = piece
            if limit != "inf" and spent + text_tokens(written + piece) > limit:
                delta = piece[: max(0, (limit - spent) * 4 - len(written))]
                record.status, record.reason = "incomplete", "max_output_tokens"
            if delta:
                written += delta
                record.deltas += 1
                yield [*events, *part.delta(delta)], plan.delta_ms
                events = []
            if record.status != "in_progress":
                break
        self._tokens = spent + text_tokens(written)
        if output.tool is not None:
            record.arguments += written
        else:
            record.text += written
        item.status = "completed" if record.status == "in_progress" else "incomplete"
        events += part.closing(written)
        events.append({"type": "response.output_item.done", "response_id": record.id, "output_index": index, "item": item.render()})
        if self.in_conversation:
            events.append({"type": "conversation.item.done", "previous_item_id": before, "item": item.render()})
        yield events, 0

    def _render(self, *, final: bool = False) -> Json:
        plan, record = self._plan, self.record
        details: Json | None = None
        if final and record.status == "failed" and plan.failure is not None:
            failure = plan.failure
            details = {"type": "failed", "error": {"type": failure.type, "code": failure.code, "message": failure.message}}
        elif final and record.reason is not None:
            details = {"type": record.status, "reason": record.reason}
        return {
            "object": "realtime.response",
            "id": record.id,
            "status": record.status if final else "in_progress",
            "status_details": details,
            "output": [item.render() for item in self._items] if final else [],
            "conversation_id": plan.conversation_id,
            "output_modalities": plan.config["output_modalities"],
            "max_output_tokens": plan.config.get("max_output_tokens", "inf"),
            "audio": {"output": {name: plan.config["audio"]["output"][name] for name in ("format", "voice")}},
            "usage": record.usage if final else None,
            "metadata": record.metadata,
        }


class _Part:
    """The events of one item's content: text, spoken text, or a call's arguments."""

    def __init__(self, response_id: str, item: Item, output_index: int, voice: bool) -> None:
        self._item = item
        self._voice = voice
        self._call = item.type == "function_call"
        self._place: Json = {"response_id": response_id, "item_id": item.id, "output_index": output_index}
        if not self._call:
            self._place["content_index"] = 0

    def _part(self, text: str) -> Json:
        return {"type": "audio", "transcript": text} if self._voice else {"type": "text", "text": text}

    def opening(self) -> list[Json]:
        if self._call:
            return []
        return [{"type": "response.content_part.added", **self._place, "part": self._part("")}]

    def delta(self, delta: str) -> list[Json]:
        if self._call:
            call = {"call_id": self._item.data["call_id"]}
            return [{"type": "response.function_call_arguments.delta", **self._place, **call, "delta": delta}]
        if self._voice:
            silence = base64.b64encode(bytes(48 * 50 * text_tokens(delta))).decode()
            return [
                {"type": "response.output_audio_transcript.delta", **self._place, "delta": delta},
                {"type": "response.output_audio.delta", **self._place, "delta": silence},
            ]
        return [{"type": "response.output_text.delta", **self._place, "delta": delta}]

    def closing(self, text: str) -> list[Json]:
        if self._call:
            self._item.data["arguments"] = text
            call = {"call_id": self._item.data["call_id"], "name": self._item.data["name"]}
            return [{"type": "response.function_call_arguments.done", **self._place, **call, "arguments": text}]
        part = {"type": "response.content_part.done", **self._place, "part": self._part(text)}
        if self._voice:
            self._item.data["content"] = [{"type": "output_audio", "transcript": text}]
            return [
                {"type": "response.output_audio.done", **self._place},
                {"type": "response.output_audio_transcript.done", **self._place, "transcript": text},
                part,
            ]
        self._item.data["content"] = [{"type": "output_text", "text": text}]
        return [{"type": "response.output_text.done", **self._place, "text": text}, part]
