"""When a peer is asked, and what becomes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.status import PeerReason
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.health import peer_check
from voiceassist_relay.health.model_check import model_relevant
from voiceassist_relay.health.peer_check import PeerCheck, Unwell
from voiceassist_relay.peer_health import PeerHealth


def snapshot(key: str = "k", host: str = "a.example.com", model: str = "m") -> Snapshot:
    config = {
        "host": host,
        "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
        "prompts": [{"instructions": "Help."}],
        "model": {"name": model},
    }
    return Snapshot(RelayConfig.model_validate(config).with_revisions(), Secrets(model_key=key))


async def running(answers: list[Exception | None], during: Callable[[PeerCheck, list[int]], Awaitable[None]]) -> PeerHealth:
    """A check whose questions are answered in turn, the last answer for ever."""
    health, asked = PeerHealth(0), [0]

    async def ask() -> None:
        answer = answers[min(asked[0], len(answers) - 1)]
        asked[0] += 1
        if answer is not None:
            raise answer

    check = PeerCheck("model", health, model_relevant, ask)
    task = asyncio.create_task(check.run())
    try:
        async with asyncio.timeout(5):
            await during(check, asked)
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return health


def until(count: int) -> Callable[[PeerCheck, list[int]], Awaitable[None]]:
    async def wait(_: PeerCheck, asked: list[int]) -> None:
        while asked[0] < count:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)

    return wait


async def test_peer_check_asked_at_start_and_left_alone_while_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_check, "AGAIN", 0.01)

    async def wait(_: PeerCheck, asked: list[int]) -> None:
        await asyncio.sleep(0.1)
        assert asked == [1]

    assert (await running([None], wait)).status.ok


async def test_peer_check_asked_again_while_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_check, "AGAIN", 0.01)
    assert (await running([Unwell(PeerReason.REFUSED, "no"), Unwell(PeerReason.REFUSED, "no"), None], until(3))).status.ok


async def test_peer_check_a_check_that_breaks_is_told_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_check, "AGAIN", 0.01)
    broken = await running([RuntimeError("bug")], until(3))
    assert (broken.status.ok, broken.status.reason) == (False, PeerReason.UNKNOWN)
    assert "RuntimeError" in broken.status.message
    assert (await running([RuntimeError("bug"), None], until(2))).status.ok


async def test_peer_check_asked_at_once_when_what_matters_changes_and_not_otherwise() -> None:
    async def change(check: PeerCheck, asked: list[int]) -> None:
        await until(1)(check, asked)
        check.changed(snapshot(), snapshot(host="b.example.com"))
        await asyncio.sleep(0.02)
        assert asked == [1]
        check.changed(snapshot(), snapshot(key="other"))
        await until(2)(check, asked)
        check.changed(snapshot(), snapshot(model="other"))
        await until(3)(check, asked)

    await running([None], change)


def test_peer_check_a_secret_header_matters_as_a_key_does() -> None:
    one = snapshot()
    other = Snapshot(one.config, Secrets(model_key="k", model_headers=(("X-Portkey-Config", "new"),)))
    assert model_relevant(one) == model_relevant(snapshot())
    assert model_relevant(one) != model_relevant(other)


async def test_peer_check_after_a_change_the_peer_is_unknown_and_an_answer_to_the_old_question_does_not_count() -> None:
    health, asked, may_answer = PeerHealth(0), [0], asyncio.Event()

    async def ask() -> None:
        asked[0] += 1
        if asked[0] == 2:
            await may_answer.wait()
        if asked[0] > 2:
            raise Unwell(PeerReason.UNREACHABLE, "gone")

    check = PeerCheck("model", health, model_relevant, ask)
    task = asyncio.create_task(check.run())
    try:
        async with asyncio.timeout(5):
            while not health.status.ok:
                await asyncio.sleep(0.001)
            check.changed(snapshot(), snapshot(key="second"))
            assert (health.status.ok, health.status.reason) == (False, PeerReason.UNKNOWN)
            while asked[0] < 2:
                await asyncio.sleep(0.001)
            check.changed(snapshot(key="second"), snapshot(key="third"))
            may_answer.set()
            while asked[0] < 3:
                assert not health.status.ok, "an answer for the second key says nothing of the third"
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
        assert (health.status.ok, health.status.reason) == (False, PeerReason.UNREACHABLE)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
