import asyncio

import pytest

from voiceassist_sim.twilio.streams.pacer import GRID, Pacer, pacer


@pytest.mark.looptime
async def test_due_times_do_not_drift():
    loop, times = asyncio.get_running_loop(), []
    due = begin = loop.time() + 0.02
    done = asyncio.Event()

    def tick():
        nonlocal due
        times.append(loop.time())
        due += 0.02
        if len(times) == 500:
            done.set()
            return None
        return due

    Pacer().add(begin, tick)
    await done.wait()
    assert max(abs(time - (begin + 0.02 * index)) for index, time in enumerate(times)) < 0.001


@pytest.mark.looptime
async def test_streams_share_wake_ups_and_wait_at_most_one_grid(monkeypatch):
    monkeypatch.setattr("voiceassist_sim.twilio.streams.pacer.monotonic", lambda: 0.0)  # a busy machine must not cut a pass short
    loop, paced = asyncio.get_running_loop(), Pacer()
    wakes, delays = set(), []
    begin = loop.time() + 1

    def stream(offset):
        due = begin + offset

        def tick():
            nonlocal due
            now = loop.time()
            wakes.add(now)
            delays.append(now - due)
            due += 0.02
            return due if due < begin + 1 else None

        return due, tick

    for index in range(200):
        paced.add(*stream(index * 0.0001))
    await asyncio.sleep(3)
    assert len(delays) == 200 * 50
    assert len(wakes) <= 1.05 / GRID
    assert min(delays) >= -0.001
    assert max(delays) <= GRID + 1e-6
    assert len(paced) == 0


@pytest.mark.looptime
async def test_removed_ones_are_never_called_and_leave_no_timer():
    loop, paced, calls = asyncio.get_running_loop(), Pacer(), []

    def tick():
        calls.append(1)
        return loop.time() + 0.02

    idents = [paced.add(loop.time() + 0.01 * index, tick) for index in range(1, 101)]
    for ident in idents:
        paced.remove(ident)
    paced.remove(4711)
    await asyncio.sleep(1)
    assert calls == []
    assert len(paced) == 0


@pytest.mark.looptime
async def test_one_that_removes_itself_in_its_turn_is_not_called_again():
    loop, paced, calls = asyncio.get_running_loop(), Pacer(), []

    def tick():
        calls.append(1)
        paced.remove(ident)
        return loop.time() + 0.02

    ident = paced.add(loop.time(), tick)
    await asyncio.sleep(1)
    assert calls == [1]


@pytest.mark.looptime
async def test_one_that_raises_is_reported_and_the_others_go_on():
    loop, paced, calls, reports = asyncio.get_running_loop(), Pacer(), [], []
    loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))

    def bad():
        raise ValueError("broken")

    def good():
        calls.append(loop.time())
        return loop.time() + 0.02 if len(calls) < 5 else None

    paced.add(loop.time(), bad)
    paced.add(loop.time(), good)
    await asyncio.sleep(1)
    assert len(calls) == 5
    assert [str(error) for error in reports] == ["broken"]
    assert len(paced) == 0


async def test_a_flood_lets_the_loop_breathe():
    loop, paced, calls = asyncio.get_running_loop(), Pacer(), []

    def always_due():
        calls.append(1)
        return 0.0

    begin = loop.time()
    ident = paced.add(begin, always_due)
    await asyncio.sleep(0.05)  # comes back, although the stream is behind for ever
    paced.remove(ident)
    assert calls
    assert loop.time() - begin < 5


async def test_there_is_one_per_loop():
    assert pacer() is pacer()
