"""The frame decoder gives what the sans-I/O object alone would give, however the bytes are cut."""

from __future__ import annotations

import codecs
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SEND_EOF
from websockets.server import ServerProtocol

from voiceassist_crds.reasons import Refusal
from voiceassist_relay.media.frame_decoder import MAX_MESSAGE_BYTES, FrameDecoder

KEY = b"\x01\xfe\x80\x33"


def wire(limit: int = MAX_MESSAGE_BYTES) -> ServerProtocol:
    return ServerProtocol(state=OPEN, max_size=limit)


def frame(payload: bytes, *, op: int = 1, fin: bool = True, masked: bool = True, form: int | None = None, rsv: int = 0) -> bytes:
    """A client's frame; `form` forces the 7, 16 or 64 bit length."""
    form = form or (7 if len(payload) < 126 else 16 if len(payload) < 65536 else 64)
    flag = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | op])
    if form == 7:
        head += bytes([flag | len(payload)])
    elif form == 16:
        head += bytes([flag | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + KEY + bytes(b ^ KEY[i % 4] for i, b in enumerate(payload))


def reference(data: bytes, limit: int) -> tuple[list[bytes], Refusal | None, bytes]:
    """Messages, failure and answer by the sans-I/O object alone, in one piece."""
    protocol, messages, parts, failure = wire(limit), [], b"", None
    characters = codecs.getincrementaldecoder("utf-8")()
    protocol.receive_data(data)
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.BINARY:
            return messages, Refusal.BINARY, b""
        if event.opcode in {Opcode.TEXT, Opcode.CONT}:
            try:
                characters.decode(event.data, event.fin)
            except UnicodeDecodeError:
                return messages, Refusal.NOT_UTF8, b""
            parts += bytes(event.data)
            if event.fin:
                messages.append(parts)
                parts = b""
    if protocol.parser_exc is not None:
        failure = Refusal.TOO_BIG if protocol.close_sent and protocol.close_sent.code == 1009 else Refusal.PROTOCOL_ERROR
    return messages, failure, answer(protocol)


def answer(protocol: ServerProtocol) -> bytes:
    return b"".join(chunk if chunk != SEND_EOF else b"<EOF>" for chunk in protocol.data_to_send())


def decode(chunks: list[bytes], limit: int = MAX_MESSAGE_BYTES) -> tuple[list[bytes], Refusal | None, bytes]:
    decoder = FrameDecoder(wire(limit))
    messages = [bytes(message) for chunk in chunks for message in decoder.feed(chunk)]
    return messages, decoder.failure, answer(decoder.wire)


ANSWER_IS_OURS = {Refusal.BINARY, Refusal.NOT_UTF8}
"""`websockets` would take these."""

texts = st.text(max_size=60).map(str.encode)
frames = st.one_of(
    texts.map(frame),
    st.text(max_size=200, alphabet=st.characters(max_codepoint=127)).map(str.encode).map(frame),
    st.builds(frame, texts, op=st.sampled_from([0, 1]), fin=st.booleans(), form=st.sampled_from([None, 64])),
    st.binary(max_size=200).map(frame),
    st.builds(frame, st.integers(0, 300).map(lambda size: b"x" * size), form=st.sampled_from([16, 64])),
    st.builds(frame, st.binary(max_size=40), op=st.sampled_from([0, 1]), fin=st.booleans()),
    st.builds(frame, st.binary(max_size=130), op=st.sampled_from([9, 10])),
    st.builds(frame, st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03", b"\x00\x01", b"\x03\xe8\xff"]), op=st.just(8)),
    st.builds(frame, st.binary(max_size=10), op=st.integers(0, 15), fin=st.booleans(), masked=st.booleans(), rsv=st.integers(0, 7)),
)
streams = st.one_of(st.lists(frames, max_size=12).map(b"".join), st.binary(max_size=100))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@settings(max_examples=300, deadline=None)
@given(data=streams, places=st.lists(st.integers(0, 10_000), max_size=12), limit=st.sampled_from([64, 150, MAX_MESSAGE_BYTES]))
@example(data=b"\x03\xfe", places=[], limit=64)
@example(data=frame(b"x" * 64) + frame(b"x" * 65), places=[], limit=64)
@example(data=frame(b"x" * 150) + frame(b"x" * 151), places=[], limit=150)
@example(data=frame(b"x") + frame(b"", op=8) + frame(b"y"), places=[3, 8], limit=64)
def test_frame_decoder_any_cut_of_any_stream_gives_the_same_messages_failure_and_answer(data, places, limit):
    messages, failure, said = reference(data, limit)
    got = decode(cut(data, places), limit)
    assert got[:2] == (messages, failure)
    if failure not in ANSWER_IS_OURS:
        assert got[2] == said


@settings(max_examples=80, deadline=None)
@given(data=streams)
def test_frame_decoder_byte_by_byte(data):
    messages, failure, _ = reference(data, 150)
    assert decode([data[i : i + 1] for i in range(len(data))], 150)[:2] == (messages, failure)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_frame_decoder_lengths_at_every_edge(size):
    payload = bytes(range(128)) * 514
    assert decode([frame(payload[:size]), frame(b"next")]) == ([payload[:size], b"next"], None, b"")


def test_frame_decoder_one_byte_too_many_is_refused_at_the_header_with_1009():
    messages, failure, said = decode([frame(b"a"), frame(b"x" * 65537)[:10]])
    assert (messages, failure) == ([b"a"], Refusal.TOO_BIG)
    assert said[2:4] == (1009).to_bytes(2, "big")
    assert said.endswith(b"<EOF>")


def test_frame_decoder_fragments_count_together_towards_the_limit():
    half = b"x" * 40_000
    assert decode([frame(half, fin=False), frame(half, op=0)])[1] is Refusal.TOO_BIG
    assert decode([frame(half, fin=False), frame(half[:25_536], op=0)])[0] == [half + half[:25_536]]


def test_frame_decoder_binary_is_refused_with_1003_whole_or_begun():
    for fin in (True, False):
        messages, failure, said = decode([frame(b"a"), frame(b"b", op=2, fin=fin), frame(b"c")])
        assert (messages, failure) == ([b"a"], Refusal.BINARY)
        assert said[2:4] == (1003).to_bytes(2, "big")


NOT_UTF8 = {
    "a byte that begins nothing": b"\xff",
    "a character that is cut": "\u20ac".encode()[:2],
    "a surrogate": b"\xed\xa0\x80",
    "an overlong form": b"\xc0\xaf",
    "beyond the last character": b"\xf4\x90\x80\x80",
}


@pytest.mark.parametrize("bad", NOT_UTF8.values(), ids=NOT_UTF8.keys())
@pytest.mark.parametrize("size", [0, 130], ids=["short", "common"])
@pytest.mark.parametrize("way", ["alone", "in one read", "byte by byte", "64 bit length", "in fragments"])
def test_frame_decoder_a_text_that_is_not_utf8_is_refused_with_1007(bad, size, way):
    text = b'{"unused": "' + b"x" * size + bad + b'"}'
    wanted = [b"a"]
    match way:
        case "alone":
            chunks = [frame(b"a"), frame(text), frame(b"c")]
        case "in one read":
            chunks = [frame(b"a") + frame(text) + frame(b"c")]
        case "byte by byte":
            data = frame(b"a") + frame(text) + frame(b"c")
            chunks = [data[i : i + 1] for i in range(len(data))]
        case "64 bit length":
            chunks = [frame(b"a"), frame(text, form=64), frame(b"c")]
        case _:
            chunks = [frame(b"a"), frame(text[:-3], fin=False), frame(text[-3:], op=0), frame(b"c")]
    messages, failure, said = decode(chunks)
    assert (messages, failure) == (wanted, Refusal.NOT_UTF8)
    assert said[2:4] == (1007).to_bytes(2, "big")
    assert said.endswith(b"<EOF>")


def test_frame_decoder_fragments_may_cut_a_character_but_not_the_text():
    text = "a\u20ac\U0001f600".encode()
    pieces = [frame(text[:1], fin=False), *(frame(text[i : i + 1], op=0, fin=i == len(text) - 1) for i in range(1, len(text)))]
    assert decode([*pieces, frame(text)]) == ([text, text], None, b"")
    assert decode([frame(text[:-1], fin=False), frame(b"", op=0)])[:2] == ([], Refusal.NOT_UTF8)


def test_frame_decoder_a_fragment_that_no_text_can_have_is_refused_before_the_rest_comes():
    assert decode([frame(b"a\xff", fin=False)])[1] is Refusal.NOT_UTF8


def test_frame_decoder_an_unmasked_frame_is_refused_at_its_second_byte():
    messages, failure, said = decode([b"\x81", b"\x00"])
    assert (messages, failure) == ([], Refusal.PROTOCOL_ERROR)
    assert said[2:4] == (1002).to_bytes(2, "big")


def test_frame_decoder_a_ping_between_fragments_is_answered_and_the_message_is_whole():
    assert decode([frame(b"he", fin=False), frame(b"now", op=9), frame(b"llo", op=0), frame(b"z")]) == (
        [b"hello", b"z"],
        None,
        b"\x8a\x03now",
    )


def test_frame_decoder_only_what_is_not_common_goes_the_long_way():
    decoder = FrameDecoder(wire())
    for data, touched in [
        (frame(b"a") + frame(b"x" * 3000), False),
        (frame(b"a", fin=False), True),
        (frame(b"b", op=0), True),
        (frame(b"c"), False),
        (frame(b"p", op=9), True),
        (frame(b"d"), False),
    ]:
        decoder.touched = False
        decoder.feed(data)
        assert decoder.touched is touched


def test_frame_decoder_what_follows_a_close_is_thrown_away():
    decoder = FrameDecoder(wire())
    assert decoder.feed(frame(b"a") + frame(b"\x03\xe8", op=8) + frame(b"b")) == [b"a"]
    assert decoder.closed
    assert decoder.feed(frame(b"c")) == []
    assert decoder.failure is None
    assert len(decoder.wire.reader.buffer) == 0


def test_frame_decoder_held_bytes_stay_below_one_frame():
    decoder = FrameDecoder(wire())
    data = frame(b"x" * 60_000) * 3
    for at in range(0, len(data), 1000):
        decoder.feed(data[at : at + 1000])
        assert len(decoder._held) <= 60_008
