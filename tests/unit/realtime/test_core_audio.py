"""Audio: the clock, the ring for replay, the silence that is filled in, and voice activity."""

from __future__ import annotations

import base64
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voiceassist_relay.realtime.core.audio_buffer import FRAME_CHARACTERS, PACK, AudioBuffer
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
        self.payloads: dict[float, bytes] = {}

    def sound(self, size: int) -> bytes:
        """Audio that no other frame has."""
        self.payloads[self.now] = base64.b64encode(len(self.payloads).to_bytes(4, "big") * (size // 4))
        return self.payloads[self.now]

    @rule(size=st.sampled_from([160, 160, 160, 80, 400]))
    def waits(self, size) -> None:
        self.now += 0.02
        self.frames.append(self.now)
        self.lost += self.ring.wait(self.now, self.sound(size))

    @rule()
    def goes_out(self) -> None:
        if self.ring.pending == 0:
            self.now += 0.02
            self.frames.append(self.now)
            self.ring.latest.append(self.sound(160))
            self.ring.arrivals.append(self.now)
            self.got.append(self.now)
            self.this_session.append(self.now)
            self.ring.shrink()

    @rule(count=st.integers(0, 60))
    def session_takes(self, count) -> None:
        for taken, (arrived, payload, again) in enumerate(self.ring.take()):
            assert payload == self.payloads[arrived]
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

    @rule(frames=st.integers(1, 40))
    def many_go_out(self, frames) -> None:
        for _ in range(frames):
            self.goes_out()

    @rule()
    def packs(self) -> None:
        self.ring.pack()
        assert len(self.ring.latest) < PACK or any(len(one) != FRAME_CHARACTERS for one in self.ring.latest[:PACK])

    @rule(back=st.floats(0, 2))
    def trims(self, back) -> None:
        self.ring.trim(self.now - back)

    @invariant()
    def in_order_once_and_bounded(self) -> None:
        assert self.this_session == sorted(set(self.this_session))
        assert self.got == sorted(set(self.got))
        frames = self.ring.kept(0, len(self.ring))
        assert frames == [self.payloads[arrived] for arrived in self.ring.arrivals]
        assert len(self.ring) == len(self.ring.arrivals) <= 50
        assert sum(map(len, frames)) <= max(50 * FRAME_CHARACTERS, len(b64(400)))
        assert 0 <= self.ring.fresh <= self.ring.pending <= len(self.ring)
        assert len(self.got) + self.ring.fresh + self.lost == len(self.frames)


TestRing = Ring.TestCase


def test_core_trim_keeps_what_is_to_be_written_and_the_last_frame() -> None:
    ring = AudioBuffer(30)
    ring.latest.extend([COMMON] * 10)
    ring.arrivals.extend(map(float, range(10)))
    ring.wait(10.0, COMMON)
    ring.trim(100.0)
    assert list(ring.arrivals) == [10.0]
    assert ring.last_arrival == 10.0
    assert [again for _, _, again in ring.take()] == [False]
    assert ring.clear() == 0
    assert ring.last_arrival is None


def test_core_what_is_no_audio_of_the_common_size_is_kept_as_it_came() -> None:
    """As many characters as a common frame has, and two bytes more; and what another relay handed over and is no base64, or no string."""
    longer, none = base64.b64encode(bytes(range(162))), b"A" * (FRAME_CHARACTERS - 1) + b"="
    two, quotes = b'AA==","' + b"A" * (FRAME_CHARACTERS - 7), b'"' * FRAME_CHARACTERS
    assert {len(one) for one in (longer, none, two, quotes)} == {FRAME_CHARACTERS}
    for strange in (longer, none, two, quotes):
        ring = AudioBuffer(30)
        ring.begin_with([strange, *[COMMON] * PACK], [float(at) for at in range(PACK + 1)], 0)
        ring.pack()
        assert ring.kept(0, len(ring)) == [strange, *[COMMON] * PACK]


def test_core_what_came_since_a_moment_is_told_packed_or_not() -> None:
    buffer = AudioBuffer(30.0)
    frames = [base64.b64encode(bytes([number]) * 160) for number in range(3 * PACK + 5)]
    for number, frame in enumerate(frames):
        buffer.sent(number * 0.02, frame)
    buffer.pack()
    for first in (0, 3, PACK, 3 * PACK + 1, 3 * PACK + 4):
        payloads, arrivals = buffer.since(first * 0.02)
        assert list(payloads) == frames[first:]
        assert list(arrivals) == [number * 0.02 for number in range(first, len(frames))]
    assert [list(part) for part in buffer.since(9.0)] == [[], []]


def test_core_packed_audio_takes_two_thirds_of_the_memory() -> None:
    def held(*, packed: bool) -> int:
        tracemalloc.start()
        ring = AudioBuffer(30)
        for number in range(500):
            ring.sent(number / 50, bytes(bytearray(COMMON)))
            if packed and number % 50 == 49:
                ring.pack()
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(ring) == 500
        return taken

    assert held(packed=True) < 0.7 * held(packed=False)


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
