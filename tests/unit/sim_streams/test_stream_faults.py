"""The faults that need a socket or a clock."""

import asyncio
from itertools import pairwise

import pytest
from twilio.request_validator import RequestValidator

from voiceassist_sim.twilio.streams import StreamFaults, open_stream

from .conftest import CALL, HOST, TOKEN, listen

URL = f"wss://{HOST}/ws/{CALL}"


async def played(request, recording, relay, faults, until_ms=100):
    stream = await open_stream(request, recording, TOKEN, relay.dialer(), faults, until_ms=until_ms)
    async with asyncio.timeout(10):
        await stream.ended()
    return stream


def valid(heard, url=URL):
    return RequestValidator(TOKEN).validate(url, {}, heard.headers["x-twilio-signature"])


async def upgraded(request_of, recording, relay, **faults):
    await played(request_of(), recording, relay, StreamFaults(**faults), until_ms=20)
    return relay.heard[0]


async def test_no_signature(relay, request_of, recording):
    assert "x-twilio-signature" not in (await upgraded(request_of, recording, relay, signature="none")).headers


async def test_a_signature_by_another_key(relay, request_of, recording):
    assert not valid(await upgraded(request_of, recording, relay, signature="wrong"))


async def test_a_true_signature_of_another_calls_address(relay, request_of, recording):
    heard = await upgraded(request_of, recording, relay, signature="other_url")
    assert not valid(heard)
    assert valid(heard, URL.replace(CALL, "CA" + "f" * 32))
    assert heard.path == f"/ws/{CALL}"


async def test_a_true_signature_of_a_chosen_address(relay, request_of, recording):
    assert valid(await upgraded(request_of, recording, relay, signature_url="wss://other.example.com/"), "wss://other.example.com/")


async def test_a_signature_over_https_for_wss(relay, request_of, recording):
    heard = await upgraded(request_of, recording, relay, signature="https")
    assert not valid(heard)
    assert valid(heard, "https" + URL.removeprefix("wss"))


async def test_any_header_as_signature(relay, request_of, recording):
    assert (await upgraded(request_of, recording, relay, signature_header="!")).headers["x-twilio-signature"] == "!"


async def test_a_query_added_behind_a_true_signature(relay, request_of, recording):
    heard = await upgraded(request_of, recording, relay, query="callSid=CA2")
    assert heard.path == f"/ws/{CALL}?callSid=CA2"
    assert valid(heard)
    assert not valid(heard, URL + "?callSid=CA2")


async def test_silence_after_connected_until_the_fault_is_lifted(relay, request_of, recording):
    faults = StreamFaults(no_start=True)
    async with await open_stream(request_of(), recording, TOKEN, relay.dialer(), faults):
        await relay.connected.wait()
        await relay.heard[0].count(1)
        await asyncio.sleep(0.15)
        assert [event["event"] for event in relay.heard[0].events()] == ["connected"]
        faults.no_start = False
        await relay.heard[0].count(4)
    assert [event["event"] for event in relay.heard[0].events()][:3] == ["connected", "start", "media"]


async def test_a_late_start(relay, request_of, recording):
    stream = await played(request_of(), recording, relay, StreamFaults(start_delay_ms=200))
    assert [event["event"] for event in relay.heard[0].events()][:3] == ["connected", "start", "media"]
    assert stream.sent_frames[0].loop_time - stream.stats["openedAt"] >= 0.2
    assert relay.heard[0].events("media")[0]["media"]["timestamp"] == "0"


async def test_media_before_start(relay, request_of, recording):
    await played(request_of(track="inbound_track"), recording, relay, StreamFaults(media_before_start=2))
    events = relay.heard[0].events()
    assert [event["event"] for event in events] == ["connected", "media", "media", "start", "media", "media", "media", "stop"]
    assert [event["sequenceNumber"] for event in events[1:]] == [str(number) for number in range(1, 8)]
    assert [event["media"]["timestamp"] for event in relay.heard[0].events("media")] == ["0", "20", "40", "60", "80"]


async def test_fragmented_text_is_whole_again_on_the_other_side(relay, request_of, recording):
    frames = []

    def count_frames(connection, _):
        receive = connection.protocol.recv_frame

        def counting(frame):
            frames.append((frame.opcode.name, frame.fin))
            receive(frame)

        connection.protocol.recv_frame = counting

    relay.process_request = count_frames
    await played(request_of(), recording, relay, StreamFaults(fragments=3), until_ms=40)
    assert [event["event"] for event in relay.heard[0].events()] == ["connected", "start", *["media"] * 4, "stop"]
    assert [frame for frame in frames if frame[0] != "CLOSE"] == [("TEXT", False), ("CONT", False), ("CONT", True)] * 7


async def test_a_binary_frame_and_garbage_and_an_oversize_message(relay, request_of, recording):
    faults = StreamFaults(binary_at=frozenset({1}), garbage_at=frozenset({2}), oversize_at=frozenset({3}))
    await played(request_of(track="inbound_track"), recording, relay, faults)
    messages = relay.heard[0].messages
    assert messages[3] == recording.customer[:160]
    assert messages[5].startswith("{")
    assert not messages[5].endswith("}")
    assert len(messages[7]) > 65536
    assert len(messages) == 3 + 5 + 3


async def test_pings_from_the_client(relay, request_of, recording):
    stream = await played(request_of(), recording, relay, StreamFaults(ping_every_ms=20), until_ms=200)
    assert stream.state == "stopped"
    assert 2 <= stream.stats["received"]["pongs"] <= 11


async def test_flood_is_faster_than_real_time_and_loses_nothing(relay, request_of, recording):
    loop = asyncio.get_running_loop()
    begin = loop.time()
    stream = await played(request_of(), recording, relay, StreamFaults(flood=50), until_ms=5000)
    assert loop.time() - begin < 2
    assert stream.stats["framesSent"] == 500
    media = relay.heard[0].events("media")
    assert [int(event["sequenceNumber"]) for event in media] == list(range(2, 502))
    assert [event["media"]["timestamp"] for event in media[::2]] == [str(index * 20) for index in range(250)]


async def test_odd_payload_lengths_keep_real_time(relay, request_of, recording):
    faults = StreamFaults(payload_lengths=(1, 7, 161, 801, 0))
    stream = await played(request_of(track="inbound_track"), recording, relay, faults, until_ms=360)
    lengths = [later.position_ms - earlier.position_ms for earlier, later in pairwise(stream.sent_frames)]
    assert lengths[:5] == [0.125, 0.875, 20.125, 100.125, 0.0]
    spoken = stream.sent_frames[-1].loop_time - stream.stats["openedAt"]
    assert spoken >= 0.36 - 0.001


@pytest.mark.parametrize("live", [False, True])
async def test_a_cut_socket_is_a_reset_in_the_middle(relay, request_of, recording, live):
    faults = StreamFaults() if live else StreamFaults(cut_at_ms=100)
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), faults)
    if live:
        await relay.connected.wait()
        await relay.heard[0].count(6)
        faults.cut_now = True
    async with asyncio.timeout(5):
        await stream.ended()
        await relay.heard[0].ended.wait()
    assert stream.state == "failed"
    assert stream.stats["error"]["code"] == 31903
    assert relay.heard[0].events("stop") == []
    assert 4 <= len(relay.heard[0].messages) < 40


async def test_one_setting_of_shared_faults_acts_on_every_stream(relay, request_of, recording):
    faults = StreamFaults()
    streams = [await open_stream(request_of(), recording, TOKEN, relay.dialer(), faults) for _ in range(3)]
    faults.update({"cut_now": True})
    async with asyncio.timeout(5):
        for stream in streams:
            await stream.ended()
    assert [stream.state for stream in streams] == ["failed"] * 3


@pytest.mark.parametrize("live", [False, True])
async def test_half_open_sends_and_reads_nothing_and_stays_connected(relay, request_of, recording, live):
    finished, sockets = asyncio.Event(), []

    async def behave(websocket, heard):
        sockets.append(websocket)
        async for message in websocket:
            heard.messages.append(message)
            heard.arrival.set()
        finished.set()

    relay.behaviour = behave
    faults = StreamFaults() if live else StreamFaults(half_open_at_ms=60)
    stream = await open_stream(request_of(), recording, TOKEN, relay.dialer(), faults)
    await relay.connected.wait()
    if live:
        await relay.heard[0].count(4)
        faults.half_open_now = True
    async with asyncio.timeout(5):
        quiet = -1
        while quiet != len(relay.heard[0].messages):
            quiet = len(relay.heard[0].messages)
            await asyncio.sleep(0.1)
    await sockets[0].send("is anybody there?")  # an error on a stream that still listens
    await asyncio.sleep(0.1)
    assert stream.state == "streaming"
    assert stream.stats["received"]["data"] == 0
    assert not finished.is_set()
    async with asyncio.timeout(2):
        await stream.stop()
        await relay.heard[0].ended.wait()
    assert len(relay.heard[0].messages) == quiet  # no stop: the cable is cut


async def test_a_close_without_stop(relay, request_of, recording):
    codes = []

    async def behave(websocket, heard):
        await listen(websocket, heard)
        codes.append(websocket.close_code)

    relay.behaviour = behave
    stream = await played(request_of(), recording, relay, StreamFaults(no_stop=True))
    assert stream.state == "stopped"
    assert relay.heard[0].events("stop") == []
    assert codes == [1000]


async def test_smaller_frames(relay, request_of, recording):
    stream = await played(request_of(track="inbound_track"), recording, relay, StreamFaults(frame_bytes=80))
    assert stream.stats["tracks"]["inbound"]["frames"] == 10
    assert [event["media"]["timestamp"] for event in relay.heard[0].events("media")] == [str(10 * index) for index in range(10)]


async def test_lengths_of_zero_set_without_a_check_do_not_hang_the_loop(relay, request_of, recording):
    faults = StreamFaults()
    faults.payload_lengths = (0,)
    stream = await played(request_of(track="inbound_track"), recording, relay, faults)
    assert stream.stats["tracks"]["inbound"]["bytes"] == 800
