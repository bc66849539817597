"""A stream over a real socket: every frame once and in order, nothing said to Twilio but pongs and a close, every end told once."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import time

import pytest

from integration.media_rig import CALL, connected, frame, media, on_uvloop, running, start, stop
from voiceassist_relay.media.connection import MediaTimes


def payloads(count: int, seed: int = 7) -> list[str]:
    source = random.Random(seed)
    return [base64.b64encode(source.randbytes(source.choice([1, 20, 160, 160, 320, 4000]))).decode() for _ in range(count)]


@on_uvloop
async def test_every_frame_arrives_once_and_in_order_however_the_bytes_are_cut():
    sent = payloads(400)
    async with running() as rig:
        client, sink = await rig.stream()
        tracks = ["inbound" if n % 3 else "outbound" for n in range(len(sent))]
        wire = b"".join(frame(media(n + 2, payload, track)) for n, (payload, track) in enumerate(zip(sent, tracks, strict=True)))
        source, at = random.Random(3), 0
        began = time.monotonic()
        while at < len(wire):
            size = source.choice([1, 3, 7, 100, 2000, 70000])
            client.writer.write(wire[at : at + size])
            await client.writer.drain()
            await asyncio.sleep(0)
            at += size
        client.send(stop(len(sent) + 2))
        reply = await client.finish()
        assert [(inbound, payload.decode()) for inbound, payload, _ in sink.frames] == [
            (track == "inbound", payload) for payload, track in zip(sent, tracks, strict=True)
        ]
        moments = [arrived for _, _, arrived in sink.frames]
        assert moments == sorted(moments)
        assert began <= moments[0] <= moments[-1] <= time.monotonic()
        assert (sink.endings, [op for op, _ in reply.frames], reply.close_code) == (["stop"], [8], 1000)
        assert rig.count("media_gaps_total", kind="sequence") == 0


@on_uvloop
async def test_nothing_is_said_to_twilio_but_pongs_and_one_close():
    async with running() as rig:
        client, sink = await rig.stream(media(2), frame("one", op=9), media(3), frame("two", op=9), frame("", op=10))
        await asyncio.sleep(0.3)
        client.send(frame("three", op=9), stop(4))
        reply = await client.finish()
        assert reply.frames[:3] == [(10, b"one"), (10, b"two"), (10, b"three")]
        assert [op for op, _ in reply.frames] == [10, 10, 10, 8]
        assert len(sink.frames) == 2


@on_uvloop
async def test_fragmented_messages_work_with_a_ping_between():
    async with running() as rig:
        text = media(2)
        client, sink = await rig.stream(
            frame(text[:20], fin=False), frame("p", op=9), frame(text[20:50], op=0, fin=False), frame(text[50:], op=0), media(3), stop(4)
        )
        reply = await client.finish()
        assert len(sink.frames) == 2
        assert [op for op, _ in reply.frames] == [10, 8]


@on_uvloop
async def test_frames_sent_along_with_the_request_are_not_lost():
    async with running() as rig:
        client = await rig.upgrade(rest=frame(connected()) + frame(start()) + frame(media(2)) + frame(stop(3)))
        assert (await client.finish()).close_code == 1000
        assert (len(rig.calls.opened[0].frames), rig.calls.opened[0].endings) == (1, ["stop"])


@on_uvloop
async def test_what_is_not_audio_is_ignored_and_counted_and_what_comes_twice_is_dropped():
    odd = [
        json.dumps({"event": "dtmf", "sequenceNumber": "3", "streamSid": "x", "dtmf": {"digit": "1"}}),
        json.dumps({"event": "mark", "sequenceNumber": "4", "mark": {"name": "m"}}),
        json.dumps({"event": "weather", "sequenceNumber": "5"}),
        json.dumps({"no": "event"}),
    ]
    async with running() as rig:
        client, sink = await rig.stream(
            media(2),
            *odd,
            media(2, "AAAA"),
            media(6, "BBBB"),
            media(6, "CCCC"),
            media(10, "DDDD", timestamp=1000),
            media(11, "EEE"),
            stop(12),
        )
        await client.finish()
        assert [payload for _, payload, _ in sink.frames] == [b"//7+/v7+/v4=", b"BBBB", b"DDDD"]
        assert rig.count("unknown_messages_total", peer="twilio") == 2
        assert rig.count("frames_total", track="customer", outcome="duplicate") == 2
        assert rig.count("frames_total", track="customer", outcome="malformed") == 1
        assert rig.count("media_gaps_total", kind="sequence") == 3
        assert rig.count("media_gaps_total", kind="timestamp") == 2


# ends


@on_uvloop
async def test_a_lost_socket_is_told_once():
    async with running() as rig:
        for cut in ("fin", "reset", "close"):
            client, sink = await rig.stream(media(2))
            if cut == "fin":
                client.writer.close()
            elif cut == "reset":
                client.writer.transport.abort()
            else:
                client.send(frame(b"\x03\xe8bye", op=8))
                reply = await client.finish(answer_close=False)
                assert reply.frames == [(8, b"\x03\xe8bye")]
            await asyncio.wait_for(sink.over.wait(), 5)
            await rig.until(lambda: not rig.server.server_state.connections)
            assert sink.endings == ["socket"]
        assert rig.outcomes() == {"accepted": 3}


@on_uvloop
async def test_a_peer_that_leaves_before_its_start_gives_its_place_back():
    async with running() as rig:
        for how in ("fin", "close"):
            client = await rig.upgrade()
            await client.head()
            client.send(connected(), *([frame(b"\x03\xe8", op=8)] if how == "close" else []))
            client.writer.close()
            await rig.until(lambda: not rig.server.server_state.connections)
        assert (rig.outcomes(), rig.calls.reserved, rig.calls.opened) == ({"gone": 2}, 0, [])


@on_uvloop
async def test_a_peer_that_never_completes_the_close_is_aborted():
    async with running(times=MediaTimes(start=5, close=0.2)) as rig:
        client, sink = await rig.stream(stop(2))
        began = time.monotonic()
        reply = await client.finish(answer_close=False)
        assert reply.close_code == 1000
        assert 0.1 < time.monotonic() - began < 3
        assert (sink.endings, len(rig.server.server_state.connections)) == (["stop"], 0)


@on_uvloop
async def test_a_peer_that_sends_on_after_our_close_is_not_heard_and_is_aborted():
    async with running(times=MediaTimes(start=5, close=0.2)) as rig:
        client, sink = await rig.stream(stop(2))
        deadline = time.monotonic() + 3
        while rig.server.server_state.connections and time.monotonic() < deadline:
            client.send(media(3), frame("x", op=9))
            await asyncio.sleep(0.02)
        assert not rig.server.server_state.connections
        assert (sink.frames, sink.endings) == ([], ["stop"])


@on_uvloop
async def test_the_bridge_closes_once_and_hears_of_it_once():
    async with running() as rig:
        client, sink = await rig.stream(media(2))
        await rig.until(lambda: sink.frames)
        sink.connection.close(1001, "r" * 300)
        sink.connection.close(1011, "later")
        client.send(media(3))
        reply = await client.finish()
        assert (reply.close_code, len(reply.frames)) == (1001, 1)
        await asyncio.wait_for(sink.over.wait(), 5)
        sink.connection.close(1011, "after the end")
        assert (sink.endings, len(sink.frames), rig.outcomes()) == (["closed"], 1, {"accepted": 1})


@on_uvloop
async def test_a_replaced_connection_is_counted():
    async with running() as rig:
        client, sink = await rig.stream()
        sink.connection.close(1008, "replaced")
        sink.connection.close(1008, "replaced")
        assert (await client.finish()).close_code == 1008
        assert rig.outcomes() == {"accepted": 1, "replaced": 1}


@on_uvloop
async def test_silence_is_no_end_but_for_ever_is():
    async with running(times=MediaTimes(start=5, close=0.2, idle=1.0)) as rig:
        client, sink = await rig.stream()
        for sequence in range(2, 7):
            await asyncio.sleep(0.3)
            client.send(media(sequence))
        assert sink.endings == []
        reply = await client.finish()
        assert (reply.close_code, sink.endings, len(sink.frames)) == (1000, ["idle"], 5)


@on_uvloop
async def test_uvicorns_shutdown_does_not_end_a_call():
    async with running() as rig:
        client, sink = await rig.stream(media(2))
        (connection,) = rig.server.server_state.connections
        connection.shutdown()
        client.send(media(3), frame("still?", op=9))
        assert await client.next_frame() == (10, b"still?")
        assert (len(sink.frames), sink.endings) == (2, [])


@on_uvloop
async def test_the_socket_is_told_to_notice_a_dead_peer_and_to_send_at_once():
    async with running() as rig:
        await rig.stream()
        (connection,) = rig.server.server_state.connections
        peer = connection._transport.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


@on_uvloop
async def test_a_peer_that_reads_no_pongs_is_dropped(monkeypatch):
    """Though its pings come at a rate that is allowed."""
    monkeypatch.setattr("voiceassist_relay.media.frame_decoder.OTHER_FRAMES_PER_SECOND", 1e6)
    monkeypatch.setattr("voiceassist_relay.media.frame_decoder.OTHER_FRAMES", 10**6)
    async with running() as rig:
        client, sink = await rig.stream()
        client.send(frame("", op=9))
        assert (await client.next_frame())[0] == 10
        client.writer.transport.pause_reading()
        ping = frame("x" * 125, op=9) * 2000
        with pytest.raises((ConnectionError, TimeoutError)):
            async with asyncio.timeout(20):
                while True:
                    client.writer.write(ping)
                    await client.writer.drain()
        assert sink.endings == ["socket"]
        client.writer.transport.abort()


@on_uvloop
async def test_refusals_are_logged_once_with_a_hash_and_never_a_secret(capsys):
    async with running() as rig:
        client = await rig.upgrade()
        client.send(start(call="CA" + "9" * 32))
        await client.finish()
        for _ in range(80):
            await (await rig.upgrade(signed=None)).finish()
    lines = capsys.readouterr().out.splitlines()
    assert [("stream refused" in line, "other_call" in line) for line in lines[:1]] == [(True, True)]
    assert 50 <= len(lines) < 75
    assert all(CALL not in line and "ppp" not in line for line in lines)
