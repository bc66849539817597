"""The feed: every frame goes out once and in order, waits, is replayed, paused, filled or dropped; and each is counted once."""

from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from websockets.speedups import apply_mask

from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.realtime.audio_sender import SAMPLE, Feed
from voiceassist_relay.realtime.core.audio_time import FRAME as SILENCE
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.core.limits import LineLimits


def payload(number: int, size: int = 160) -> bytes:
    return base64.b64encode(number.to_bytes(4, "big").ljust(size, b"\x00"))


def appended(frame: bytes) -> bytes:
    """The audio of one masked text frame."""
    size, at = frame[1] & 0x7F, 2
    if size == 126:
        size, at = int.from_bytes(frame[2:4], "big"), 4
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    event = json.loads(apply_mask(frame[at + 4 :], frame[at : at + 4]))
    assert len(frame) == at + 4 + size
    assert set(event) == {"type", "audio"}
    assert event["type"] == "input_audio_buffer.append"
    return base64.b64decode(event["audio"])


class Socket:
    """Takes so many frames, then its buffer is full."""

    def __init__(self, feed: Feed, room: float = math.inf) -> None:
        self.feed, self.room, self.got = feed, room, []
        self.broken = False

    def write(self, frame: bytes) -> None:
        if self.broken:
            raise RuntimeError("the handler is closed")
        self.got.append(appended(frame))
        self.room -= 1
        if self.room == 0:
            self.feed.writable(False)

    @property
    def numbers(self) -> list[int]:
        return [int.from_bytes(audio[:4], "big") for audio in self.got if audio != b"\xff" * 160]


def counted(metrics: RelayMetrics, outcome: str) -> int:
    return int(metrics.registry.get_sample_value("voiceassist_relay_frames_total", {"track": "customer", "outcome": outcome}) or 0)


def feed_of(seconds: float = 30.0) -> tuple[Feed, RelayMetrics]:
    metrics = RelayMetrics()
    return Feed("customer", metrics, LineLimits(replay_seconds=seconds)), metrics


def test_a_frame_goes_out_untouched_and_in_one_write() -> None:
    feed, metrics = feed_of()
    socket, clock = Socket(feed), AudioClock()
    feed.attach(socket.write, clock, math.inf)
    for number in range(SAMPLE):
        feed.put(payload(number), number / 50)
    assert socket.numbers == list(range(SAMPLE))
    assert clock.ms == SAMPLE * 20
    feed.flush()
    assert counted(metrics, "forwarded") == SAMPLE
    assert metrics.registry.get_sample_value("voiceassist_relay_frame_forward_seconds_count") == 1
    assert feed.last_arrival == (SAMPLE - 1) / 50


def test_a_gap_is_filled_only_where_audio_flows() -> None:
    feed, metrics = feed_of()
    feed.fill(5, 1.0)
    socket, clock = Socket(feed), AudioClock()
    feed.put(payload(1), 0.5)
    feed.attach(socket.write, clock, math.inf)
    feed.fill(5, 1.0)
    feed.pause()
    feed.fill(5, 1.0)
    feed.flush()
    assert socket.got[1:] == [base64.b64decode(SILENCE)] * 5
    assert clock.ms == 120
    assert counted(metrics, "filled") == 5


def test_a_socket_that_breaks_loses_nothing() -> None:
    feed, metrics = feed_of()
    first, second = Socket(feed), Socket(feed)
    feed.attach(first.write, AudioClock(), math.inf)
    feed.put(payload(1), 1.0)
    first.broken = True
    feed.put(payload(2), 1.02)
    feed.put(payload(3, 80), 1.04)
    feed.detach()
    feed.attach(second.write, AudioClock(), math.inf)
    feed.flush()
    assert (first.numbers, second.numbers) == ([1], [2, 3])
    assert counted(metrics, "forwarded") == 3


def test_a_frame_of_an_absurd_size_is_dropped() -> None:
    feed, metrics = feed_of()
    socket = Socket(feed)
    feed.attach(socket.write, AudioClock(), math.inf)
    feed.put(payload(1, 20_000), 1.0)
    feed.flush()
    assert socket.got == []
    assert counted(metrics, "dropped") == 1


def test_pause_lets_nothing_out_and_keeps_nothing() -> None:
    feed, metrics = feed_of()
    socket = Socket(feed, room=2)
    feed.attach(socket.write, AudioClock(), math.inf)
    for number in range(5):
        feed.put(payload(number), number / 50)
    feed.pause()
    feed.put(payload(5), 1.0)
    feed.writable(True)
    assert socket.numbers == [0, 1]
    feed.resume()
    feed.put(payload(6), 2.0)
    assert socket.numbers == [0, 1, 6]
    other = Socket(feed)
    feed.attach(other.write, AudioClock(), -math.inf)
    feed.flush()
    assert other.numbers == [6]
    assert counted(metrics, "paused") == 4
    assert counted(metrics, "replayed") == 1


class Feeding(RuleBasedStateMachine):
    """Sessions come and go, fill up and drain; frames of any size come in all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.feed, self.metrics = feed_of(1.0)
        self.now, self.number = 0.0, 0
        self.sockets: list[Socket] = []
        self.paused = False

    @rule(count=st.integers(1, 60), size=st.sampled_from([160, 160, 160, 80, 320]))
    def frames(self, count, size) -> None:
        for _ in range(count):
            self.now += 0.02
            self.feed.put(payload(self.number, size), self.now)
            self.number += 1

    @rule(room=st.sampled_from([math.inf, 1, 5, 30]), back=st.floats(0, 2))
    def session(self, room, back) -> None:
        self.sockets.append(Socket(self.feed, room))
        self.feed.attach(self.sockets[-1].write, AudioClock(), self.now - back)

    @rule()
    def gone(self) -> None:
        self.feed.detach()

    @rule(room=st.sampled_from([math.inf, 3, 10]))
    def drained(self, room) -> None:
        if self.sockets:
            self.sockets[-1].room = room
            self.feed.writable(True)

    @rule()
    def pause_or_resume(self) -> None:
        if self.paused:
            self.feed.resume()
        else:
            self.feed.pause()
        self.paused = not self.paused

    @rule(back=st.floats(0, 2))
    def trim(self, back) -> None:
        self.feed.trim(self.now - back)

    @invariant()
    def in_order_and_counted_once(self) -> None:
        for socket in self.sockets:
            assert socket.numbers == sorted(set(socket.numbers))
        self.feed.flush()
        first_times = len({number for socket in self.sockets for number in socket.numbers})
        total = sum(len(socket.numbers) for socket in self.sockets)
        assert counted(self.metrics, "forwarded") == first_times
        assert counted(self.metrics, "replayed") == total - first_times
        waiting = self.feed._replay.fresh
        assert first_times + counted(self.metrics, "paused") + counted(self.metrics, "dropped") + waiting == self.number

    def teardown(self) -> None:
        self.feed.close()
        self.feed.put(payload(self.number), self.now)
        self.number += 1
        self.in_order_and_counted_once()


TestFeeding = Feeding.TestCase
TestFeeding.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("size", [0, 1, 159, 160, 163, 1000])
def test_frames_of_every_size_keep_the_clock_right(size) -> None:
    feed, _ = feed_of()
    socket, clock = Socket(feed), AudioClock()
    feed.attach(socket.write, clock, math.inf)
    feed.put(base64.b64encode(bytes(size)), 1.0)
    assert clock.ms == pytest.approx(size / 8)
    assert socket.got == [bytes(size)]


def test_the_replay_stays_bounded_however_often_counters_are_written() -> None:
    limits = LineLimits(replay_seconds=2.0)  # 100 frames
    feed = Feed("customer", RelayMetrics(), limits)
    socket = Socket(feed)
    feed.attach(socket.write, AudioClock(), 0.0)
    for number in range(1000):
        feed.put(payload(number), number / 50)
        if number % (SAMPLE - 1) == 0:
            feed.flush()
        assert len(feed._replay.frames) <= 100 + SAMPLE
    assert len(socket.got) == 1000
