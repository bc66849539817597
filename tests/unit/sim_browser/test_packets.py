"""The packets of the socket: lengths in bytes, and everything that is no packet is refused."""

from __future__ import annotations

import json

import pytest

from voiceassist_sim.twilio.browser.packets import BadPacket, decode, encode


def raw(header: object, body: bytes = b"", *, first: bytes | None = None, between: bytes = b"\r\n") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
    return (first if first is not None else b"TWILSOCK V3.0 %d\r\n" % len(text)) + text + between + body


HELLO = {"method": "init", "id": "TM1", "payload_size": 0}


def test_what_is_encoded_is_decoded() -> None:
    packet = decode(encode({"method": "notification", "id": "TM1"}, {"text": "é✓"}))
    assert (packet.method, packet.id, packet.payload) == ("notification", "TM1", {"text": "é✓"})
    assert packet.header["payload_type"] == "application/json"


def test_the_second_line_end_is_there_without_a_payload() -> None:
    assert encode({"method": "reply", "id": "TM1"}).endswith(b'"payload_size":0}\r\n')


def test_lengths_are_bytes() -> None:
    packet = decode(raw({**HELLO, "token": "é✓", "payload_size": 10}, '{"a":"é"}'.encode()))
    assert packet.header["token"] == "é✓"
    assert packet.payload == {"a": "é"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        raw(HELLO, first=b"TWILSOCK V2.0 10\r\n"),
        raw(HELLO, first=b"TWILSOCK V3.0 5\r\n"),
        raw(HELLO, first=b"TWILSOCK V3.0 -1\r\n"),
        raw(HELLO, between=b""),
        raw(b"{", b""),
        raw([1]),
        raw({"id": "TM1", "payload_size": 0}),
        raw({"method": "init", "payload_size": 0}),
        raw({"method": "init", "id": "TM1"}),
        raw({**HELLO, "payload_size": "0"}),
        raw({**HELLO, "payload_size": True}, b"1"),
        raw({**HELLO, "payload_size": 3}, b"{}"),
        raw({**HELLO, "payload_size": 1}, b"{}"),
        raw({**HELLO, "payload_size": 2}, b"{x"),
        raw({**HELLO, "payload_size": 2}, b"\xff\xff"),
    ],
)
def test_what_is_no_packet_is_refused(data: bytes) -> None:
    with pytest.raises(BadPacket):
        decode(data)


def test_a_text_payload_stays_a_text() -> None:
    assert decode(raw({**HELLO, "payload_type": "text/plain", "payload_size": 2}, b"{}")).payload == "{}"


def test_the_body_of_a_delete_is_not_read() -> None:
    header = {"method": "message", "id": "TM1", "payload_type": "application/json", "http_request": {"method": "DELETE"}, "payload_size": 9}
    assert decode(raw(header, b"data_sync")).payload is None
