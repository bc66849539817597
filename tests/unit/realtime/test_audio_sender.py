"""The sender: every frame goes out once and in order, waits, is replayed, paused, filled or dropped; and each is counted once."""

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
from voiceassist_relay.realtime.audio_sender import SAMPLE, AudioSender
from voiceassist_relay.realtime.core.audio_time import FRAME as SILENCE
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.core.limits import SessionLimits


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

    def __init__(self, sender: AudioSender, room: float = math.inf) -> None:
        self.sender, self.room, self.got = sender, room, []
        self.broken = False

    def write(self, frame: bytes) -> None:
        if self.broken:
            raise RuntimeError("the handler is closed")
        self.got.append(appended(frame))
        self.room -= 1
        if self.room == 0:
            self.sender.writable(False)

    @property
    def numbers(self) -> list[int]:
        return [int.from_bytes(audio[:4], "big") for audio in self.got if audio != b"\xff" * 160]


def counted(metrics: RelayMetrics, outcome: str) -> int:
    return int(metrics.registry.get_sample_value("voiceassist_relay_frames_total", {"track": "customer", "outcome": outcome}) or 0)


def sender_of(seconds: float = 30.0) -> tuple[AudioSender, RelayMetrics]:
    metrics = RelayMetrics()
    return AudioSender("customer", metrics, SessionLimits(replay_seconds=seconds)), metrics


def test_audio_sender_a_frame_goes_out_untouched_and_in_one_write() -> None:
    sender, metrics = sender_of()
    socket, clock = Socket(sender), AudioClock()
    sender.attach(socket.write, clock, math.inf)
    for number in range(SAMPLE):
        sender.put(payload(number), number / 50)
    assert socket.numbers == list(range(SAMPLE))
    assert clock.ms == SAMPLE * 20
    sender.flush()
    assert counted(metrics, "forwarded") == SAMPLE
    assert metrics.registry.get_sample_value("voiceassist_relay_frame_forward_seconds_count") == 1
    assert sender.last_arrival == (SAMPLE - 1) / 50


def test_audio_sender_a_gap_is_filled_only_where_audio_flows() -> None:
    sender, metrics = sender_of()
    sender.fill(5, 1.0)
    socket, clock = Socket(sender), AudioClock()
    sender.put(payload(1), 0.5)
    sender.attach(socket.write, clock, math.inf)
    sender.fill(5, 1.0)
    sender.pause()
    sender.fill(5, 1.0)
    sender.flush()
    assert socket.got[1:] == [base64.b64decode(SILENCE)] * 5
    assert clock.ms == 120
    assert counted(metrics, "filled") == 5


def test_audio_sender_a_socket_that_breaks_loses_nothing() -> None:
    sender, metrics = sender_of()
    first, second = Socket(sender), Socket(sender)
    sender.attach(first.write, AudioClock(), math.inf)
    sender.put(payload(1), 1.0)
    first.broken = True
    sender.put(payload(2), 1.02)
    sender.put(payload(3, 80), 1.04)
    sender.detach()
    sender.attach(second.write, AudioClock(), math.inf)
    sender.flush()
    assert (first.numbers, second.numbers) == ([1], [2, 3])
    assert counted(metrics, "forwarded") == 3


def test_audio_sender_a_frame_of_an_absurd_size_is_dropped() -> None:
    sender, metrics = sender_of()
    socket = Socket(sender)
    sender.attach(socket.write, AudioClock(), math.inf)
    sender.put(payload(1, 20_000), 1.0)
    sender.flush()
    assert socket.got == []
    assert counted(metrics, "dropped") == 1


def test_audio_sender_pause_lets_nothing_out_and_keeps_nothing() -> None:
    sender, metrics = sender_of()
    socket = Socket(sender, room=2)
    sender.attach(socket.write, AudioClock(), math.inf)
    for number in range(5):
        sender.put(payload(number), number / 50)
    sender.pause()
    sender.put(payload(5), 1.0)
    sender.writable(True)
    assert socket.numbers == [0, 1]
    sender.resume()
    sender.put(payload(6), 2.0)
    assert socket.numbers == [0, 1, 6]
    other = Socket(sender)
    sender.attach(other.write, AudioClock(), -math.inf)
    sender.flush()
    assert other.numbers == [6]
    assert counted(metrics, "paused") == 4
    assert counted(metrics, "replayed") == 1


class Feeding(RuleBasedStateMachine):
    """Sessions come and go, fill up and drain; frames of any size come in all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.sender, self.metrics = sender_of(1.0)
        self.now, self.number = 0.0, 0
        self.sockets: list[Socket] = []
        self.paused = False

    @rule(count=st.integers(1, 60), size=st.sampled_from([160, 160, 160, 80, 320]))
    def frames(self, count, size) -> None:
        for _ in range(count):
            self.now += 0.02
            self.sender.put(payload(self.number, size), self.now)
            self.number += 1

    @rule(room=st.sampled_from([math.inf, 1, 5, 30]), back=st.floats(0, 2))
    def session(self, room, back) -> None:
        self.sockets.append(Socket(self.sender, room))
        self.sender.attach(self.sockets[-1].write, AudioClock(), self.now - back)

    @rule()
    def gone(self) -> None:
        self.sender.detach()

    @rule(room=st.sampled_from([math.inf, 3, 10]))
    def drained(self, room) -> None:
        if self.sockets:
            self.sockets[-1].room = room
            self.sender.writable(True)

    @rule()
    def pause_or_resume(self) -> None:
        if self.paused:
            self.sender.resume()
        else:
            self.sender.pause()
        self.paused = not self.paused

    @rule(back=st.floats(0, 2))
    def trim(self, back) -> None:
        self.sender.trim(self.now - back)

    @invariant()
    def in_order_and_counted_once(self) -> None:
        for socket in self.sockets:
            assert socket.numbers == sorted(set(socket.numbers))
        self.sender.flush()
        first_times = len({number for socket in self.sockets for number in socket.numbers})
        total = sum(len(socket.numbers) for socket in self.sockets)
        assert counted(self.metrics, "forwarded") == first_times
        assert counted(self.metrics, "replayed") == total - first_times
        waiting = self.sender._buffer.fresh
        assert first_times + counted(self.metrics, "paused") + counted(self.metrics, "dropped") + waiting == self.number

    def teardown(self) -> None:
        self.sender.close()
        self.sender.put(payload(self.number), self.now)
        self.number += 1
        self.in_order_and_counted_once()


TestFeeding = Feeding.TestCase
TestFeeding.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("size", [0, 1, 159, 160, 163, 1000])
def test_audio_sender_frames_of_every_size_keep_the_clock_right(size) -> None:
    sender, _ = sender_of()
    socket, clock = Socket(sender), AudioClock()
    sender.attach(socket.write, clock, math.inf)
    sender.put(base64.b64encode(bytes(size)), 1.0)
    assert clock.ms == pytest.approx(size / 8)
    assert socket.got == [bytes(size)]


def test_audio_sender_the_replay_stays_bounded_however_often_counters_are_written() -> None:
    limits = SessionLimits(replay_seconds=2.0)  # 100 frames
    sender = AudioSender("customer", RelayMetrics(), limits)
    socket = Socket(sender)
    sender.attach(socket.write, AudioClock(), 0.0)
    for number in range(1000):
        sender.put(payload(number), number / 50)
        if number % (SAMPLE - 1) == 0:
            sender.flush()
        assert len(sender._buffer) <= 100 + SAMPLE
    assert len(socket.got) == 1000
