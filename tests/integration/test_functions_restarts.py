"""What agents ask of a call in the middle of its restart, after its relay has died: stop, pause, start again, transfer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from integration.functions_rig import HeldCall, Relay, Rig, rigged
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.faults import FaultKind, FaultRule

CREATE = r"/Streams\.json$"
MOMENTS = {
    "noticed": FaultRule(FaultKind.HOLD, r"/Calls/CA\w+\.json$", method="GET", times=1),
    "asked for": FaultRule(FaultKind.HOLD, CREATE, method="POST", times=1),
    "created": FaultRule(FaultKind.HOLD, CREATE, method="POST", times=1, after=True),
}
"""Where the restart stands: Twilio's callback has come, and the Document says live; the next stream is asked for; it is there, and the
relay that asked for it does not know yet."""


class Restart:
    """A call whose relay is dead and whose restart, by the relay `other`, is held at some moment until `goes_on`."""

    def __init__(self, rig: Rig, dead: Relay, call: CreatedCall) -> None:
        self.rig, self.call, self.other = rig, call, rig.relays[1]
        dead.silent_end = True
        self._gate = self.other.hold_streams()

    async def goes_on(self) -> None:
        self.rig.twilio.holds.release()
        self._gate.set()
        await self.rig.idle()

    async def held(self) -> HeldCall:
        found = await eventually(lambda: self.other.held.find(self.call.call_sid), what="the call at the other relay")
        assert isinstance(found, HeldCall)
        return found

    async def act(self, action: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        return await self.other.stream(action, self.call, **changes)


@asynccontextmanager
async def restarted(moment: str) -> AsyncIterator[Restart]:
    async with rigged(2) as rig:
        dead, call = rig.relays[0], rig.call()
        await dead.stream("start", call)
        await eventually(lambda: dead.held.find(call.call_sid))
        await rig.idle()
        restart = Restart(rig, dead, call)
        rig.route_to(restart.other)
        rig.twilio.set_faults(MOMENTS[moment])
        await dead.cut_all()
        await rig.twilio.holds.reached(1)
        document = rig.document(call.call_sid)
        assert document is not None
        assert document.state is (CallState.LIVE if moment == "noticed" else CallState.STARTING)
        yield restart


def one_stream(rig: Rig, call: CreatedCall) -> str:
    """The call's only stream, by name: it is the Document's."""
    (name,) = rig.streams(call.call_sid)
    document = rig.document(call.call_sid)
    assert document is not None and (document.state, document.stream_name) == (CallState.LIVE, name)
    return name


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_stop_in_the_middle_of_a_restart_stays(moment: str) -> None:
    async with restarted(moment) as restart:
        rig, call = restart.rig, restart.call
        status, answer = await restart.act("stop")
        assert (status, answer["state"]) == (200, "stopped")
        await restart.goes_on()
        await eventually(lambda: not rig.streams(call.call_sid), what="no stream is left")
        await rig.idle()
        document, item = rig.document(call.call_sid), rig.status_item(call.call_sid)
        assert document is not None and document.state is CallState.STOPPED
        assert restart.other.held.find(call.call_sid) is None
        assert item is not None and (item["state"], item["reason"]) == ("stopped", "AgentRequest"), "whoever watches the call sees it too"


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_pause_in_the_middle_of_a_restart_is_kept(moment: str) -> None:
    async with restarted(moment) as restart:
        asked = asyncio.create_task(restart.act("pause"))
        await eventually(lambda: (found := restart.rig.document(restart.call.call_sid)) and found.paused, what="it is written")
        await restart.goes_on()
        held = await restart.held()
        status, answer = await asked
        assert (status, answer["state"]) == (200, "paused"), answer
        assert held.document.paused, "no byte of it goes to the model"
        one_stream(restart.rig, restart.call)


async def test_a_pause_is_answered_as_soon_as_no_relay_has_the_call() -> None:
    async with restarted("noticed") as restart:
        rig = restart.rig
        rig.twilio.set_faults(MOMENTS["asked for"])
        asked = asyncio.create_task(restart.act("pause"))
        await eventually(lambda: (found := rig.document(restart.call.call_sid)) and found.paused, what="it is written")
        rig.twilio.holds.release()
        status, answer = await asked
        assert (status, answer["state"], answer["confirmed"]) == (200, "paused", False), answer
        assert restart.other.held.find(restart.call.call_sid) is None
        await rig.twilio.holds.reached(1)
        await restart.goes_on()
        assert (await restart.held()).document.paused


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_start_in_the_middle_of_a_restart_makes_no_second_stream(moment: str) -> None:
    async with restarted(moment) as restart:
        status, answer = await restart.act("start")
        assert status == 200, answer
        assert answer["outcome"] == ("restarted" if moment == "noticed" else "running")
        await restart.goes_on()
        held = await restart.held()
        await restart.rig.idle()
        assert held.claims.generation == answer["generation"] == 2
        assert one_stream(restart.rig, restart.call) == answer["streamName"]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_transfer_in_the_middle_of_a_restart_takes_the_call_along(moment: str) -> None:
    async with restarted(moment) as restart:
        rig, call = restart.rig, restart.call
        other = rig.twilio.add_worker()
        rig.twilio.transfer(call.call_sid, other.sid)
        status, answer = await restart.act("start", Token=rig.twilio.flex_token(other.sid))
        assert (status, answer["outcome"]) == (200, "restarted" if moment == "noticed" else "transferred"), answer
        await restart.goes_on()
        held = await restart.held()
        await rig.idle()
        assert (held.document.worker, held.document.sync_stream) == (other.sid, answer["stream"])
        one_stream(rig, call)
        assert rig.readers(call.call_sid) == {other.identity}
        document = rig.document(call.call_sid)
        assert document is not None and document.worker == other.sid


async def test_a_restart_goes_on_while_twilio_takes_no_more_requests() -> None:
    """Longer than a browser would wait for a start of its own."""
    async with rigged(2) as rig:
        dead, other = rig.relays
        call = rig.call()
        await dead.stream("start", call)
        await eventually(lambda: dead.held.find(call.call_sid))
        await rig.idle()
        rig.route_to(other)
        dead.silent_end = True
        rig.twilio.set_faults(FaultRule(FaultKind.TOO_MANY, CREATE, method="POST", times=5))
        await dead.cut_all()
        held = await eventually(lambda: other.held.find(call.call_sid), what="the call at the other relay")
        assert held.claims.generation == 2, "nothing was done before"
        await rig.idle()
        item = rig.status_item(call.call_sid)
        assert item is not None and item["state"] == "reconnecting", "a relay with a model tells the rest"


async def test_what_a_restart_costs() -> None:
    """Many come at once. What the relay to which the stream comes asks besides is counted with starts."""
    async with restarted("noticed") as restart:
        mark = restart.rig.twilio.journal.mark()
        await restart.goes_on()
        await restart.held()
        await restart.rig.idle()
        counted = restart.rig.twilio.journal.since(mark)
        assert counted.of("api") == 3, "goes the call on, stop, create"
        assert counted.of("sync") <= 14
