"""The media side against the stand-in's stream player, which shares no code with it and fails a stream as Twilio would."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from integration.media_rig import ACCOUNT, CALL, PRIMARY, Rig, on_uvloop, running, stream_token
from voiceassist_sim.twilio.streams.dialer import Dialer
from voiceassist_sim.twilio.streams.direct import play
from voiceassist_sim.twilio.streams.faults import StreamFaults
from voiceassist_sim.twilio.streams.media_stream import MediaStream


@dataclass
class Recording:
    customer: bytes
    agent: bytes | None


RECORDING = Recording(bytes(n * 7 % 256 for n in range(8000)), bytes(n * 11 % 251 for n in range(8000)))


async def played(rig: Rig, *, url: str = f"wss://assist.example.com/voice/ws/{CALL}", **faults: Any) -> MediaStream:
    dialer = Dialer({"assist.example.com": ("127.0.0.1", rig.port)}, None)
    parameters = {"token": stream_token()}
    return await play(
        url,
        RECORDING,
        auth_token=PRIMARY,
        dialer=dialer,
        call_sid=CALL,
        account_sid=ACCOUNT,
        parameters=parameters,
        faults=StreamFaults(**faults),
    )


def heard(rig: Rig) -> dict[str, str]:
    (sink,) = rig.calls.opened
    return {
        track: hashlib.sha256(b"".join(base64.b64decode(payload) for side, payload, _ in sink.frames if side is inbound)).hexdigest()
        for track, inbound in (("inbound", True), ("outbound", False))
    }


READINGS: dict[str, dict[str, Any]] = {
    "as documented": {},
    "closed at stop": {"close_at_stop": True},
    "one chunk counter": {"shared_chunk": True},
    "silent gaps": {"silent_gaps": True},
    "odd lengths": {"payload_lengths": (1, 160, 333, 2000)},
    "fragments and pings": {"fragments": 3, "ping_every_ms": 50},
    "unknown events and fields": {"unknown_events_every": 7, "unknown_fields": True},
    "some twice": {"duplicate": frozenset({5, 9})},
}


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS.keys())
@on_uvloop
async def test_every_byte_arrives_in_every_reading_of_the_protocol(reading):
    async with running() as rig:
        stream = await played(rig, **reading)
        assert (stream.state, stream.failure) == ("stopped", None)
        if "duplicate" in reading:  # which the stand-in's account has twice
            assert RECORDING.agent is not None
            sent = {"inbound": hashlib.sha256(RECORDING.customer).hexdigest(), "outbound": hashlib.sha256(RECORDING.agent).hexdigest()}
        else:
            sent = {track: account.sha256 for track, account in stream.ledger.tracks.items()}
        assert heard(rig) == sent
        assert rig.calls.opened[0].endings == ["stop"]
        assert rig.outcomes() == {"accepted": 1}
        assert rig.count("frames_total", track="customer", outcome="duplicate") + rig.count(
            "frames_total", track="agent", outcome="duplicate"
        ) == len(reading.get("duplicate", ()))
        assert (rig.count("unknown_messages_total", peer="twilio") > 0) is ("unknown_fields" in reading)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no signature": ({"signature": "none"}, "no_signature"),
    "wrong key": ({"signature": "wrong"}, "bad_signature"),
    "another call's address": ({"signature": "other_url"}, "bad_signature"),
    "https": ({"signature": "https"}, "bad_signature"),
    "a query": ({"query": "a=b"}, "query"),
    "no token": ({"parameters": {"token": None}}, "token_missing"),
    "another account": ({"start_fields": {"accountSid": "AC" + "9" * 32}}, "other_account"),
    "another call": ({"start_fields": {"callSid": "CA" + "9" * 32}}, "other_call"),
    "media before start": ({"media_before_start": 1}, "media_before_start"),
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.values(), ids=FAULTS.keys())
@on_uvloop
async def test_a_stream_that_is_not_ours_fails_at_twilio_and_opens_nothing(fault, reason):
    async with running() as rig:
        stream = await played(rig, **fault)
        assert stream.state == "failed"
        assert stream.failure is not None
        assert (rig.calls.opened, rig.calls.reserved, rig.outcomes()) == ([], 0, {reason: 1})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"second_start_at": 5}, "second_start"), ({"binary_at": frozenset({5})}, "binary"), ({"oversize_at": frozenset({5})}, "too_big")],
    ids=["second start", "binary", "over 64 KiB"],
)
@on_uvloop
async def test_a_stream_that_goes_wrong_ends_its_call(fault, reason):
    async with running() as rig:
        stream = await played(rig, **fault)
        assert stream.state == "failed"
        assert rig.calls.opened[0].endings == [reason]
        assert rig.outcomes() == {"accepted": 1, reason: 1}


@on_uvloop
async def test_a_stream_cut_in_the_middle():
    async with running() as rig:
        await played(rig, cut_at_ms=300)
        await rig.until(lambda: rig.calls.opened[0].endings)
        assert rig.calls.opened[0].endings == ["socket"]
