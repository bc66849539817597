"""What is fuzzed: each target takes any bytes, and raises only if the relay did what it must not do.

A target's corpus is the folder of its name in tests/fuzz_corpus: what once went wrong, named by what it is, and a few good inputs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import uvicorn
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from unit.media.test_frame_decoder import ANSWER_IS_OURS
from unit.media.test_frame_decoder import decode as decode_frames
from unit.media.test_frame_decoder import reference as reference_frames
from unit.media.test_stream import live
from unit.realtime.test_core_fuzz import check
from unit.realtime.wire import Desk
from voiceassist_crds.reasons import Refusal
from voiceassist_relay.call.recovery import read_event
from voiceassist_relay.errors import RequestRefused
from voiceassist_relay.functions.requests import FeedbackFields, StreamFields, parse, read_fields, read_form, take_token
from voiceassist_relay.media.stream import Audio, Ignored, Opening, Refused, Stopped, StreamProtocol
from voiceassist_relay.realtime.core.client_events import append
from voiceassist_relay.realtime.core.limits import DEFAULT_LIMITS
from voiceassist_relay.realtime.core.server_events import NotAnEvent, decode, whole_characters
from voiceassist_relay.realtime.providers.base import Endpoint
from voiceassist_relay.realtime.websocket import MAX_MESSAGE, ModelConnection
from voiceassist_relay.server.bounded_http import bounded_http
from voiceassist_relay.server.limits import HttpLimits

Target = Callable[[bytes], None]


def cuts(data: bytes, seed: int) -> list[bytes]:
    """The data in pieces: the seed says where; 0 leaves it whole, 1 takes every byte alone."""
    if seed == 0 or not data:
        return [data]
    edges = [0, *range(seed, len(data), seed), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def client_frames(data: bytes) -> None:
    """Twilio's side of the wire: our decoder gives what `websockets` gives, however the bytes are cut. Two bytes choose cut and limit."""
    seed, limit, data = data[:1], (64, 150, 65_536)[(data[1:2] or b"\0")[0] % 3], data[2:]
    messages, failure, said = reference_frames(data, limit)
    ours = decode_frames(cuts(data, seed[0] if seed else 0), limit)
    if ours[1] is Refusal.TOO_MANY:  # a bound of ours, of which `websockets` knows nothing
        assert ours[0] == messages[: len(ours[0])]
        return
    assert ours[:2] == (messages, failure), (ours[:2], messages, failure)
    if failure not in ANSWER_IS_OURS:
        assert ours[2] == said


def media_messages(data: bytes) -> None:
    """Twilio's messages, one a line: whatever they say, they are taken, ignored or refused; audio cannot break out of its JSON."""
    for stream in (live(), StreamProtocol()):
        for text in data.split(b"\n"):
            event = stream.receive(text)
            assert isinstance(event, Audio | Opening | Stopped | Refused | Ignored)
            if isinstance(event, Audio):
                assert json.loads(append(event.payload)) == {"type": "input_audio_buffer.append", "audio": event.payload.decode()}


class _Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass


class _Receiver:
    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.over = 0

    def message(self, data: bytes) -> None:
        self.messages.append(bytes(data))

    def acknowledged(self) -> None:
        pass

    def on_buffer(self, yes: bool) -> None:
        pass

    def lost(self, lost: object) -> None:
        self.over += 1


_loop = asyncio.new_event_loop()
_uri = parse_uri("ws://127.0.0.1:1/v1/realtime")


async def _model_side(pieces: list[bytes]) -> tuple[_Receiver, int]:
    receiver = _Receiver()
    connection = ModelConnection(_uri, Endpoint("ws://127.0.0.1:1/v1/realtime", ()), receiver, DEFAULT_LIMITS)
    connection._transport = _Wire()  # type: ignore[assignment]
    connection._ws = ClientProtocol(_uri, max_size=MAX_MESSAGE, state=OPEN)
    connection._open = True
    for piece in pieces:
        if not receiver.over:
            connection.data_received(piece)
            assert len(connection._rest) <= MAX_MESSAGE + 14
    return receiver, len(connection._rest)


def server_frames(data: bytes) -> None:
    """The model's side of the wire: the messages are those that `websockets` gives, and what breaks the protocol ends the connection."""
    seed, data = (data[:1] or b"\0")[0], data[1:]
    reference, messages, parts = ClientProtocol(_uri, max_size=MAX_MESSAGE, state=OPEN), [], b""
    reference.receive_data(data)
    for event in reference.events_received():
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.CONT, Opcode.BINARY}:
            parts = parts + bytes(event.data) if event.opcode is Opcode.CONT else bytes(event.data)
            if event.fin and event.opcode is not Opcode.BINARY:
                messages.append(parts)
    ours, rest = _loop.run_until_complete(_model_side(cuts(data, seed)))
    assert ours.over <= 1
    assert ours.messages == messages[: len(ours.messages)], (ours.messages, messages)
    if len(ours.messages) < len(messages):
        raise AssertionError(f"{len(messages) - len(ours.messages)} messages not seen")
    if ours.over and reference.parser_exc is None:  # ours may know earlier, from the first bytes of a length
        reference.receive_data(bytes(16))
    failed = reference.parser_exc is not None or reference.close_rcvd is not None
    assert bool(ours.over) == failed or rest >= 2, "one side saw the connection end, the other did not"


def model_events(data: bytes) -> None:
    """The model's events, one a line: an event or NotAnEvent; the conversation takes them all and says nothing that the vendor refuses."""
    desk = Desk()
    desk.audio(1000)
    check(desk.session.begin(_carry(), 0.0))
    for number, line in enumerate(data.split(b"\n")):
        try:
            event = decode(line)
        except NotAnEvent:
            continue
        whole_characters(event.text or "").encode()
        check(desk.session.received(event, float(number)))
    check(desk.session.finish(100.0))
    check(desk.session.tick(200.0))


def _carry() -> Any:
    from voiceassist_relay.realtime.core.turns import HandOverState

    return HandOverState()


def function_bodies(data: bytes) -> None:
    """Bodies of the functions: first line the content type, second the Authorization header, then the body."""
    kind, _, rest = data.partition(b"\n")
    authorization, _, body = rest.partition(b"\n")
    for model in (StreamFields, FeedbackFields):
        try:
            parse(model, take_token(read_fields(kind.decode("latin-1"), body), authorization.decode("latin-1")).fields)
        except RequestRefused as refused:
            assert 400 <= refused.status < 500
            json.dumps({"message": refused.message, "hint": refused.hint}).encode()
            (refused.message + refused.hint).encode()
    try:
        read_event(dict(read_form(body)))
    except RequestRefused as refused:
        assert 400 <= refused.status < 500


_LIMITS = HttpLimits(head_bytes=512, body_bytes=1024)


async def _served(pieces: list[bytes]) -> tuple[bytes, list[tuple[str, int]], list[str]]:
    asked: list[tuple[str, int]] = []
    refused: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        assert len(body) <= _LIMITS.body_bytes
        asked.append((scope["path"], len(body)))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(
        app, http=bounded_http(_LIMITS, refused.append), ws="none", lifespan="off", log_config=None, access_log=False, date_header=False
    )
    config.load()
    config.loaded_app = app
    state = ServerState()
    protocol = config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg,operator]
    wire = _Wire()
    protocol.connection_made(wire)  # type: ignore[arg-type]
    for piece in pieces:
        if wire.closed:
            break
        protocol.data_received(piece)
        assert protocol._taken <= max(_LIMITS.head_bytes, 2 * _LIMITS.body_bytes)
    while state.tasks:
        await asyncio.wait(list(state.tasks))
    protocol.connection_lost(None)
    return wire.written, asked, [str(one) for one in refused]


def http_requests(data: bytes) -> None:
    """Bytes on the public port: no exception, no more kept than the bounds allow, the same requests and answers however they are cut.

    What follows the last request of a connection is not looked at, and so counted as pipelined or not.
    """
    seed, data = (data[:1] or b"\0")[0], data[1:]
    whole = _loop.run_until_complete(_served([data]))
    pieces = _loop.run_until_complete(_served(cuts(data, seed)))
    assert whole[:2] == pieces[:2], (whole, pieces)


TARGETS: dict[str, Target] = {
    one.__name__: one for one in (client_frames, media_messages, server_frames, model_events, function_bodies, http_requests)
}
