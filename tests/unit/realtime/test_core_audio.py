"""Audio: the clock, the ring for replay, the silence that is filled in, and voice activity."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voiceassist_relay.realtime.core.audio_buffer import FRAME_CHARACTERS, AudioBuffer
from voiceassist_relay.realtime.core.audio_time import AFTER, FRAME, KEPT_TRIMS, STEP, AudioClock, SilenceFill, payload_ms
from voiceassist_relay.realtime.core.voice_activity import VoiceActivity, VoiceEvent, loudness


def b64(size: int, byte: int = 0x7F) -> bytes:
    return base64.b64encode(bytes([byte]) * size)


COMMON = b64(160)


# the clock


@given(st.integers(0, 2000))
def test_core_a_payloads_length(size) -> None:
    assert payload_ms(base64.b64encode(bytes(size))) == size / 8


@given(st.lists(st.sampled_from([20.0, 20.0, 10.0, 30.0, 7.5, 100.0]), min_size=1, max_size=60), st.floats(0, 1))
def test_core_the_clock_finds_the_frame_that_held_a_moment(lengths, share) -> None:
    clock, ends, total = AudioClock(), [], 0.0
    for index, ms in enumerate(lengths):
        total += ms
        ends.append((total, float(index)))
        clock.wrote(ms, float(index))
    assert clock.ms == pytest.approx(total)
    wanted = share * total
    found = clock.arrival(wanted)
    if found is None:
        assert total < 20
        return
    holder = next(arrived for end, arrived in ends if end >= wanted - 1e-9)
    complete = next((arrived for end, arrived in ends if end >= max(20, -(-wanted // 20) * 20) - 1e-9), ends[-1][1])
    assert holder <= found <= complete or wanted > len(clock.slots) * 20


def test_core_a_replay_in_one_go_is_known_as_long_as_other_audio() -> None:
    clock = AudioClock()
    for index in range(1500):  # what the replay holds at most, 30 s
        clock.slots.append(float(index))
    for _ in range(KEPT_TRIMS):
        clock.trim()
        assert clock.arrival(20) == 0.0
    clock.trim()
    assert clock.arrival(20) == 1499.0
    assert clock.ms == 30_000


def test_core_the_clock_forgets_old_audio_and_stays_right() -> None:
    clock = AudioClock()
    for index in range(5000):
        clock.slots.append(float(index))
        if index % 50 == 49:  # once a second
            clock.trim()
    assert len(clock.slots) == 50 * KEPT_TRIMS
    assert clock.ms == 100_000
    assert clock.arrival(100_000) == 4999
    assert clock.arrival(99_980) == 4998
    assert clock.arrival(0) == 5000 - len(clock.slots)  # the oldest that is known
    assert clock.arrival(None) is None
    assert AudioClock().arrival(100) is None


# the ring


class Ring(RuleBasedStateMachine):
    """Against a plain list: every frame reaches the first session that takes it once, in order, unless the bound threw it away."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = AudioBuffer(1.0)  # 50 frames
        self.now = 0.0
        self.frames: list[float] = []
        self.got: list[float] = []  # by any session, first times only
        self.lost = 0
        self.this_session: list[float] = []
        self.next_since: float | None = None

    @rule(size=st.sampled_from([160, 160, 160, 80, 400]))
    def waits(self, size) -> None:
        self.now += 0.02
        self.frames.append(self.now)
        self.lost += self.ring.wait(self.now, b64(size))

    @rule()
    def goes_out(self) -> None:
        if self.ring.pending == 0:
            self.now += 0.02
            self.frames.append(self.now)
            self.ring.frames.append(COMMON)
            self.ring.arrivals.append(self.now)
            self.got.append(self.now)
            self.this_session.append(self.now)
            self.ring.shrink()

    @rule(count=st.integers(0, 60))
    def session_takes(self, count) -> None:
        for taken, (arrived, _, again) in enumerate(self.ring.take()):
            assert again == (arrived in self.got)
            if not again:
                self.got.append(arrived)
            self.this_session.append(arrived)
            if taken >= count:
                break

    @rule(back=st.floats(0, 2))
    def new_session(self, back) -> None:
        self.ring.rewind(self.now - back)
        self.this_session = []

    @rule(back=st.floats(0, 2))
    def trims(self, back) -> None:
        self.ring.trim(self.now - back)

    @invariant()
    def in_order_once_and_bounded(self) -> None:
        assert self.this_session == sorted(set(self.this_session))
        assert self.got == sorted(set(self.got))
        assert len(self.ring.frames) == len(self.ring.arrivals) <= 50
        assert sum(map(len, self.ring.frames)) <= max(50 * FRAME_CHARACTERS, len(b64(400)))
        assert 0 <= self.ring.fresh <= self.ring.pending <= len(self.ring.frames)
        assert len(self.got) + self.ring.fresh + self.lost == len(self.frames)


TestRing = Ring.TestCase


def test_core_trim_keeps_what_is_to_be_written_and_the_last_frame() -> None:
    ring = AudioBuffer(30)
    ring.frames.extend([COMMON] * 10)
    ring.arrivals.extend(map(float, range(10)))
    ring.wait(10.0, COMMON)
    ring.trim(100.0)
    assert list(ring.arrivals) == [10.0]
    assert ring.last_arrival == 10.0
    assert [again for _, _, again in ring.take()] == [False]
    assert ring.clear() == 0
    assert ring.last_arrival is None


# silence


def test_core_a_gap_is_filled_to_the_wall_clock() -> None:
    fill, now, total = SilenceFill(), 10.0, 0
    assert fill.take(10.1, 10.0) == 0
    assert fill.due_at(10.0) == 10.0 + AFTER
    for _ in range(20):
        now = fill.due_at(10.0)
        total += fill.take(now, 10.0)
        assert total == pytest.approx((now - 10.0) / 0.02, abs=1)
    assert fill.due_at(10.0) == pytest.approx(now + STEP, abs=0.02)


def test_core_a_frame_ends_the_gap() -> None:
    fill = SilenceFill()
    assert fill.take(10.2, 10.0) == 10
    assert fill.take(10.3, 10.29) == 0
    assert fill.due_at(10.29) == pytest.approx(10.49)
    assert fill.take(10.49, 10.29) == 10


def test_core_a_process_that_was_busy_does_not_fill_it_all_at_once() -> None:
    assert SilenceFill().take(100.0, 10.0) == 50


def test_core_the_frame_is_silence() -> None:
    assert base64.b64decode(FRAME) == b"\xff" * 160
    assert loudness(FRAME) == 0


# voice activity


def play(detector: VoiceActivity, levels: list[float], start: float = 0.0) -> list[tuple[VoiceEvent, float]]:
    found = []
    for index, level in enumerate(levels):
        event = detector.frame(level, start + index * 0.02)
        if event is not None:
            found.append((event, round(start + index * 0.02, 2)))
    return found


def test_core_speech_opens_and_silence_closes() -> None:
    detector = VoiceActivity()
    events = play(detector, [0.0] * 10 + [0.1] * 50 + [0.0] * 40)
    assert [event for event, _ in events] == [VoiceEvent.OPENED, VoiceEvent.CLOSED]
    assert events[0][1] == pytest.approx(0.26)
    assert events[1][1] == pytest.approx(0.2 + 0.98 + 0.5, abs=0.03)


def test_core_a_click_does_not_open_and_a_short_pause_does_not_close() -> None:
    assert play(VoiceActivity(), [0.0] * 10 + [0.5] * 2 + [0.0] * 50) == []
    events = play(VoiceActivity(), [0.1] * 20 + [0.0] * 15 + [0.1] * 20 + [0.0] * 30)
    assert [event for event, _ in events] == [VoiceEvent.OPENED, VoiceEvent.CLOSED]


def test_core_time_alone_closes() -> None:
    detector = VoiceActivity()
    play(detector, [0.1] * 20)
    assert detector.closes_at == pytest.approx(0.38 + 0.5)
    assert detector.tick(0.8) is None
    assert detector.tick(0.9) is VoiceEvent.CLOSED
    assert detector.closes_at is None


def test_core_speech_without_an_end_is_cut() -> None:
    events = play(VoiceActivity(), [0.1] * 1200)
    assert [event for event, _ in events][:3] == [VoiceEvent.OPENED, VoiceEvent.CLOSED, VoiceEvent.OPENED]


def test_core_loudness() -> None:
    assert loudness(b64(160, 0x80)) == pytest.approx(1.0)
    assert loudness(b64(160, 0x7F)) == 0
    assert loudness(b"!!") == 0
    assert loudness(b"") == 0
