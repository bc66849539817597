"""The calls of a relay that is gone, as another one looks after them: how many at once, for how long, and when it leaves them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from voiceassist_relay.call.background import Background
from voiceassist_relay.call.dependencies import Timing
from voiceassist_relay.call.gone_relays import OtherRelays
from voiceassist_relay.call.peer_relays import Asked
from voiceassist_relay.call.relay_watch import AT_ONCE, HadCalls, RelayWatch

pytestmark = pytest.mark.looptime

OWN, OTHER = "10.0.0.1:9090", "10.0.0.2:9090"


class Peers:
    def __init__(self, calls: list[str]) -> None:
        self.answer: bytes | Asked = msgspec.json.encode(HadCalls("p", calls))

    async def calls(self, *_: Any) -> bytes | Asked:
        return self.answer


class Recovery:
    """`first` is what the first attempt for a call gives, `further` what the next ones give, in turn."""

    def __init__(self, first: int | None, *further: int | None) -> None:
        self.first, self.further = first, further
        self.at: dict[str, list[float]] = {}
        self.under_way = self.most = 0

    async def _asked(self, call_sid: str) -> int:
        self.at.setdefault(call_sid, []).append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.2)
        self.under_way -= 1
        return len(self.at[call_sid])

    async def owner_gone(self, call_sid: str, owner: str, since: float) -> int | None:
        number = await self._asked(call_sid)
        return self.first if number == 1 else self.further[number - 2]

    async def not_there_yet(self, call_sid: str, generation: int) -> int | None:
        return self.further[await self._asked(call_sid) - 2]


class Rig:
    def __init__(self, calls: int, recovery: Recovery, limit: int = 2048) -> None:
        loop = asyncio.get_running_loop()
        self.background, self.recovery = Background(limit), recovery
        self.peers = Peers([f"CA{number}" for number in range(calls)])
        deps: Any = SimpleNamespace(background=self.background, monotonic=loop.time, now=lambda: 1e9 + loop.time(), timing=Timing())
        self.others = OtherRelays(OWN)
        self.others.told(f"{OWN},{OTHER}", loop.time())
        self.watch = RelayWatch(deps, self.others, self.peers, recovery)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.watch.run())

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


async def test_relay_watch_goes_on_until_a_stream_has_come_and_then_no_more() -> None:
    rig = Rig(1, Recovery(2, 3, None))
    await rig.lose(Asked.UNKNOWN)
    await rig.end()
    [times] = rig.recovery.at.values()
    assert [round(later - earlier - 0.2) for earlier, later in pairwise(times)] == [4, 6]


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
