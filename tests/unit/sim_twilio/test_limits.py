import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_sim.twilio.limits import Buckets, Rate, write_cost
from voiceassist_sim.twilio.settings import Lenient, Settings, SyncLimits

NOW = 1_800_000_000.0


def test_the_vendors_rates() -> None:
    limits = SyncLimits()
    assert (limits.messages.per_second, limits.messages.capacity) == (30, 30)
    for rate in (limits.writes, limits.reads, limits.creations):
        assert (rate.per_second, rate.capacity) == (20, 200)
    assert (limits.permissions.per_second, limits.permissions.capacity) == (80, 800)
    assert (limits.message_bytes, limits.data_bytes) == (4096, 16384)
    assert Settings().message_rate().capacity == 30
    assert Settings(lenient=Lenient(message_burst=True)).message_rate().capacity == 300


def test_a_burst_and_then_the_rate() -> None:
    buckets, rate = Buckets(), Rate(20, burst_seconds=10)
    assert [buckets.take("a", rate, NOW) for _ in range(200)] == [0.0] * 200
    assert buckets.take("a", rate, NOW) == pytest.approx(0.05)
    assert buckets.take("b", rate, NOW) == 0
    assert buckets.take("a", rate, NOW + 0.04) > 0
    assert buckets.take("a", rate, NOW + 0.05) == 0
    assert buckets.take("a", rate, NOW + 0.05) > 0
    assert [buckets.take("a", rate, NOW + 100) for _ in range(201)].count(0.0) == 200


def test_a_refusal_takes_nothing_and_a_clock_that_goes_back_gives_nothing() -> None:
    buckets, rate = Buckets(), Rate(1)
    assert buckets.take("a", rate, NOW) == 0
    assert buckets.take("a", rate, NOW - 100) > 0
    for _ in range(50):
        assert buckets.take("a", rate, NOW + 0.5) == pytest.approx(0.5)
    assert buckets.take("a", rate, NOW + 1) == 0


def test_what_a_write_costs() -> None:
    assert write_cost(0) == write_cost(1024) == 1
    assert write_cost(1025) > 1
    assert write_cost(5632) == pytest.approx(1 / 0.55)  # half way: 11 of 20 writes a second are left
    assert write_cost(10240) == write_cost(16384) == pytest.approx(10)


def test_buckets_are_bounded() -> None:
    buckets, rate = Buckets(max_keys=10), Rate(1, burst_seconds=2)
    for number in range(10):
        buckets.take(number, rate, NOW)
    buckets.take("busy", rate, NOW + 5)
    assert len(buckets) == 1  # all others were full again
    for number in range(30):
        buckets.take(number, rate, NOW + 5)
    assert len(buckets) <= 10


@given(st.floats(0.5, 100), st.floats(0.1, 20), st.lists(st.tuples(st.floats(0, 2), st.floats(0.5, 10)), max_size=200))
def test_never_more_than_burst_and_rate(per_second: float, burst: float, steps: list[tuple[float, float]]) -> None:
    buckets, rate, now, taken = Buckets(), Rate(per_second, burst), NOW, 0.0
    for wait, cost in steps:
        now += wait
        if buckets.take("a", rate, now, cost) == 0:
            taken += cost
        assert taken <= rate.capacity + (now - NOW) * per_second + 0.01
