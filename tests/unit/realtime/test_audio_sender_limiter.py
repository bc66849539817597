"""A stream that is faster than real time: what was held back on the way is taken, a flood is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.realtime.audio_sender import SAMPLE, AudioSender
from voiceassist_relay.realtime.core.audio_time import AHEAD_SECONDS, CATCHING_UP, AudioClock, RealTimeLimiter
from voiceassist_relay.realtime.core.limits import SessionLimits

FRAME = b"/" * 216


def forwarded(arrivals: list[float], frame: bytes = FRAME) -> tuple[list[float], dict[str, float]]:
    """When frames went out that arrived at these moments, and the counters."""
    metrics, out = RelayMetrics(), []
    sender = AudioSender("customer", metrics, SessionLimits())
    sender.attach(lambda _: out.append(now), AudioClock(), 0.0)
    for now in arrivals:
        sender.put(frame, now)
    sender.flush()
    counted = {
        name: metrics.registry.get_sample_value(f"voiceassist_relay_{name}", labels) or 0.0
        for name, labels in (
            ("frames_total", {"track": "customer", "outcome": "dropped"}),
            ("queue_drops_total", {"queue": "too_fast"}),
        )
    }
    return out, counted


def test_audio_sender_fifty_times_real_time_is_cut_down_and_counted() -> None:
    arrivals = [100 + n / 2500 for n in range(2500 * 20)]  # 20 seconds
    out, counted = forwarded(arrivals)
    most = AHEAD_SECONDS * 50 + 20 * 50 * CATCHING_UP + SAMPLE + 1
    assert most * 0.95 < len(out) <= most
    assert counted == {"frames_total": len(arrivals) - len(out), "queue_drops_total": len(arrivals) - len(out)}


def test_audio_sender_frames_of_an_odd_size_are_held_to_the_same() -> None:
    out, _ = forwarded([100 + n / 2500 for n in range(2500 * 20)], FRAME[:108])
    assert len(out) <= 2 * (AHEAD_SECONDS * 50 + 20 * 50 * CATCHING_UP) + SAMPLE


def test_audio_sender_a_stop_on_the_way_of_less_than_thirty_seconds_costs_nothing() -> None:
    arrivals = [n / 50 for n in range(500)]
    arrivals += [39.0] * 1450 + [39 + n / 50 for n in range(3000)]
    out, counted = forwarded(arrivals)
    assert len(out) == len(arrivals)
    assert counted["queue_drops_total"] == 0


def test_audio_sender_after_a_flood_the_call_goes_on_straight_through() -> None:
    arrivals = [100 + n / 2500 for n in range(25_000)] + [112 + n / 50 for n in range(1000)]
    out, _ = forwarded(arrivals)
    assert sum(at >= 112 for at in out) == 1000


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 1)), max_size=200))
def test_audio_sender_never_more_than_what_may_come_at_once_and_the_rate(steps: list[tuple[float, float]]) -> None:
    pace, now, taken = RealTimeLimiter(), 50.0, 0.0
    assert pace.room(now)
    for wait, seconds in steps:
        now += wait
        if pace.room(now):
            pace.took(seconds)
            taken += seconds
        assert taken <= AHEAD_SECONDS + (now - 50) * CATCHING_UP + 1 + 1e-6
