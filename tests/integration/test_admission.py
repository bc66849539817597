"""Who gets in over real sockets: each refusal opens no call, is counted once, and ends as it should."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from integration.media_rig import (
    ACCOUNT,
    CALL,
    NOW,
    OTHER_CALL,
    PRIMARY,
    SECONDARY,
    STRANGER,
    RecordedCalls,
    connected,
    frame,
    media,
    on_uvloop,
    running,
    sign,
    snapshot,
    start,
    stop,
    stream_token,
)
from voiceassist_crds.names import PROBE_HEADER
from voiceassist_crds.proof import probe_answer
from voiceassist_relay.media.connection import MediaTimes
from voiceassist_relay.rate_limits import Rate

URL = f"wss://assist.example.com/voice/ws/{CALL}"


# refused before 101

BEFORE = {
    "no signature": ({"signed": None}, 403, "no_signature"),
    "empty signature": ({"signed": None, "headers": "X-Twilio-Signature: \r\n"}, 403, "no_signature"),
    "wrong key": ({"key": STRANGER}, 403, "bad_signature"),
    "another call's URL": ({"signed": URL.replace(CALL, OTHER_CALL)}, 403, "bad_signature"),
    "https for wss": ({"signed": URL.replace("wss:", "https:")}, 403, "bad_signature"),
    "the ingress's own address": ({"signed": f"wss://internal:8080/voice/ws/{CALL}"}, 403, "bad_signature"),
    "two signatures": ({"headers": f"X-Twilio-Signature: {sign(URL)}\r\n"}, 403, "bad_signature"),
    "a query added": ({"target": f"/voice/ws/{CALL}?a=b"}, 403, "query"),
    "a query added and signed": ({"target": f"/voice/ws/{CALL}?a=b", "signed": URL + "?a=b"}, 403, "query"),
    "an empty query": ({"target": f"/voice/ws/{CALL}?"}, 403, "query"),
    "no prefix": ({"target": f"/ws/{CALL}", "signed": f"wss://assist.example.com/ws/{CALL}"}, 404, "bad_path"),
    "not a call": ({"target": "/voice/ws/CA1", "signed": "wss://assist.example.com/voice/ws/CA1"}, 404, "bad_path"),
    "a slash more": ({"target": f"/voice//ws/{CALL}"}, 404, "bad_path"),
    "an escaped path": ({"target": f"/voice/ws%2f{CALL}"}, 404, "bad_path"),
    "a whole address": ({"target": f"http://x/voice/ws/{CALL}"}, 404, "bad_path"),
    "no websocket key": ({"drop": "Sec-WebSocket-Key"}, 400, "bad_handshake"),
    "another version": ({"drop": "Version", "headers": "Sec-WebSocket-Version: 8\r\n"}, 400, "bad_handshake"),
}


@pytest.mark.parametrize(("asked", "status", "reason"), BEFORE.values(), ids=BEFORE.keys())
@on_uvloop
async def test_refused_before_the_upgrade(asked, status, reason):
    async with running() as rig:
        reply = await (await rig.upgrade(**asked)).finish()
        assert (reply.status, reply.frames, reply.clean) == (status, [], True)
        assert rig.outcomes() == {reason: 1}
        assert (rig.calls.opened, rig.calls.reserved) == ([], 0)


@pytest.mark.parametrize(("change", "reason"), [({"places": 0}, "full"), ({"refusing": True}, "draining")], ids=["full", "draining"])
@on_uvloop
async def test_no_place_is_said_before_the_upgrade_and_only_to_who_signed(change, reason):
    async with running(calls=RecordedCalls(**change)) as rig:
        stranger = await (await rig.upgrade(key=STRANGER)).finish()
        reply = await (await rig.upgrade()).finish()
        assert (stranger.status, reply.status) == (403, 503)
        assert int(reply.headers["retry-after"]) > 0
        assert rig.outcomes() == {"bad_signature": 1, reason: 1}
        assert (rig.calls.opened, rig.calls.reserved) == ([], 0)


@on_uvloop
async def test_a_place_is_held_from_the_upgrade_on():
    async with running(calls=RecordedCalls(places=1)) as rig:
        first = await rig.upgrade()
        assert await first.head() == 101
        assert (await (await rig.upgrade()).finish()).status == 503
        first.writer.close()
        await rig.until(lambda: rig.calls.reserved == 0)
        assert await (await rig.upgrade()).head() == 101
        assert rig.outcomes() == {"full": 1, "gone": 1}


@on_uvloop
async def test_a_flood_is_answered_with_429_and_unsigned_requests_take_nothing_from_the_others():
    async with running(upgrades=Rate(0.001, 5)) as rig:
        unsigned = [(await (await rig.upgrade(signed=None)).finish()).status for _ in range(10)]
        forged = [await (await rig.upgrade(key=STRANGER)).finish() for _ in range(8)]
        assert unsigned == [403] * 10
        assert [reply.status for reply in forged] == [403] * 5 + [429] * 3
        assert forged[-1].headers["retry-after"] == "1"
        assert rig.outcomes() == {"no_signature": 10, "bad_signature": 5, "rate": 3}


# refused after 101

TOKEN = stream_token()
NOT_UTF8 = b'{"event": "connected", "of no use": "\xff"}'
AFTER = {
    "token missing": ([connected(), start(None)], 1008, "token_missing"),
    "token empty": ([start(None, customParameters={"token": ""})], 1008, "token_missing"),
    "token not a text": ([start(None, customParameters={"token": 5})], 1008, "token_invalid"),
    "token of a stranger": ([start(stream_token(STRANGER))], 1008, "token_invalid"),
    "token expired": ([start(stream_token(exp=int(NOW)))], 1008, "token_expired"),
    "token of another call": ([start(stream_token(call=OTHER_CALL))], 1008, "token_other_call"),
    "token of another account": ([start(stream_token(account="AC" + "b" * 32))], 1008, "token_invalid"),
    "another account": ([start(account="AC" + "b" * 32)], 1008, "other_account"),
    "another call": ([start(call=OTHER_CALL)], 1008, "other_call"),
    "another call with its token": ([start(stream_token(call=OTHER_CALL), call=OTHER_CALL)], 1008, "other_call"),
    "no stream": ([start(streamSid="x")], 1008, "bad_start"),
    "a start without a body": ([json.dumps({"event": "start", "start": 7})], 1008, "bad_start"),
    "other audio": ([start(mediaFormat={"encoding": "audio/l16", "sampleRate": 16000, "channels": 1})], 1008, "bad_start"),
    "media before start": ([connected(), media(1), start()], 1008, "media_before_start"),
    "stop before start": ([connected(), stop(1), start()], 1008, "bad_start"),
    "not JSON": ([connected(), "{", start()], 1008, "not_json"),
    "not UTF-8": ([connected(), frame(NOT_UTF8), start()], 1007, "not_utf8"),
    "not UTF-8 in fragments": ([frame(NOT_UTF8[:-3], fin=False), frame(NOT_UTF8[-3:], op=0), start()], 1007, "not_utf8"),
    "no object": (["[]", start()], 1008, "not_json"),
    "binary": ([frame(connected(), op=2), start()], 1003, "binary"),
    "over 64 KiB": ([frame(json.dumps({"event": "connected", "x": "x" * 65536}))[:70000], start()], 1009, "too_big"),
    "over 64 KiB in fragments": ([frame("x" * 40000, fin=False), frame("x" * 40000, op=0), start()], 1009, "too_big"),
    "unmasked": ([frame(connected(), masked=False), start()], 1002, "protocol_error"),
    "fragments without end": ([frame(b"", fin=False) + frame(b"", op=0, fin=False) * 1300], 1008, "too_many"),
    "messages without audio": ([json.dumps({"event": "mark"})] * 1500, 1008, "too_many"),
    "reserved bits": ([b"\xc1" + frame(connected())[1:], start()], 1002, "protocol_error"),
}


@pytest.mark.parametrize(("sent", "code", "reason"), AFTER.values(), ids=AFTER.keys())
@on_uvloop
async def test_refused_after_the_upgrade(sent, code, reason):
    async with running() as rig:
        client = await rig.upgrade()
        client.send(*sent)
        reply = await client.finish()
        assert (reply.status, reply.close_code, reply.clean) == (101, code, True)
        assert [op for op, _ in reply.frames] == [8]
        assert rig.outcomes() == {reason: 1}
        assert (rig.calls.opened, rig.calls.reserved) == ([], 0)


@on_uvloop
async def test_pings_without_end_are_answered_for_a_while_and_then_the_stream_is_refused():
    async with running() as rig:
        client, sink = await rig.stream(frame(b"", op=9) * 1300)
        reply = await client.finish()
        assert [op for op, _ in reply.frames] == [10] * 1000 + [8]
        assert (reply.close_code, sink.endings, rig.outcomes()) == (1008, ["too_many"], {"accepted": 1, "too_many": 1})


@on_uvloop
async def test_no_start_in_time():
    async with running(times=MediaTimes(start=0.15, close=0.5)) as rig:
        client = await rig.upgrade()
        assert await client.head() == 101
        client.send(connected())
        reply = await client.finish()
        assert (reply.close_code, rig.outcomes(), rig.calls.opened, rig.calls.reserved) == (1008, {"start_timeout": 1}, [], 0)


@on_uvloop
async def test_the_time_for_a_start_is_ten_seconds_unless_said_otherwise():
    assert (MediaTimes().start, MediaTimes().close, MediaTimes().idle) == (10, 5, 3600)


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (start(), 1008, "second_start"),
        (start(stream_token(call=OTHER_CALL), call=OTHER_CALL), 1008, "second_start"),
        (frame(b"x", op=2), 1003, "binary"),
        (frame("x" * 65537)[:70000], 1009, "too_big"),
        ("{", 1008, "not_json"),
        (frame(media(2).replace("chunk", "ch\xffnk").encode("latin-1")), 1007, "not_utf8"),
        (frame("x", masked=False), 1002, "protocol_error"),
    ],
    ids=["second start", "second start of another call", "binary", "too big", "not JSON", "not UTF-8", "unmasked"],
)
@on_uvloop
async def test_refused_in_the_middle_of_a_call(sent, code, reason):
    async with running() as rig:
        client, sink = await rig.stream(media(2), sent, media(3))
        reply = await client.finish()
        assert reply.close_code == code
        assert rig.outcomes() == {"accepted": 1, reason: 1}
        assert (len(rig.calls.opened), sink.endings, len(sink.frames), rig.calls.reserved) == (1, [reason], 1, 0)


# let in


@pytest.mark.parametrize("key", [PRIMARY, SECONDARY], ids=["primary", "secondary"])
@pytest.mark.parametrize("signed", [URL, URL + "/", URL.replace(".com/", ".com:443/")])
@on_uvloop
async def test_let_in_with_either_token_and_every_form_of_the_address(key, signed):
    async with running() as rig:
        client = await rig.upgrade(signed=signed, key=key)
        client.send(connected(), start(stream_token(key)), media(2), stop(3))
        reply = await client.finish()
        assert (reply.status, reply.close_code) == (101, 1000)
        (sink,) = rig.calls.opened
        assert (sink.start.call_sid, sink.start.claims.generation, sink.start.tracks) == (CALL, 2, ("inbound", "outbound"))
        assert (sink.endings, rig.outcomes(), rig.calls.reserved) == (["stop"], {"accepted": 1}, 0)


@on_uvloop
async def test_secrets_are_those_of_the_moment():
    async with running() as rig:
        client = await rig.upgrade()
        assert await client.head() == 101
        rig.snapshots.append(snapshot(twilio={"accountSid": "AC" + "b" * 32, "syncServiceSid": "IS" + "0" * 32}))
        client.send(start())
        assert (await client.finish()).close_code == 1008
        assert rig.outcomes() == {"other_account": 1}


@on_uvloop
async def test_without_checks_neither_signature_nor_token_is_needed_but_the_call_must_fit():
    async with running(checks="Off") as rig:
        client = await rig.upgrade(signed=None)
        client.send(start(None))
        await rig.until(lambda: rig.calls.opened)
        assert rig.calls.opened[0].start.claims.generation == 1
        other = await rig.upgrade(signed=None)
        other.send(start(None, call=OTHER_CALL))
        assert (await other.finish()).close_code == 1008
        with_token = await rig.upgrade(signed=None)
        with_token.send(start())
        await rig.until(lambda: len(rig.calls.opened) == 2)
        assert rig.calls.opened[1].start.claims.generation == 2
        assert rig.outcomes() == {"accepted": 2, "other_call": 1}


@on_uvloop
async def test_a_probe_is_answered_and_opens_nothing():
    nonce = "abcDEF_-123"
    async with running(calls=RecordedCalls(places=0)) as rig:
        target = f"/voice/ws/probe/{nonce}"
        for key in (PRIMARY, SECONDARY):
            client = await rig.upgrade(target, signed=f"wss://assist.example.com{target}", key=key)
            reply = await client.finish()
            assert (reply.status, reply.close_code) == (101, 1000)
            assert reply.headers[PROBE_HEADER.lower()] == probe_answer(key, nonce)
        assert (await (await rig.upgrade(target, signed=None)).finish()).status == 403
        assert (await (await rig.upgrade("/voice/ws/probe/x", signed=None)).finish()).status == 404
        assert rig.outcomes() == {"probe": 2, "no_signature": 1, "bad_path": 1}
        assert (rig.calls.opened, rig.calls.reserved) == ([], 0)


@on_uvloop
async def test_a_probe_cannot_go_on_as_a_stream():
    target = "/voice/ws/probe/abcdefgh"
    async with running() as rig:
        client = await rig.upgrade(target, signed=f"wss://assist.example.com{target}")
        client.send(start(), media(2))
        assert (await client.finish()).close_code == 1000
        assert (rig.calls.opened, rig.outcomes()) == ([], {"probe": 1})


@on_uvloop
async def test_a_full_websocket_client_is_let_in_without_compression_and_subprotocol():
    async with running() as rig:
        async with connect(
            f"ws://127.0.0.1:{rig.port}/voice/ws/{CALL}",
            additional_headers={"X-Twilio-Signature": sign(URL)},
            subprotocols=["a.b"],  # type: ignore[list-item]
        ) as websocket:
            assert websocket.response is not None
            assert "Sec-WebSocket-Extensions" not in websocket.response.headers
            assert websocket.subprotocol is None
            await websocket.send(connected())
            await websocket.send(start())
            await websocket.send(media(2))
            await (await websocket.ping())
            await websocket.send(stop(3))
            await websocket.wait_closed()
            assert (websocket.close_code, websocket.protocol.close_rcvd_then_sent) == (1000, True)
        assert rig.calls.opened[0].endings == ["stop"]


@on_uvloop
async def test_a_silent_stream_is_pinged_as_often_as_the_configuration_says():
    async with running() as rig:
        rig.snapshots.append(snapshot(limits={"streamPingSeconds": 0.1}))
        client, sink = await rig.stream()
        began = asyncio.get_running_loop().time()
        assert [await client.next_frame() for _ in range(4)] == [(9, b"")] * 4
        assert asyncio.get_running_loop().time() - began >= 0.35
        client.send(media(2), stop(3))
        assert (await client.finish()).close_code == 1000
        assert (len(sink.frames), sink.endings) == (1, ["stop"]), "that no pong came has ended nothing"


@on_uvloop
async def test_pongs_are_taken_and_a_stream_without_pings_gets_none():
    async with running() as rig:
        rig.snapshots.append(snapshot(limits={"streamPingSeconds": 0.05}))
        client, sink = await rig.stream()
        for number in range(5):
            assert await client.next_frame() == (9, b"")
            client.send(frame(b"", op=10), media(number + 2))
        await rig.until(lambda: len(sink.frames) == 5)
        rig.snapshots.append(snapshot(limits={"streamPingSeconds": 0}))
        quiet, _ = await rig.stream()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(quiet.next_frame(), 0.3)


@on_uvloop
async def test_a_header_that_a_proxy_doubled_is_named():
    async with running() as rig:
        url = f"wss://assist.example.com/voice/ws/{CALL}"
        for double in (f"X-Twilio-Signature: {sign(url)}\r\n", ""):
            signed = "X-Twilio-Signature: " + (sign(url) if double else f"{sign(url)}, {sign(url)}") + "\r\n"
            reply = await (await rig.upgrade(signed=None, headers=signed + double)).finish()
            assert (reply.status, reply.body) == (403, b"bad_signature\nX-Twilio-Signature was there 2 times\n")


# the registry's word


@on_uvloop
async def test_a_registry_that_has_a_newer_generation():
    calls = RecordedCalls(close_at_once=(1008, "superseded"))
    async with running(calls=calls) as rig:
        client = await rig.upgrade()
        client.send(start(), media(2))
        assert (await client.finish()).close_code == 1008
        assert (rig.outcomes(), rig.calls.reserved) == ({"superseded": 1}, 0)
        assert all(sink.frames == [] for sink in calls.opened)


@on_uvloop
async def test_an_error_of_ours_ends_this_call_with_1011_and_no_other():
    async with running() as rig:
        client, sink = await rig.stream()
        other, other_sink = await rig.stream()
        sink.fault = RuntimeError("broken")
        client.send(media(2), media(3))
        assert (await client.finish()).close_code == 1011
        assert sink.endings == ["internal_error"]
        other.send(media(2))
        await rig.until(lambda: other_sink.frames)
        rig.calls.fault = RuntimeError("broken")
        third = await rig.upgrade()
        third.send(start())
        assert (await third.finish()).close_code == 1011
        assert rig.outcomes() == {"accepted": 2, "internal_error": 2}


def test_the_rig_signs_for_itself():
    assert ACCOUNT.startswith("AC")
    assert sign("wss://relay.example.com/media", "authtok") == "5RyyovjKfuKsQz9D1epgpo/HUxI="
