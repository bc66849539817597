"""Starts responses: checks that one may start, gathers its context, and decides what it will say. Pure: time and chance come in."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import faults as fault_kinds
from .answer import outputs, reply_to
from .catalog import DEFAULT_MODEL
from .conversation import Conversation, Item, client_item
from .faults import Fault, Faults, Kind, When
from .ids import Ids
from .ledger import Ledger, Response
from .limits import RequestLimiter
from .manner import Manner
from .schema import INVALID, Json, Refused
from .session_config import Ground, check_answering
from .speaking import Failure, ResponsePlan, ResponseRun
from .tokens import Context, ContextTooLong, build_context, text_tokens, usage

_FAILURES = {
    Kind.QUOTA: Failure(
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
    ),
    Kind.RATE_LIMIT: Failure("rate_limit_exceeded", "Rate limit reached. Please try again in 1s.", "tokens"),
    Kind.SERVER_ERROR: Failure("server_error", "The server had an error while processing your request.", "server_error"),
}
_OVERRIDABLE = (
    "output_modalities",
    "instructions",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "parallel_tool_calls",
    "reasoning",
    "prompt",
)


@dataclass(frozen=True, slots=True)
class Started:
    """A response that has begun, the faults that will hit it, and the items it answers."""

    run: ResponseRun
    faults: Sequence[Fault]
    pending: Sequence[Item]
    duplicate_event_ids: bool


class Responder:
    """The responses of one conversation session."""

    def __init__(
        self,
        ground: Ground,
        conversation: Conversation,
        ledger: Ledger,
        faults: Faults,
        limiter: RequestLimiter,
        key: str,
        ids: Ids,
        rng: random.Random,
        session_id: str,
        listen: Callable[[Item], None],
    ) -> None:
        """``listen`` hears the audio of an item that a client gave."""
        self._ground = ground
        self._listen = listen
        self._conversation = conversation
        self._ledger = ledger
        self._faults = faults
        self._limiter = limiter
        self._key = key
        self._ids = ids
        self._rng = rng
        self._session_id = session_id
        self._cached: tuple[str, int, Context] | None = None
        self.running: dict[str, Started] = {}
        """Responses that are being written, by id."""

    @property
    def active(self) -> ResponseRun | None:
        """The response that writes to the default conversation."""
        return next((started.run for started in self.running.values() if started.run.in_conversation), None)

    def start(self, config: Json, given: Json, *, trigger: str, event_id: str | None, now_ms: float, bytes_per_ms: int) -> Started:
        """Begin a response.

        Args:
            config: the session's effective configuration.
            given: the ``response`` of the client's event, {} if there was none.
            trigger: ``client``, ``turn`` or ``idle``.
            event_id: of the client's event.
            now_ms: wall clock.
            bytes_per_ms: of the session's input format, for audio inside input items.

        Raises:
            Refused: the vendor answers with an ``error`` event in place of a response.
        """
        behaviour = self._ground.behaviour
        given = {name: value for name, value in given.items() if value is not None}
        effective = {name: given.get(name, config.get(name)) for name in _OVERRIDABLE}
        output = {**config["audio"]["output"], **((given.get("audio") or {}).get("output") or {})}
        effective["audio"] = {"output": output}
        check_answering(effective, self._ground, "response", given=given)
        in_band = given.get("conversation", "auto") != "none"
        active = self.active
        if in_band and active is not None:
            raise Refused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {active.record.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        items = self._input(given["input"], bytes_per_ms) if "input" in given else list(self._conversation)
        hits = self._faults.hit(fault_kinds.RESPONSE, "realtime", self._rng, session_id=self._session_id)
        failure = self._failure(hits)
        instructions = effective["instructions"] or ""
        manner = Manner.of(instructions)
        first_token_ms = behaviour.first_token_ms + manner.wait_ms
        head = instructions + (json.dumps(effective["tools"], sort_keys=True) if effective["tools"] else "")
        context = Context((), 0, 0, 0)
        try:
            limit = (self._ground.model or DEFAULT_MODEL).context_tokens
            context = build_context(items, text_tokens(head), config["truncation"], limit)
        except ContextTooLong:
            failure = failure or Failure("context_length_exceeded", "The conversation exceeds the model's input token limit.")
        allowance = self._limiter.take(self._key, behaviour.rate_limit_requests, now_ms)
        if not allowance.allowed:
            failure = failure or Failure(
                "rate_limit_exceeded",
                f"Rate limit reached for {self._ground.model_name} on requests per min (RPM): Limit {allowance.limit}. "
                f"Please try again in {allowance.reset_seconds}s.",
                "requests",
            )
        pending = [item for item in context.items if item.role == "user" and not item.answered]
        cached = self._cached_tokens(head, context, own_input="input" in given)
        record = Response(
            id=self._ids.new("resp"),
            trigger=trigger,
            requested_at_ms=now_ms,
            out_of_band=not in_band,
            metadata=given.get("metadata"),
            event_id=event_id,
            turns=[item.id for item in pending if item.turn is not None],
            input_items=[item.id for item in context.items],
            instructions_chars=len(instructions),
            instructions_sha256=hashlib.sha256(instructions.encode()).hexdigest(),
            first_token_ms=first_token_ms,
            delta_ms=behaviour.delta_ms,
            dropped_items=context.dropped,
        )
        plan = ResponsePlan(
            record=record,
            config=effective,
            outputs=outputs(
                effective,
                reply_to(context.items, manner),
                behaviour.answer_style,
                self._rng,
                phase=behaviour.preamble_phase,
                form=manner.form,
            ),
            failure=failure,
            conversation_id=self._conversation.id if in_band else None,
            usage_of=lambda tokens: usage(context, *cached, tokens),
            add_item=self._conversation.append,
            first_token_ms=first_token_ms,
            delta_ms=behaviour.delta_ms,
            reasoning_tokens=behaviour.reasoning_tokens if self._ground.model is not None and self._ground.model.reasoning else 0,
        )
        if behaviour.rate_limit_events:
            plan.opening = [_rate_limits(allowance.limit, allowance.remaining, allowance.reset_seconds, context.tokens)]
        duplicate = any(fault.kind is Kind.DUPLICATE_IDS for fault in hits)
        if duplicate and self._conversation.last_id is not None:
            plan.item_ids = [self._conversation.last_id]
        self._ledger.responses.append(record)
        for item in pending:
            if item.turn is not None:
                item.turn.responses.append(record.id)
        middle = self._faults.hit(fault_kinds.SESSION, "realtime", self._rng, when=When.RESPONSE, session_id=self._session_id)
        started = Started(ResponseRun(plan, self._ids), middle, pending, duplicate)
        self.running[record.id] = started
        return started

    def finished(self, run: ResponseRun) -> None:
        """A response is over: what it answered is answered, unless it failed, was cancelled or is out of band."""
        started = self.running.pop(run.record.id, None)
        if started is not None and run.in_conversation and run.record.status in ("completed", "incomplete"):
            for item in started.pending:
                item.answered = True

    def to_cancel(self, response_id: str | None) -> ResponseRun:
        """The response that ``response.cancel`` means.

        Raises:
            Refused: there is none.
        """
        started = self.running.get(response_id) if response_id is not None else None
        run = started.run if started is not None else None
        if response_id is None:
            run = self.active
        if run is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        return run

    def _input(self, given: Sequence[Json], bytes_per_ms: int) -> list[Item]:
        items = []
        for index, entry in enumerate(given):
            path = f"response.input[{index}]"
            if entry["type"] != "item_reference":
                given_item = client_item(entry, entry.get("id") or self._ids.new("item"), path, bytes_per_ms)
                if given_item.audio:
                    self._listen(given_item)
                items.append(given_item)
                continue
            item = self._conversation.find(entry["id"])
            if item is None:
                raise Refused(INVALID, f"Item with id '{entry['id']}' not found in the conversation.", f"{path}.id")
            items.append(item)
        return items

    def _failure(self, hits: Sequence[Fault]) -> Failure | None:
        for fault in hits:
            failure = _FAILURES.get(fault.kind)
            if failure is None:
                continue
            if fault.as_error:
                refused = Refused(failure.code, failure.message)
                refused.type = failure.type
                raise refused
            return failure
        return None

    def _cached_tokens(self, head: str, context: Context, *, own_input: bool) -> tuple[int, int]:
        if own_input:
            return 0, 0
        before = self._cached
        self._cached = (head, context.dropped, context)
        broken = self._conversation.changed_before_end
        self._conversation.changed_before_end = False
        if before is None or broken or before[:2] != (head, context.dropped):
            return 0, 0
        return before[2].text_tokens, before[2].audio_tokens


def _rate_limits(limit: int, remaining: int, reset_seconds: float, tokens: int) -> Json:
    return {
        "type": "rate_limits.updated",
        "rate_limits": [
            {"name": "requests", "limit": limit, "remaining": remaining, "reset_seconds": reset_seconds},
            {"name": "tokens", "limit": 200_000, "remaining": max(0, 200_000 - tokens), "reset_seconds": round(tokens / 3333, 3)},
        ],
    }
