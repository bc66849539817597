"""What Twilio holds against a server on a unidirectional stream."""

import asyncio
import base64
import socket
import struct

import pytest

from voiceassist_sim.twilio.streams import StreamFaults, open_stream

from .conftest import HOST, TOKEN, TwoSides, listen


async def ended(request, recording, relay, faults=None):
    stream = await open_stream(request, recording, TOKEN, relay.dialer(), faults)
    async with asyncio.timeout(10):
        await stream.ended()
    return stream


def sending(action):
    async def behave(websocket, heard):
        await websocket.recv()
        await action(websocket)
        await websocket.wait_closed()
        heard.messages.append(f"closed {websocket.close_code}")

    return behave


async def raw(websocket, data):
    websocket.transport.write(data)
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("action", "seen"),
    [
        (lambda ws: ws.send('{"event":"clear"}'), "text"),
        (lambda ws: ws.send(b"\x00"), "binary"),
        (lambda ws: ws.send(["{", "}"]), "text"),
        (lambda ws: raw(ws, b"\x83\x00"), "opcode"),
        (lambda ws: raw(ws, b"\x81\x81\x00\x00\x00\x00x"), "masking"),
        (lambda ws: raw(ws, b"\xc1\x01x"), "reserved"),
    ],
    ids=["text", "binary", "fragments", "unknown-opcode", "masked", "reserved-bits"],
)
async def test_anything_but_control_frames_is_31924_and_the_end(relay, request_of, recording, action, seen):
    relay.behaviour = sending(action)
    stream = await ended(request_of(), recording, relay)
    assert stream.state == "failed"
    error = stream.stats["error"]
    assert error["code"] == 31924
    assert seen in error["detail"] or seen == "opcode"
    await relay.heard[0].ended.wait()
    assert relay.heard[0].messages == ["closed 1002"]


async def test_a_ping_is_answered_and_ends_nothing(relay, request_of, recording):
    answered = []

    async def pinging(websocket, heard):
        answered.append(await (await websocket.ping()))
        await listen(websocket, heard)

    relay.behaviour = pinging
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), until_ms=300)
    await stream.ended()
    assert (stream.state, stream.stats["error"], len(answered)) == ("stopped", None, 1)


async def test_what_the_server_sends_is_counted(relay, request_of, recording):
    async def talk(websocket):
        await websocket.ping()
        await websocket.send("a")

    relay.behaviour = sending(talk)
    stats = (await ended(request_of(), recording, relay)).stats
    assert stats["received"]["pings"] == 1
    assert stats["errors"][0]["code"] == 31924


async def test_data_after_stop_is_an_error_too_though_it_ends_nothing(relay, request_of, recording):
    async def late_talker(websocket, heard):
        await listen(websocket, heard)
        await websocket.send("thanks")

    relay.behaviour = late_talker
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), until_ms=40)
    await stream.ended()
    assert stream.state == "stopped"
    assert [error["code"] for error in stream.stats["errors"]] == [31924]


async def test_an_unasked_pong_is_allowed_and_counted(relay, request_of, recording):
    async def behave(websocket, heard):
        await websocket.pong()
        await listen(websocket, heard)

    relay.behaviour = behave
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), until_ms=60)
    await stream.ended()
    assert (stream.state, stream.stats["received"]["pongs"]) == ("stopped", 1)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011])
async def test_a_close_while_streaming_is_31921_with_its_code_and_reason(relay, request_of, recording, code):
    relay.behaviour = sending(lambda ws: ws.close(code, "because"))
    stream = await ended(request_of(), recording, relay)
    assert stream.state == "failed"
    assert stream.stats["error"]["code"] == 31921
    assert stream.stats["serverClose"] == {"code": code, "reason": "because", "early": True}


async def test_a_close_in_the_same_breath_as_the_101_is_not_overlooked(relay, request_of, recording):
    async def at_once(websocket, _):
        await websocket.close(1013, "full")

    relay.behaviour = at_once
    stream = await ended(request_of(), recording, relay)
    assert stream.stats["error"]["code"] == 31921
    assert stream.stats["serverClose"]["code"] == 1013


async def test_data_in_the_same_segment_as_the_101_is_not_overlooked(relay, request_of, recording):
    def answer_and_talk(connection, request):
        asyncio.get_running_loop().call_soon(connection.transport.write, b"\x81\x02hi")

    relay.process_request = answer_and_talk
    stream = await ended(request_of(), recording, relay)
    assert stream.stats["error"]["code"] == 31924


async def test_a_connection_that_ends_without_a_close_frame_is_31921(relay, request_of, recording):
    async def hang_up(websocket):
        websocket.transport.write_eof()

    relay.behaviour = sending(hang_up)
    stream = await ended(request_of(), recording, relay)
    assert stream.stats["error"]["code"] == 31921
    assert stream.stats["serverClose"] is None


async def test_a_reset_connection_is_31903(relay, request_of, recording):
    async def reset(websocket):
        sock = websocket.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        websocket.transport.abort()

    relay.behaviour = sending(reset)
    stream = await ended(request_of(), recording, relay)
    assert stream.stats["error"]["code"] == 31903


async def test_a_server_that_reads_too_slowly_loses_audio_and_not_the_stream(relay, request_of):
    recording = TwoSides(bytes(index % 120 for index in range(8000 * 60)), None)
    reading = asyncio.Event()

    async def slow(websocket, heard):
        websocket.transport.pause_reading()
        await reading.wait()
        websocket.transport.resume_reading()
        await listen(websocket, heard)

    relay.behaviour = slow
    faults = StreamFaults(flood=200, send_buffer_bytes=100_000)
    stream = await open_stream(request_of(track="inbound_track"), recording, TOKEN, relay.dialer(), faults)
    async with asyncio.timeout(20):
        while stream.stats["tracks"]["inbound"]["discarded"] < 50:
            await asyncio.sleep(0.02)
    faults.flood = 1
    assert stream.state == "streaming"
    reading.set()
    async with asyncio.timeout(20):
        discarded = -1
        while discarded != (discarded := stream.stats["tracks"]["inbound"]["discarded"]):  # until the buffer has room again
            await asyncio.sleep(0.1)
    await stream.stop()
    stats, heard = stream.stats, relay.heard[0]
    assert [(warning["code"], warning["count"]) for warning in stats["warnings"]] == [(31930, discarded)]
    assert stats["errors"] == []
    media = heard.events("media")
    assert len(media) == stats["framesSent"] == stats["mediaMade"] - discarded
    missing = int(media[-1]["sequenceNumber"]) - 1 - len(media)
    assert missing == discarded  # what was thrown away leaves a gap in the sequence
    for event in media:  # and what did arrive is in its place
        at = int(event["media"]["timestamp"]) * 8
        assert base64.b64decode(event["media"]["payload"]) == recording.customer[at : at + 160].ljust(160, b"\xff")


async def test_a_stop_gets_through_to_a_server_that_had_been_slow(relay, request_of, recording):
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), StreamFaults(send_buffer_bytes=0), until_ms=100)
    await stream.ended()
    assert relay.heard[0].events()[-1]["event"] == "stop"
    assert HOST in stream.stats["url"]
