"""The registry: generations, places, configurations, drain, and calls that do not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from unit.call.registry_rig import Connection, RegistryRig, config, start
from voiceassist_crds.config import Limits
from voiceassist_crds.names import StreamSid
from voiceassist_relay.budget_count import Level
from voiceassist_relay.call.drain import Drain


async def test_registry_newer_generation_wins_and_an_older_one_is_sent_away() -> None:
    rig = RegistryRig()
    _, first, _, old = rig.call(1, 1)
    _, second, model, _ = rig.call(1, 2)
    assert first.closed == [(1008, "replaced")]
    assert rig.registry.reserve()
    late = Connection()
    nowhere = rig.registry.open(start(1, 1), late)
    nowhere.frame(True, b"x", 0.0)
    assert late.closed == [(1008, "superseded")]
    assert model.frames == []
    assert second.closed == []
    for _ in range(20):
        await asyncio.sleep(0)
    assert old.states() == [], "the newer one tells the agent"
    assert len(rig.registry) == 1
    assert rig.registry.find(start(1).call_sid) is not None
    await rig.registry.hang_up_all("drain", 5)


async def test_registry_a_second_stream_of_a_live_generation_is_sent_away() -> None:
    rig = RegistryRig()
    _, first, model, _ = rig.call(1, 1)
    assert rig.registry.reserve()
    second = Connection()
    other = replace(start(1, 1), stream_sid=StreamSid("MZ" + "1" * 32))
    rig.registry.open(other, second).frame(True, b"x", 0.0)
    assert (first.closed, second.closed, model.frames) == ([], [(1008, "superseded")], [])
    await rig.registry.hang_up_all("drain", 5)


async def test_registry_the_same_stream_again_replaces_its_older_connection() -> None:
    rig = RegistryRig()
    _, first, _, _ = rig.call(1, 1)
    _, second, _, _ = rig.call(1, 1)
    assert (first.closed, second.closed) == ([(1008, "replaced")], [])
    await rig.registry.hang_up_all("drain", 5)


async def test_registry_places() -> None:
    rig = RegistryRig(config(max_calls=2))
    assert rig.registry.reserve()
    assert rig.registry.reserve()
    assert not rig.registry.reserve()
    rig.registry.release()
    assert rig.registry.reserve()


@pytest.mark.parametrize(("apply_to", "expected"), [("NewCalls", []), ("AllCalls", [("use", "New.")])])
async def test_registry_a_new_prompt_reaches_live_calls_only_if_asked(apply_to: str, expected: list[Any]) -> None:
    rig = RegistryRig()
    sink, _, model, _ = rig.call()
    before = sink.revision
    sink.use(config(apply_to, "New."))
    assert model.log == expected
    assert (sink.revision == before) == (expected == [])
    await rig.registry.hang_up_all("drain", 5)


async def test_registry_tokens_of_a_session_that_is_being_replaced_keep_its_models_name() -> None:
    """A call that goes over to another model counts for both until it goes over to a third; one that does not go over keeps its own."""
    rig = RegistryRig()
    moved, _, _, _ = rig.call(1)
    assert moved.models == ("m",)
    moved.use(config("NewCalls", "New.", model="n"))
    assert moved.models == ("m",)
    moved.use(config("AllCalls", "New.", model="n"))
    assert moved.models == ("n", "m")
    rig.metrics.use_models(moved.models)
    rig.metrics.tokens("m", "text", "output", False, 3)
    assert rig.metric("tokens_total", model="m", modality="text", direction="output", cached="false") == 3
    moved.use(config("AllCalls", "Newer.", model="o"))
    assert moved.models == ("o", "n")
    await rig.registry.hang_up_all("drain", 5)


async def test_registry_a_call_that_cannot_take_a_configuration_ends_and_the_others_take_it() -> None:
    rig = RegistryRig()
    _, first, bad, _ = rig.call(1)
    _, second, good, _ = rig.call(2)

    def broken(*_: Any) -> None:
        raise RuntimeError("bug")

    bad.use = broken  # type: ignore[method-assign]
    rig.registry.use(config("AllCalls", "New."))
    assert first.closed == [(1001, "error")]
    assert second.closed == []
    assert good.log == [("use", "New.")]
    await rig.registry.hang_up_all("drain", 5)


async def test_registry_drain_serves_then_waits_then_ends_in_order() -> None:
    rig = RegistryRig()
    _, connection, _, publisher = rig.call(1)
    drain = Drain(rig.registry, rig.metrics, lambda: Limits(drain_grace_seconds=0.05, drain_timeout_seconds=3600))
    running = asyncio.create_task(drain.run())
    drain.ask()
    await asyncio.sleep(0.01)
    assert drain.draining
    assert not rig.registry.refusing, "new upgrades are served during the grace"
    await asyncio.sleep(0.1)
    assert rig.registry.refusing
    assert connection.closed == []
    assert not running.done(), "a live call goes on"
    drain.ask()
    await asyncio.wait_for(running, 5)
    assert connection.closed == [(1001, "drain")]
    assert publisher.log[-1] == ("finish", True)


async def test_registry_drain_ends_at_once_when_the_last_call_is_over() -> None:
    rig = RegistryRig()
    sink, *_ = rig.call(1)
    drain = Drain(rig.registry, rig.metrics, lambda: Limits(drain_grace_seconds=0, drain_timeout_seconds=3600))
    running = asyncio.create_task(drain.run())
    drain.ask()
    await asyncio.sleep(0.05)
    sink.ended("stop")
    await asyncio.wait_for(running, 5)


async def test_registry_drain_timeout_ends_what_goes_on() -> None:
    rig = RegistryRig()
    _, connection, _, _ = rig.call(1)
    drain = Drain(rig.registry, rig.metrics, lambda: Limits(drain_grace_seconds=0, drain_timeout_seconds=0))
    drain.ask()
    await asyncio.wait_for(drain.run(), 5)
    assert connection.closed == [(1001, "drain")]


class Moves:
    """Has one call on its way to another relay, which has it `after` seconds behind the last moment at which moves begin."""

    def __init__(self, sink: Any, call_sid: str, after: float) -> None:
        self.sink, self.call_sid, self.after = sink, call_sid, after
        self.no_more = asyncio.Event()

    async def move_all(self, calls: Callable[[], Iterable[Any]]) -> None:
        assert len(list(calls())) == 2
        await self.no_more.wait()
        await asyncio.sleep(self.after)
        self.sink.ended("moved")

    def begin_no_more(self) -> None:
        self.no_more.set()

    def is_moving(self, call_sid: str) -> bool:
        return call_sid == self.call_sid


async def test_registry_drain_timeout_lets_a_call_that_is_being_moved_arrive() -> None:
    rig = RegistryRig()
    moved, connection, _, _ = rig.call(1)
    _, other, _, _ = rig.call(2)
    moves = Moves(moved, start(1).call_sid, 0.3)
    drain = Drain(rig.registry, rig.metrics, lambda: Limits(drain_grace_seconds=0, drain_timeout_seconds=0), moves)
    drain.ask()
    await asyncio.wait_for(drain.run(), 10)
    assert other.closed == [(1001, "drain")], "calls that are not on their way end at once"
    assert connection.closed == [(1001, "over")], "it was not hung up"


async def test_registry_drain_does_not_wait_for_ever_for_a_call_that_is_being_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceassist_relay.call.drain.MOVE_GRACE", 0.1)
    rig = RegistryRig()
    moved, connection, _, _ = rig.call(1)
    rig.call(2)
    drain = Drain(
        rig.registry,
        rig.metrics,
        lambda: Limits(drain_grace_seconds=0, drain_timeout_seconds=0),
        Moves(moved, start(1).call_sid, 3600),
    )
    drain.ask()
    await asyncio.wait_for(drain.run(), 10)
    assert connection.closed == [(1001, "drain")]


async def test_registry_drain_ends_calls_in_order_however_long_moves_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceassist_relay.call.drain.MOVE_GRACE", 0.1)
    monkeypatch.setattr("voiceassist_relay.call.drain.CLOSE_GRACE", 0.0)  # used up
    rig = RegistryRig()
    moved, _, _, publisher = rig.call(1)
    rig.call(2)
    moves = Moves(moved, start(1).call_sid, 3600)
    drain = Drain(rig.registry, rig.metrics, lambda: Limits(drain_grace_seconds=0, drain_timeout_seconds=0), moves)
    drain.ask()
    await asyncio.wait_for(drain.run(), 10)
    assert publisher.log[-1] == ("finish", True), "not cancelled before it could store anything"


async def test_registry_a_call_that_does_not_end_is_cancelled() -> None:
    rig = RegistryRig()
    _, _, _, publisher = rig.call(1)
    publisher.hang = True
    await rig.registry.hang_up_all("drain", 0.1)
    assert len(rig.registry) == 0


async def test_registry_a_call_that_cannot_be_held_back_ends_and_the_others_are() -> None:
    rig = RegistryRig()
    first, _, broken, _ = rig.call(0)
    _, _, other, _ = rig.call(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    def fails() -> None:
        raise RuntimeError

    broken.pause = fails  # type: ignore[method-assign]
    rig.registry.allow(Level.STOPPED)
    assert other.log == ["pause"]
    assert first.over
    await rig.registry.hang_up_all("drain", 5)
