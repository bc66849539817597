"""The lazy event: who is woken, when, and what it keeps."""

from __future__ import annotations

import asyncio

import pytest

from voiceassist_relay.lazy_event import LazyEvent


async def waiting(event: LazyEvent, count: int) -> list[asyncio.Task[None]]:
    """Tasks that wait for it, each as far as its `await`."""
    tasks = [asyncio.create_task(event.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def both(tasks: list[asyncio.Task[None]]) -> None:
    """They end, and soon: one that hangs fails the test."""
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)


async def test_lazy_event_set_before_wait_costs_no_turn_of_the_loop() -> None:
    event = LazyEvent()
    event.set()
    with pytest.raises(StopIteration):
        event.wait().send(None)
    assert event.is_set()


async def test_lazy_event_set_wakes_everyone_who_waits() -> None:
    event = LazyEvent()
    tasks = await waiting(event, 3)
    event.set()
    await both(tasks)
    assert event.is_set()


async def test_lazy_event_whoever_waits_is_woken_even_if_it_is_cleared_at_once() -> None:
    event = LazyEvent()
    tasks = await waiting(event, 2)
    event.set()
    event.clear()
    late = await waiting(event, 1)
    await both(tasks)
    assert not late[0].done()
    event.set()
    await both(late)


async def test_lazy_event_cleared_it_is_waited_for_again_and_again() -> None:
    event = LazyEvent()
    for _ in range(3):
        tasks = await waiting(event, 1)
        event.set()
        event.set()
        await both(tasks)
        event.clear()
        assert not event.is_set()


async def test_lazy_event_a_cancelled_waiter_takes_nobody_with_it() -> None:
    event = LazyEvent()
    first, second, third = await waiting(event, 3)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    event.set()
    await both([first, third])


async def test_lazy_event_set_while_a_cancelled_waiter_did_not_run_yet() -> None:
    event = LazyEvent()
    first, second = await waiting(event, 2)
    first.cancel()
    event.set()
    await both([second])
    assert first.cancelled()


async def test_lazy_event_cancelled_after_set_the_next_ones_stay() -> None:
    event = LazyEvent()
    (first,) = await waiting(event, 1)
    event.set()
    event.clear()
    first.cancel()
    late = await waiting(event, 1)
    assert first.cancelled()
    event.set()
    await both(late)


async def test_lazy_event_a_timeout_leaves_nothing_behind() -> None:
    event = LazyEvent()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await event.wait()
    assert event._waiting is None


async def test_lazy_event_nothing_is_kept_once_it_is_set() -> None:
    event = LazyEvent()
    tasks = await waiting(event, 2)
    event.set()
    await both(tasks)
    assert event._waiting is None
