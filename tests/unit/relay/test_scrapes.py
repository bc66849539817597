"""Scrapes of /metrics: one rendering stands for a second, whoever asks, and however often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from voiceassist_relay.metrics.scrapes import AT_ONCE, WAITING, Scrapes, TooMany

pytestmark = pytest.mark.looptime


class Renderings:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> list[str]:
        self.count += 1
        return [str(self.count)]


async def test_scrapes_a_rendering_stands_for_a_second() -> None:
    renderings = Renderings()
    scrapes = Scrapes(renderings)
    assert await scrapes.text() == b"1"
    await asyncio.sleep(0.9)
    assert await scrapes.text() == b"1"
    await asyncio.sleep(0.2)
    assert await scrapes.text() == b"2"


async def test_scrapes_who_asks_without_end_is_not_answered_more_often() -> None:
    renderings, answers = Renderings(), 0
    scrapes = Scrapes(renderings)

    async def again_and_again() -> None:
        nonlocal answers
        while True:
            await scrapes.text()
            answers += 1
            await asyncio.sleep(0.001)

    tasks = [asyncio.create_task(again_and_again()) for _ in range(8)]
    await asyncio.sleep(10.5)
    for task in tasks:
        task.cancel()
    assert renderings.count <= 11
    assert answers <= 11 * AT_ONCE
    assert answers >= 10 * AT_ONCE, "nobody is shut out"


async def test_scrapes_those_above_the_bound_are_refused_at_once() -> None:
    scrapes = Scrapes(Renderings())
    results = await asyncio.gather(*(scrapes.text() for _ in range(AT_ONCE + WAITING + 3)), return_exceptions=True)
    assert list(results[:AT_ONCE]) == [b"1"] * AT_ONCE
    assert list(results[AT_ONCE:-3]) == [b"2"] * WAITING
    assert all(isinstance(result, TooMany) for result in results[-3:])


async def test_scrapes_a_rendering_lets_others_go_first() -> None:
    """Every piece takes a millisecond, the longest that others may wait: they come in between; who asks meanwhile gets the same."""
    done = 0

    def slow() -> Iterator[str]:
        nonlocal done
        for number in range(20):
            time.sleep(0.001)
            assert done >= number - 1
            yield f"{number} "

    async def others() -> None:
        nonlocal done
        while True:
            await asyncio.sleep(0)
            done += 1

    task = asyncio.create_task(others())
    scrapes = Scrapes(slow)
    first, second = await asyncio.gather(scrapes.text(), scrapes.text())
    task.cancel()
    assert first == second == "".join(f"{number} " for number in range(20)).encode()


async def test_scrapes_a_client_that_goes_away_takes_no_rendering_from_another() -> None:
    scrapes = Scrapes(Renderings())
    gone, stays = asyncio.create_task(scrapes.text()), asyncio.create_task(scrapes.text())
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == b"1"


async def test_scrapes_a_rendering_that_fails_is_tried_again() -> None:
    fails = True

    def render() -> Iterator[str]:
        if fails:
            raise RuntimeError
        yield "well"

    scrapes = Scrapes(render)
    with pytest.raises(RuntimeError):
        await scrapes.text()
    fails = False
    assert await scrapes.text() == b"well"


async def test_scrapes_with_no_time_each_has_a_rendering_of_its_own() -> None:
    scrapes = Scrapes(Renderings(), 0)
    assert [await scrapes.text() for _ in range(20)] == [b"%d" % number for number in range(1, 21)]
