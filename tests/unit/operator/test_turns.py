"""Who comes first when more passes are wanted than there are places."""

from __future__ import annotations

import asyncio

from voiceassist_operator.controller.turns import FAVOURED_IN_A_ROW, Turns


async def served(turns: Turns, order: list[str], name: str, *, urgent: bool) -> None:
    async with turns.taken(urgent=urgent):
        order.append(name)
        await asyncio.sleep(0)


async def test_turns_urgent_ones_come_first_and_none_waits_for_ever() -> None:
    turns = Turns(1)
    order: list[str] = []
    async with turns.taken(urgent=False):
        tasks = [asyncio.create_task(served(turns, order, f"other {number}", urgent=False)) for number in range(2)]
        tasks += [asyncio.create_task(served(turns, order, f"urgent {number}", urgent=True)) for number in range(FAVOURED_IN_A_ROW + 1)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    urgent = [f"urgent {number}" for number in range(FAVOURED_IN_A_ROW + 1)]
    assert order == [*urgent[:-1], "other 0", urgent[-1], "other 1"]


async def test_turns_so_many_at_once_also_when_those_that_wait_give_up() -> None:
    turns, at_once, most = Turns(2), 0, 0

    async def one() -> None:
        nonlocal at_once, most
        async with turns.taken(urgent=False):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    tasks = [asyncio.create_task(one()) for _ in range(6)]
    await asyncio.sleep(0)
    for task in tasks[2:4]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    given = asyncio.create_task(one()), asyncio.create_task(one()), asyncio.create_task(one())
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the third has been given its place, and is cancelled before it sees that
    given[2].cancel()
    await asyncio.gather(*given, return_exceptions=True)
    await asyncio.gather(*(one() for _ in range(5)))
    assert (at_once, most) == (0, 2)
