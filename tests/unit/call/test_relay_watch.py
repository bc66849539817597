"""The calls of a relay that is gone, as another one looks after them: how many at once, for how long, and when it leaves them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from fastapi.routing import APIRoute

from voiceassist_relay.call import relay_watch
from voiceassist_relay.call.background import Background
from voiceassist_relay.call.dependencies import Timing
from voiceassist_relay.call.gone_relays import AGAIN_SECONDS, OtherRelays
from voiceassist_relay.call.peer_relays import Asked
from voiceassist_relay.call.relay_watch import AT_ONCE, Awaited, HadCalls, RelayWatch

pytestmark = pytest.mark.looptime

OWN, OTHER = "10.0.0.1:9090", "10.0.0.2:9090"


class Peers:
    def __init__(self, calls: list[str]) -> None:
        self.answer: bytes | Asked = msgspec.json.encode(HadCalls("p", calls))

    async def calls(self, address: str, path: str, most: int, seconds: float) -> bytes | Asked:
        if self.answer is Asked.UNKNOWN:
            await asyncio.sleep(seconds)
        return self.answer


class Recovery:
    """`first` is the generation that the first attempt for a call gives, `further` what the next ones give, in turn, each `age` old."""

    def __init__(self, first: int | None, *further: int | None, age: float = 0.0) -> None:
        self.first, self.further, self.age = first, further, age
        self.at: dict[str, list[float]] = {}
        self.under_way = self.most = 0
        self.waits_for: list[str] = []

    def awaited(self) -> list[str]:
        return self.waits_for

    async def _asked(self, call_sid: str) -> int:
        self.at.setdefault(call_sid, []).append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.2)
        self.under_way -= 1
        return len(self.at[call_sid])

    def _given(self, generation: int | None) -> Awaited | None:
        return None if generation is None else Awaited(generation, 1e9 + asyncio.get_running_loop().time() - self.age)

    async def owner_gone(self, call_sid: str, owner: str, since: float) -> Awaited | None:
        number = await self._asked(call_sid)
        return self._given(self.first if number == 1 else self.further[number - 2])

    async def not_there_yet(self, call_sid: str, generation: int) -> Awaited | None:
        return self._given(self.further[await self._asked(call_sid) - 2])


class Rig:
    def __init__(self, calls: int, recovery: Recovery, limit: int = 2048) -> None:
        loop = asyncio.get_running_loop()
        self.background, self.recovery = Background(limit), recovery
        self.stood_still = 0.0
        self.peers = Peers([f"CA{number}" for number in range(calls)])
        deps: Any = SimpleNamespace(
            calls=self,
            background=self.background,
            monotonic=lambda: loop.time() + self.stood_still,
            now=lambda: 1e9 + loop.time(),
            timing=Timing(),
        )
        self.others = OtherRelays(OWN)
        self.others.told(f"{OWN},{OTHER}", loop.time())
        self.watch = RelayWatch(deps, self.others, self.peers, recovery)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.watch.run())

    def here(self) -> list[str]:
        return ["CAnew", "CAold"]

    async def lose(self, answer: Asked) -> float:
        """The other relay has been seen, and is gone now. When the first of its calls was looked after."""
        await asyncio.sleep(3)
        self.peers.answer = answer
        self.others.told(OWN, asyncio.get_running_loop().time())
        while not self.recovery.at:
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time()

    async def end(self) -> None:
        await self.background.idle()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_relay_watch_a_place_is_held_only_while_something_is_asked_for() -> None:
    rig = Rig(150, Recovery(2, None))
    began = await rig.lose(Asked.GONE)
    await rig.end()
    assert rig.recovery.most == AT_ONCE
    firsts = [times[0] for times in rig.recovery.at.values()]
    assert len(firsts) == 150
    assert max(firsts) - began < 10, "waiting for a stream to come keeps no other call waiting"


@pytest.mark.parametrize(
    ("age", "waits"),
    [
        (0.0, [2.5, 2.5, 4.0]),
        (1.0, [1.5, 1.5, 3.0]),
        (60.0, [1.25, 1.25, 2.0]),
        (-60.0, [2.5, 2.5, 4.0]),
    ],
    ids=["just asked for", "asked for earlier", "long overdue, or by a clock that is behind", "by a clock that is ahead"],
)
async def test_relay_watch_goes_on_until_a_stream_has_come_and_then_no_more(age: float, waits: list[float]) -> None:
    rig = Rig(1, Recovery(2, 3, 4, None, age=age))
    await rig.lose(Asked.UNKNOWN)
    await rig.end()
    [times] = rig.recovery.at.values()
    assert [later - earlier - 0.2 for earlier, later in pairwise(times)] == pytest.approx(waits)


async def test_relay_watch_asks_again_after_every_one_of_its_waits_and_then_no_more() -> None:
    rig = Rig(1, Recovery(2, 3, 4, 5, 6, 7))
    await rig.lose(Asked.UNKNOWN)
    await rig.end()
    [times] = rig.recovery.at.values()
    assert [later - earlier - 0.2 for earlier, later in pairwise(times)] == pytest.approx(Timing().came_seconds)


async def test_relay_watch_one_that_is_suspected_is_gone_at_once_whatever_the_operator_said_before() -> None:
    rig = Rig(3, Recovery(None))
    loop = asyncio.get_running_loop()
    rig.watch.suspect(OTHER)
    await asyncio.sleep(3)
    assert rig.recovery.at == {}, "nothing was known of it"
    rig.peers.answer = Asked.GONE
    rig.others.told(f"{OWN},{OTHER}", loop.time())
    suspected_at = loop.time()
    for _ in range(3):
        rig.watch.suspect(OTHER)
    await asyncio.sleep(AGAIN_SECONDS + 0.1)
    assert [times[0] - suspected_at for times in rig.recovery.at.values()] == pytest.approx([AGAIN_SECONDS] * 3)
    await rig.end()
    assert [len(times) for times in rig.recovery.at.values()] == [1] * 3


async def test_relay_watch_one_that_is_suspected_and_silent_is_gone_soon() -> None:
    rig = Rig(3, Recovery(None))
    await asyncio.sleep(3)
    rig.peers.answer = Asked.UNKNOWN
    rig.others.told(f"{OWN},{OTHER}", asyncio.get_running_loop().time())
    suspected_at = asyncio.get_running_loop().time()
    rig.watch.suspect(OTHER)
    await asyncio.sleep(Timing().suspect_seconds + AGAIN_SECONDS + 0.2)
    assert [times[0] - suspected_at for times in rig.recovery.at.values()] == pytest.approx([Timing().suspect_seconds + AGAIN_SECONDS] * 3)
    await rig.end()


async def test_relay_watch_one_that_is_suspected_and_answers_keeps_its_calls() -> None:
    rig = Rig(3, Recovery(None))
    await asyncio.sleep(3)
    rig.watch.suspect(OTHER)
    await asyncio.sleep(1)
    rig.peers.answer = Asked.GONE
    rig.others.told(f"{OWN},{OTHER}", asyncio.get_running_loop().time())
    await asyncio.sleep(4.5)
    assert rig.recovery.at == {}, "a network may refuse for it: the suspicion is over"
    await rig.end()


async def test_relay_watch_what_could_not_be_done_is_tried_again() -> None:
    rig = Rig(1, Recovery(0, 0, 2, None))
    await rig.lose(Asked.UNKNOWN)
    await rig.end()
    assert [len(times) for times in rig.recovery.at.values()] == [4]


async def test_relay_watch_leaves_the_calls_of_a_relay_that_answers_again() -> None:
    rig = Rig(40, Recovery(None))
    well = rig.peers.answer
    rig.recovery.under_way = 0
    await rig.lose(Asked.UNKNOWN)
    rig.others.answered(OTHER, "p", msgspec.json.decode(well)["calls"], asyncio.get_running_loop().time())  # type: ignore[arg-type]
    rig.peers.answer = well
    await rig.end()
    assert len(rig.recovery.at) <= AT_ONCE, "those that it began with, and no others"


async def test_relay_watch_what_there_was_no_place_for_is_looked_after_later() -> None:
    rig = Rig(2, Recovery(None), limit=1)
    assert rig.background.spawn("else", asyncio.sleep(25))
    await rig.lose(Asked.GONE)
    await rig.end()
    assert len(rig.recovery.at) == 2


async def test_relay_watch_that_stood_still_itself_blames_nobody_for_that() -> None:
    rig = Rig(1, Recovery(None))
    await asyncio.sleep(3)
    rig.peers.answer = Asked.UNKNOWN
    rig.stood_still = 30.0
    await asyncio.sleep(8)
    assert rig.recovery.at == {}
    while not rig.recovery.at:
        await asyncio.sleep(0.1)
    await rig.end()


async def test_relay_watch_others_are_told_of_calls_that_a_relay_has_and_of_those_whose_next_streams_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(0, Recovery(None))
    rig.recovery.waits_for = ["CAcut", "CAold"]
    monkeypatch.setattr(relay_watch, "is_relay", lambda *_: True)
    [route] = rig.watch.router().routes
    assert isinstance(route, APIRoute)
    answer = await route.endpoint(None)
    assert msgspec.json.decode(answer.body, type=HadCalls).calls == ["CAcut", "CAold", "CAnew"], "each once"
    await rig.end()
