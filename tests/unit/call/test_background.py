"""Work after the answer: bounded, awaited at the end, and its failures told."""

from __future__ import annotations

import asyncio

import pytest

from voiceassist_relay.call.background import Background


async def test_background_work_is_held_until_it_is_done() -> None:
    background, gate, done = Background(), asyncio.Event(), []

    async def work() -> None:
        await gate.wait()
        done.append(1)

    assert background.spawn("work", work())
    assert len(background) == 1
    gate.set()
    await background.idle()
    assert (len(background), done) == (0, [1])


async def test_background_too_much_work_is_refused() -> None:
    background, gate = Background(limit=2), asyncio.Event()

    async def work() -> None:
        await gate.wait()

    assert [background.spawn("work", work()) for _ in range(3)] == [True, True, False]
    gate.set()
    await background.idle()
    assert background.spawn("work", work())
    await background.aclose(1.0)
    assert not background.spawn("work", work())


async def test_background_the_end_waits_for_a_while_and_then_cancels() -> None:
    background, seen = Background(), []

    async def quick() -> None:
        await asyncio.sleep(0.02)
        seen.append("quick")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    background.spawn("quick", quick())
    background.spawn("endless", endless())
    await background.aclose(0.2)
    assert seen == ["quick", "cancelled"] and len(background) == 0
    await background.aclose(0.2)


async def test_background_a_failure_is_logged_and_ends_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    background, done = Background(), []

    async def fail() -> None:
        raise ValueError("broken")

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(1)

    background.spawn("fail", fail())
    background.spawn("work", work())
    await background.idle()
    assert done == [1]
    assert "background work failed" in capsys.readouterr().out
