"""One session's protocol: takes client events and the steps of responses, says what is to be sent. Pure: no socket, no clock."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from . import faults as fault_kinds
from .behaviour import Behaviour
from .conversation import Conversation, client_item, decode_audio
from .effects import CarryOut, Close, Effect, Play, Send, SendLater, SendText
from .events import check_event
from .faults import Fault, Faults, Kind, When
from .formats import format_of
from .hearing import Hearing
from .ids import Ids
from .ledger import Ledger, Turn
from .limits import RequestLimiter
from .recogniser import Recogniser
from .responding import Responder
from .schema import INVALID, Json, Refused
from .session_config import Ground, first_config, updated_config
from .speaking import ResponseRun

MAX_CONVERSATION_ITEMS = 20_000


@dataclass(slots=True)
class Dependencies:
    """What all sessions of a server share."""

    behaviour: Behaviour
    faults: Faults
    recogniser: Recogniser
    limiter: RequestLimiter = field(default_factory=RequestLimiter)


class RealtimeSession:
    """A conversation or transcription session from ``session.created`` on."""

    def __init__(self, dependencies: Dependencies, ground: Ground, *, key: str, rng: random.Random, now_ms: float) -> None:
        self._dependencies = dependencies
        self._ground = ground
        self._rng = rng
        self._ids = Ids(rng)
        self.id = self._ids.new("sess")
        self.kind = "realtime" if ground.model is not None else "transcription"
        self.ledger = Ledger()
        self.opened_at_ms = now_ms
        self.config = first_config(self.id, ground, int(now_ms / 1000 + dependencies.behaviour.session_seconds))
        self.conversation = Conversation(self._ids.new("conv"))
        self._hearing = Hearing(dependencies.behaviour, dependencies.recogniser, self.ledger, self.config, self._ids)
        self.responder = Responder(
            ground,
            self.conversation,
            self.ledger,
            dependencies.faults,
            dependencies.limiter,
            key,
            self._ids,
            rng,
            self.id,
            self._hearing.listen,
        )
        self._effects: list[Effect] = []
        self._last_event_id = ""
        self._repeat_event_ids = False
        self.strange_events = False
        """Whether event types that nobody knows are mixed in (a fault)."""

    @property
    def audio(self) -> bytes:
        """All audio that was heard in the configured format, as far as it is kept."""
        return self._hearing.audio

    @property
    def audio_ms(self) -> int:
        """How much audio came, in milliseconds."""
        return self._hearing.now_ms

    @property
    def format_name(self) -> str:
        """The format in which audio is read, for example ``audio/pcmu``."""
        return self._hearing.format_name

    # ------------------------------------------------------------------------------------------------------ to the connection

    def take(self) -> list[Effect]:
        """What is to be done since the last call."""
        effects, self._effects = self._effects, []
        return effects

    def emit(self, event: Json) -> None:
        """Send an event; it gets its event_id here."""
        if self.strange_events and event["type"].startswith("response."):
            self._send({"type": "response.telepathy.delta", "thought": {"depth": [1, 2, 3]}})
        self._send(event)

    def _send(self, event: Json) -> None:
        if not self._repeat_event_ids or not self._last_event_id:
            self._last_event_id = self._ids.new("event")
        full = {"type": event["type"], "event_id": self._last_event_id, **event}
        self.ledger.sent[event["type"]] += 1
        if event["type"] == "error":
            self.ledger.refused(event["error"])
        self._effects.append(Send(full))

    def refuse(self, refused: Refused, event_id: Any = None) -> None:
        """Send the ``error`` event of a refusal."""
        code = refused.fine if self._dependencies.behaviour.fine_error_codes else refused.code
        self.emit(
            {
                "type": "error",
                "error": {
                    "type": refused.type,
                    "code": code,
                    "message": refused.message,
                    "param": refused.param,
                    "event_id": event_id if isinstance(event_id, str) else None,
                },
            }
        )

    # --------------------------------------------------------------------------------------------------------- from the client

    def open(self) -> None:
        """The socket is open."""
        self.emit({"type": "session.created", "session": dict(self.config)})
        self._hit(When.CONNECT)

    def faults_changed(self) -> None:
        """Other faults were set; those that hit all sessions hit this one now."""
        self._hit(When.CONNECT, standing_only=True)

    def _hit(self, when: When, *, standing_only: bool = False) -> list[Fault]:
        hits = self._dependencies.faults.hit(
            fault_kinds.SESSION, self.kind, self._rng, when=when, session_id=self.id, standing_only=standing_only
        )
        self._effects += [CarryOut(fault) for fault in hits]
        return hits

    def text(self, raw: str, now_ms: float) -> None:
        """A text frame came."""
        event: Any = None
        try:
            event = json.loads(raw, parse_constant=_no_constant)
            name = event.get("type") if isinstance(event, dict) else None
            self.ledger.received[name if isinstance(name, str) and len(name) <= 64 else "(none)"] += 1
            behaviour = self._dependencies.behaviour
            check_event(
                event,
                transcription=self.kind == "transcription",
                lenient_nulls=behaviour.lenient_nulls,
                long_item_ids=behaviour.long_item_ids,
            )
            self._handle(event, now_ms)
        except Refused as refused:
            self.refuse(refused, event.get("event_id") if isinstance(event, dict) else None)
        except (ValueError, RecursionError):
            self.ledger.received["(no JSON)"] += 1
            self.refuse(Refused("invalid_json", "The server could not parse the event as JSON."))

    def binary(self) -> None:
        """A binary frame came, which the protocol does not have."""
        self.ledger.received["(binary)"] += 1
        self.refuse(Refused("invalid_event", "Binary frames are not supported; events are JSON in text frames."))
        self._effects.append(Close(1003, "Binary frames are not supported."))

    def _handle(self, event: Json, now_ms: float) -> None:
        event_id = event.get("event_id")
        match event["type"]:
            case "input_audio_buffer.append":
                self._append(event["audio"], now_ms)
            case "session.update":
                self._update(event["session"])
            case "input_audio_buffer.commit":
                self._committed(self._hearing.commit(now_ms), now_ms, by_client=True)
            case "input_audio_buffer.clear":
                self._hearing.clear()
                self.emit({"type": "input_audio_buffer.cleared"})
            case "conversation.item.create":
                self._create_item(event)
            case "conversation.item.delete":
                self.conversation.delete(event["item_id"])
                self.emit({"type": "conversation.item.deleted", "item_id": event["item_id"]})
            case "conversation.item.retrieve":
                item = self.conversation.retrieve(event["item_id"])
                self.emit({"type": "conversation.item.retrieved", "item": item.render(with_audio=True)})
            case "conversation.item.truncate":
                self.conversation.truncate(event["item_id"])
                place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
                self.emit({"type": "conversation.item.truncated", **place})
            case "response.create":
                self._respond(event.get("response") or {}, "client", event_id, now_ms)
            case "response.cancel":
                self._cancel(self.responder.to_cancel(event.get("response_id")), "client_cancelled", now_ms)

    def _append(self, encoded: str, now_ms: float) -> None:
        audio = decode_audio(encoded, "audio")
        most = self._dependencies.behaviour.max_append_bytes
        if len(audio) > most:
            raise Refused(
                INVALID,
                f"Invalid 'audio': audio too long. Expected at most {most} bytes, but got {len(audio)} bytes instead.",
                "audio",
                fine="string_above_max_length",
            )
        for signal in self._hearing.append(audio, now_ms):
            if isinstance(signal, Turn):
                self._committed(signal, now_ms)
                continue
            self.emit(signal)
            detection = self.config["audio"]["input"]["turn_detection"] or {}
            active = self.responder.active
            if (
                signal["type"] == "input_audio_buffer.speech_started"
                and active is not None
                and detection.get("interrupt_response") is not False
            ):
                self._cancel(active, "turn_detected", now_ms)

    def _update(self, update: Json) -> None:
        if self._hit(When.UPDATE):
            return
        config = updated_config(self.config, update, self._ground, spoken=self.ledger.sent["response.output_audio.delta"] > 0)
        self.config = config
        self._hearing.configure(config)
        self.ledger.updates += 1
        self.emit({"type": "session.updated", "session": dict(config)})

    def _create_item(self, event: Json) -> None:
        given = event["item"]
        if len(self.conversation) >= MAX_CONVERSATION_ITEMS:
            raise Refused(INVALID, f"The conversation holds {MAX_CONVERSATION_ITEMS} items already.", "item")
        bytes_per_ms = format_of(self.config["audio"]["input"]["format"]).bytes_per_ms
        item = client_item(given, given.get("id") or self._ids.new("item"), "item", bytes_per_ms)
        if item.type == "function_call":
            item.data.setdefault("call_id", self._ids.new("call"))
        if item.audio:
            self._hearing.listen(item)
        before = self.conversation.create(item, event.get("previous_item_id"))
        for name in ("added", "done"):
            self.emit({"type": f"conversation.item.{name}", "previous_item_id": before, "item": item.render()})

    # ------------------------------------------------------------------------------------------------------------------ turns

    def _committed(self, turn: Turn, now_ms: float, *, by_client: bool = False) -> None:
        item = self._hearing.item_of(turn)
        before = self.conversation.append(item)
        self.emit({"type": "input_audio_buffer.committed", "previous_item_id": before, "item_id": turn.item})
        for name in ("added", "done"):
            self.emit({"type": f"conversation.item.{name}", "previous_item_id": before, "item": item.render()})
        self._transcribe(turn)
        detection = self.config["audio"]["input"]["turn_detection"]
        if self.kind != "realtime" or by_client or detection is None:
            return
        if turn.committed_by == "idle" or detection.get("create_response") is not False:
            try:
                self._respond({}, "idle" if turn.committed_by == "idle" else "turn", None, now_ms)
            except Refused as refused:
                self.refuse(refused)

    def _transcribe(self, turn: Turn) -> None:
        events = self._hearing.transcription(turn, self.config, self._dependencies.faults, self._rng, self.kind, self.id)
        if events:
            self._effects.append(SendLater(tuple(events)))

    def late(self, event: Json) -> None:
        """The time of an event of a :class:`SendLater` has come."""
        if event["type"].endswith("transcription.completed"):
            turn, item = self.ledger.turn(event["item_id"]), self.conversation.find(event["item_id"])
            if turn is not None:
                turn.transcript = event["transcript"]
            if item is not None:
                item.data["content"][event["content_index"]]["transcript"] = event["transcript"]
        self.emit(event)

    # -------------------------------------------------------------------------------------------------------------- responses

    def _respond(self, given: Json, trigger: str, event_id: str | None, now_ms: float) -> None:
        bytes_per_ms = format_of(self.config["audio"]["input"]["format"]).bytes_per_ms
        started = self.responder.start(self.config, given, trigger=trigger, event_id=event_id, now_ms=now_ms, bytes_per_ms=bytes_per_ms)
        self._hearing.busy()
        wait = self.step(started.run, now_ms)
        if wait is not None:
            self._effects.append(Play(started.run, wait))

    def step(self, run: ResponseRun, now_ms: float) -> int | None:
        """A response goes on; the milliseconds until it is to be called again, None when the response is over."""
        started = self.responder.running.get(run.record.id)
        if run.over or started is None:
            return None
        before = run.record.deltas
        events, wait = run.step()
        if run.record.deltas and run.record.first_delta_at_ms is None:
            run.record.first_delta_at_ms = now_ms
        self._deliver(run, events, repeat_ids=started.duplicate_event_ids, now_ms=now_ms)
        for fault in started.faults:
            if before < max(1, fault.deltas) <= run.record.deltas:
                self._effects.append(CarryOut(fault))
        return wait

    def _deliver(self, run: ResponseRun, events: list[Json], *, repeat_ids: bool, now_ms: float) -> None:
        self._repeat_event_ids = repeat_ids
        for event in events:
            self.emit(event)
        self._repeat_event_ids = False
        if run.over:
            run.record.done_at_ms = now_ms
            self.responder.finished(run)
            self._hearing.idle_from_here()

    def _cancel(self, run: ResponseRun, reason: str, now_ms: float) -> None:
        self._deliver(run, run.cancel(reason), repeat_ids=False, now_ms=now_ms)

    # -------------------------------------------------------------------------------------------------------------------- ends

    def expire(self) -> None:
        """The longest life of a session is over."""
        minutes = self._dependencies.behaviour.session_seconds / 60
        text = f"Your session hit the maximum duration of {minutes:g} minutes."
        self.refuse(Refused("session_expired", text))
        self._effects.append(Close(1001, text))

    def carry_out(self, fault: Fault) -> None:
        """Do what a fault asks for as far as it concerns the protocol (the connection does the rest)."""
        match fault.kind:
            case Kind.ERROR:
                refused = Refused(fault.error_code, fault.message)
                refused.type = fault.type
                self.refuse(refused)
            case Kind.MALFORMED:
                self._effects.append(SendText('{"type":"response.output_text.delta","delta":"cut off he'))
            case Kind.UNKNOWN_EVENTS:
                self.strange_events = True
                self._send({"type": "session.horoscope", "sign": "Aquarius", "luck": {"today": None}})
            case Kind.CLOSE:
                self._effects.append(Close(fault.close_code, fault.reason))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
