"""A stream in the good case, over real sockets."""

import asyncio
import base64
import hashlib
import time
from itertools import pairwise

import pytest
import uvloop
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import serve

from voiceassist_sim.twilio.streams import MediaStream, StreamFaults, StreamRefused, open_stream, play

from .conftest import CALL, HOST, TOKEN, RelayServer, TwoSides


def audio_of(heard, track):
    return b"".join(base64.b64decode(event["media"]["payload"]) for event in heard.events("media") if event["media"]["track"] == track)


def made(request, recording, relay, **changes):
    values = {
        "recording": recording,
        "started_at": None,
        "auth_token": lambda: TOKEN,
        "dialer": relay.dialer(),
        "faults": StreamFaults(),
        "on_ended": lambda _: None,
    }
    return MediaStream(request, **{**values, **changes})


async def test_the_upgrade_looks_like_twilios_and_twilios_package_accepts_it(relay, recording):
    url = f"wss://{HOST}/ws/{CALL}"
    await play(url, recording, auth_token=TOKEN, dialer=relay.dialer(), call_sid=CALL, seconds=0.02)
    heard = relay.heard[0]
    assert heard.path == f"/ws/{CALL}"
    assert heard.headers["host"] == HOST
    assert heard.headers["user-agent"].startswith("Twilio")
    assert "sec-websocket-extensions" not in heard.headers
    assert RequestValidator(TOKEN).validate(url, {}, heard.headers["x-twilio-signature"])
    assert not RequestValidator(TOKEN).validate(url + "x", {}, heard.headers["x-twilio-signature"])


async def test_the_whole_recording_arrives_once_in_order_and_the_books_agree(relay, request_of, recording):
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), until_ms=300)
    await stream.ended()
    heard = relay.heard[0]
    events = heard.events()
    assert [event["event"] for event in events] == ["connected", "start", *["media"] * 30, "stop"]
    assert [int(event["sequenceNumber"]) for event in events[1:]] == list(range(1, 33))
    assert events[1]["start"]["customParameters"] == {"token": "abc.def", "generation": "1"}
    assert audio_of(heard, "inbound") == recording.customer + b"\xff" * 800
    assert audio_of(heard, "outbound") == recording.agent + b"\xff" * 800
    stats = stream.stats
    assert stats["state"] == "stopped"
    assert stats["error"] is None
    assert stats["errors"] == stats["warnings"] == []
    assert stats["tracks"]["inbound"]["sha256"] == hashlib.sha256(audio_of(heard, "inbound")).hexdigest()
    assert stats["tracks"]["outbound"]["sha256"] == hashlib.sha256(audio_of(heard, "outbound")).hexdigest()
    assert (stats["framesSent"], stats["messagesSent"], stats["lastSequenceNumber"]) == (30, 33, 32)
    assert stats["serverClose"] == {"code": 1000, "reason": "", "early": False}
    assert stats["recordingEnded"] is True
    assert stats["received"] == {"data": 0, "pings": 0, "pongs": 0}


async def test_frames_go_out_in_real_time_and_each_when_its_last_sample_was_spoken(relay, request_of, recording):
    stream = await open_stream(request_of(track="inbound_track"), recording, TOKEN, relay.dialer(), until_ms=400)
    began = stream.stats["openedAt"]
    await stream.ended()
    frames = stream.sent_frames
    assert [frame.position_ms for frame in frames] == [20.0 * index for index in range(20)]
    delays = sorted(frame.loop_time - (began + (frame.position_ms + 20) / 1000) for frame in frames)
    assert delays[0] > -0.002  # none is early
    assert delays[5] < 0.1  # and the machine may be busy
    assert stream.ledger.sent_at("inbound", 199) == frames[9].loop_time
    assert time.monotonic() - frames[9].loop_time < 5  # the loop's time is the machine's monotonic clock


async def test_time_lost_in_a_stalled_process_is_made_up_for_and_counted(relay, request_of, recording):
    stream = await open_stream(request_of(track="inbound_track"), recording, TOKEN, relay.dialer(), until_ms=600)
    began = stream.stats["openedAt"]
    await relay.connected.wait()
    await relay.heard[0].count(5)
    time.sleep(0.2)
    await stream.ended()
    delays = [frame.loop_time - began - (frame.position_ms + 20) / 1000 for frame in stream.sent_frames]
    assert len(delays) == 30
    assert max(delays) > 0.15
    assert min(delays[-10:]) < 0.03  # back on the schedule that was laid at the start
    assert stream.stats["lateSlots"] >= 7
    assert stream.stats["longestDelayMs"] > 150


async def test_a_stream_that_comes_late_plays_from_the_current_position_in_whole_frames_of_the_call(relay, request_of):
    recording = TwoSides(bytes(index // 160 % 250 for index in range(160 * 300)), None)
    now = asyncio.get_running_loop().time()
    first = await open_stream(request_of(), recording, TOKEN, relay.dialer(), started_at=now - 2.007, until_ms=100)
    second = await open_stream(request_of(), recording, TOKEN, relay.dialer(), started_at=now - 2.007, until_ms=100)
    await first.ended()
    await second.ended()
    for stream, heard in zip((first, second), relay.heard, strict=True):
        media = [event["media"] for event in heard.events("media") if event["media"]["track"] == "inbound"]
        assert [event["timestamp"] for event in media] == ["0", "20", "40", "60", "80"]  # since the stream began, not the call
        position = stream.sent_frames[0].position_ms
        assert position % 20 == 0
        assert 2007 <= position < 3000
        assert audio_of(heard, "inbound") == recording.customer[int(position) * 8 :][:800]
        assert set(audio_of(heard, "outbound")) == {0xFF}


async def test_after_the_end_of_the_recording_there_is_silence_for_as_long_as_the_stream_runs(relay, request_of, recording):
    async with await open_stream(request_of(), recording, TOKEN, relay.dialer(), started_at=asyncio.get_running_loop().time() - 60):
        await relay.connected.wait()
        await relay.heard[0].count(12)
    assert set(audio_of(relay.heard[0], "inbound")) == {0xFF}


async def test_silent_gaps_is_the_other_reading(relay, request_of, recording):
    faults = StreamFaults(silent_gaps=True)
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), faults, until_ms=300)
    await stream.ended()
    heard = relay.heard[0]
    assert audio_of(heard, "inbound") == recording.customer
    assert [int(event["sequenceNumber"]) for event in heard.events()[1:]] == list(range(1, 23))


async def test_stop_sends_stop_and_waits_for_the_servers_close(relay, request_of, recording):
    ended = []
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), on_ended=ended.append)
    await relay.connected.wait()
    await relay.heard[0].count(4)
    assert stream.state == "streaming"
    assert ended == []
    await asyncio.gather(stream.stop(), stream.stop())
    assert stream.state == "stopped"
    assert ended == [stream]
    assert relay.heard[0].events()[-1]["event"] == "stop"
    assert stream.stats["serverClose"]["code"] == 1000


async def test_begin_stop_does_not_wait_for_the_server(relay, request_of, recording):
    gone = asyncio.Event()

    async def linger(websocket, heard):
        async for message in websocket:
            heard.messages.append(message)
            heard.arrival.set()
        heard.messages.append(f"closed {websocket.close_code}")
        gone.set()

    relay.behaviour = linger
    ended = []
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), StreamFaults(close_wait_ms=200), on_ended=ended.append)
    stream.begin_stop()
    assert (stream.state, ended) == ("stopped", [stream])
    await stream.ended()
    await gone.wait()
    assert stream.stats["serverClose"] is None or stream.stats["serverClose"]["early"] is False
    assert relay.heard[0].messages[-1] == "closed 1000"  # a server that leaves the socket open is closed on
    assert '"event":"stop"' in relay.heard[0].messages[-2]


async def test_close_at_stop_is_the_other_reading(relay, request_of, recording):
    closed = asyncio.get_running_loop().create_future()

    async def linger(websocket, heard):
        await websocket.wait_closed()
        closed.set_result(websocket.close_code)

    relay.behaviour = linger
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), StreamFaults(close_at_stop=True, close_wait_ms=60_000))
    async with asyncio.timeout(5):
        await stream.stop()
        assert await closed == 1000


async def test_a_stream_can_be_stopped_before_it_runs_and_while_it_dials(relay, request_of, recording):
    ended = []
    early = made(request_of(), recording, relay, on_ended=ended.append)
    await early.stop()
    assert (early.state, ended) == ("stopped", [early])
    await early.run()  # the owner's task may come later: there is nothing to do
    assert relay.heard == []

    silent = await asyncio.start_server(lambda *_: asyncio.sleep(0), "127.0.0.1", 0)
    relay.port = silent.sockets[0].getsockname()[1]
    dialling = made(request_of(status_callback=f"https://{HOST}/cb"), recording, relay, on_ended=ended.append)
    dialling.start()
    await asyncio.sleep(0.05)
    assert dialling.state == "connecting"
    async with asyncio.timeout(2):
        await dialling.stop()
    assert (dialling.state, ended) == ("stopped", [early, dialling])
    assert dialling.stats["callbacks"] == []
    silent.close()


async def test_a_cancelled_run_drops_the_socket_at_once(relay, request_of, recording):
    ended = []
    stream = made(request_of(), recording, relay, on_ended=ended.append)
    task = asyncio.create_task(stream.run())
    await stream.opened()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await relay.heard[0].ended.wait()
    assert (stream.state, ended) == ("stopped", [stream])
    with pytest.raises(RuntimeError, match="once"):
        await stream.run()


async def test_a_run_can_be_cancelled_while_it_dials(relay, request_of, recording):
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(0), "127.0.0.1", 0)
    relay.port = silent.sockets[0].getsockname()[1]
    stream = made(request_of(), recording, relay)
    task = asyncio.create_task(stream.run())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.state == "stopped"
    with pytest.raises(StreamRefused):
        await stream.opened()
    silent.close()


async def test_an_owner_that_raises_does_not_keep_the_socket_from_ending(relay, request_of, recording):
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(str(context["exception"])))

    def on_ended(_):
        raise ValueError("owner")

    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), until_ms=40, on_ended=on_ended)
    await stream.ended()
    assert stream.state == "stopped"
    assert reports == ["owner"]


async def test_the_auth_token_is_asked_for_at_every_dial(relay, recording):
    tokens = iter(["first", "second"])
    for _ in range(2):
        url = f"wss://{HOST}/ws/{CALL}"
        await play(url, recording, auth_token=lambda: next(tokens), dialer=relay.dialer(), call_sid=CALL, seconds=0.02)
    signatures = [heard.headers["x-twilio-signature"] for heard in relay.heard]
    assert RequestValidator("first").validate(url, {}, signatures[0])
    assert RequestValidator("second").validate(url, {}, signatures[1])


async def test_many_streams_share_the_loop_and_lose_nothing(relay, request_of, recording):
    dialer = relay.dialer()
    streams = [await open_stream(request_of(), recording, TOKEN, dialer, until_ms=400) for _ in range(30)]
    await asyncio.gather(*(stream.ended() for stream in streams))
    assert {heard.events()[-1]["sequenceNumber"] for heard in relay.heard} == {"42"}
    assert {audio_of(heard, "inbound") for heard in relay.heard} == {recording.customer + b"\xff" * 1600}


def test_it_runs_on_uvloop_too(recording):
    async def scene():
        server = RelayServer()
        async with serve(server.serve, "127.0.0.1", 0) as running:
            server.port = next(iter(running.sockets)).getsockname()[1]
            url = f"wss://{HOST}/ws/{CALL}"
            stream = await play(url, recording, auth_token=TOKEN, dialer=server.dialer(), call_sid=CALL)
        return stream, server.heard[0]

    stream, heard = uvloop.run(scene())
    assert stream.state == "stopped"
    assert audio_of(heard, "inbound") == recording.customer
    gaps = [later.loop_time - earlier.loop_time for earlier, later in pairwise(stream.sent_frames[::2])]
    assert 0.015 < sum(gaps) / len(gaps) < 0.03
