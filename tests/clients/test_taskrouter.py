"""The real twilio-taskrouter 2.1.1, which Flex has, on the stand-in's event bridge: reservations from ringing to completion, transfers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from clients.node import JavaScriptError, Node
from contract.twilio_browser.raw_client import World
from voiceassist_sim.twilio import CreatedCall
from voiceassist_sim.twilio.taskrouter import Worker

AGENT = """
const { Worker, Supervisor } = world.taskrouter()
const worker = new (args.supervisor ? Supervisor : Worker)(args.token, { closeExistingSessions: true, logLevel: 'silent' })
world[args.as] = worker
const state = (r) => [r.sid, r.status, r.task.status]
const follow = (r) => {
  for (const event of ['accepted', 'wrapup', 'completed', 'rejected', 'timeout', 'canceled', 'rescinded']) {
    r.on(event, (r) => say(args.as, event, ...state(r)))
  }
  for (const event of ['updated', 'wrapup', 'completed', 'canceled']) {
    r.task.on(event, (task) => say(args.as, `task ${event}`, r.sid, task.attributes))
  }
  r.task.on('transferInitiated', (transfer) => {
    say(args.as, 'transfer', transfer.status)
    for (const event of ['attemptFailed', 'completed', 'failed', 'canceled']) {
      transfer.on(event, (t) => say(args.as, `transfer ${event}`, t.status))
    }
  })
}
worker.on('reservationCreated', (r) => { follow(r); say(args.as, 'created', ...state(r), r.task.transfers.incoming?.mode ?? null) })
for (const event of ['activityUpdated', 'attributesUpdated']) worker.on(event, (w) => say(args.as, event, w.activity.name, w.attributes))
for (const event of ['ready', 'disconnected', 'tokenExpired', 'error']) worker.on(event, (it) => say(args.as, event, it?.message ?? ''))
await new Promise((done, fail) => { worker.on('ready', done); worker.on('error', fail) })
for (const r of worker.reservations.values()) follow(r)
return [...worker.reservations.values()].map(state)
"""


@dataclass(frozen=True)
class Silence:
    customer: bytes = b"\xff" * 8000
    agent: bytes | None = None


class Floor:
    """Agents whose clients run in one Node.js."""

    def __init__(self, world: World, node: Node) -> None:
        self.world, self.node = world, node

    async def agent(self, name: str, *roles: str) -> Worker:
        worker = self.world.twilio.add_worker(f"{name}@example.com", roles=roles or ("agent",))
        await self.connect(name, worker)
        return worker

    async def connect(self, name: str, worker: Worker, **args: Any) -> Any:
        token = self.world.twilio.flex_token(worker.sid)
        return await self.node.run(AGENT, **{"as": name, "token": token, "supervisor": "supervisor" in worker.roles, **args})

    def ring(self, worker: Worker) -> CreatedCall:
        return self.world.twilio.create_call(Silence(), worker_sid=worker.sid, reservation="pending")

    async def do(self, name: str, call: CreatedCall, deed: str, **args: Any) -> Any:
        """Something with the reservation of a call (``r``)."""
        sid = args.pop("reservation", call.reservation_sid)
        code = f"const r = world[args.name].reservations.get(args.sid); {deed}"
        return await self.node.run(code, name=name, sid=sid, **args)

    def statuses(self, call: CreatedCall) -> list[str]:
        return [one.status for one in self.world.twilio.taskrouter.of_task(call.task_sid)]

    def task_status(self, call: CreatedCall) -> str:
        return self.world.twilio.taskrouter.task(call.task_sid).status


@pytest.fixture
def floor(world: World, node: Node) -> Floor:
    return Floor(world, node)


async def test_a_call_from_ringing_to_the_end(floor: Floor) -> None:
    ann = await floor.agent("ann")
    call = floor.ring(ann)
    sid = call.reservation_sid
    await floor.node.told("ann", "created", sid, "pending", "reserved")
    await floor.do("ann", call, "await r.conference({ to: 'client:ann' })")
    await floor.node.told("ann", "accepted", sid, "accepted", "assigned")
    updated = await floor.node.told("ann", "task updated", sid)
    assert updated[3]["call_sid"] == call.call_sid
    assert updated[3]["conference"]["participants"]["customer"] == call.call_sid
    floor.world.twilio.complete_call(call.call_sid)
    await floor.node.told("ann", "wrapup", sid, "wrapping", "wrapping")
    assert floor.task_status(call) == "wrapping"
    await floor.do("ann", call, "await r.complete()")
    await floor.node.told("ann", "completed", sid)
    assert (floor.task_status(call), floor.statuses(call)) == ("completed", ["completed"])


async def test_what_rest_writes_to_a_task_is_told(floor: Floor) -> None:
    from contract.twilio.conftest import basic

    ann = await floor.agent("ann")
    call = floor.ring(ann)
    await floor.node.told("ann", "created")
    twilio = floor.world.twilio
    url = f"{twilio.url}/taskrouter/v1/Workspaces/{call.workspace_sid}/Tasks/{call.task_sid}"
    async with floor.world.http.post(url, data={"Attributes": '{"note": "é"}'}, headers=basic(*twilio.api_key)) as response:
        assert response.status == 200
    assert (await floor.node.told("ann", "task updated"))[3] == {"note": "é"}
    await floor.do("ann", call, "await r.task.setAttributes({ ...r.task.attributes, mine: 1 })")
    assert twilio.taskrouter.task(call.task_sid).attributes == '{"note": "\\u00e9", "mine": 1}'


async def test_a_call_is_refused_runs_out_or_is_taken_back(floor: Floor) -> None:
    ann = await floor.agent("ann")
    refused, late, gone = floor.ring(ann), floor.ring(ann), floor.ring(ann)
    await floor.node.told("ann", "created", gone.reservation_sid)
    await floor.do("ann", refused, "await r.reject()")
    await floor.node.told("ann", "rejected", refused.reservation_sid)
    for call, status in ((late, "timeout"), (gone, "canceled")):
        floor.world.twilio.set_reservation(call.reservation_sid, status)
        await floor.node.told("ann", status, call.reservation_sid)
    with pytest.raises(JavaScriptError):
        await floor.node.run("await world.ann._request.post(args.path, { Instruction: 'conference' }, 'v1')", path=path(refused))


def path(call: CreatedCall) -> str:
    return f"Workspaces/{call.workspace_sid}/Workers/{call.worker_sid}/Reservations/{call.reservation_sid}"


async def test_several_tasks_at_once(floor: Floor) -> None:
    ann = await floor.agent("ann")
    calls = [floor.ring(ann) for _ in range(3)]
    for call in calls:
        await floor.node.told("ann", "created", call.reservation_sid)
        await floor.do("ann", call, "await r.conference()")
    floor.world.twilio.complete_call(calls[1].call_sid)
    await floor.node.told("ann", "wrapup", calls[1].reservation_sid)
    assert [floor.task_status(call) for call in calls] == ["assigned", "wrapping", "assigned"]
    assert [words[1:3] for words in floor.node.said if words[1:2] == ["wrapup"]] == [["wrapup", calls[1].reservation_sid]]
    known = await floor.connect("again", ann)
    assert {sid: status for sid, status, _ in known} == {
        calls[0].reservation_sid: "accepted",
        calls[1].reservation_sid: "wrapping",
        calls[2].reservation_sid: "accepted",
    }


async def test_a_cold_transfer(floor: Floor) -> None:
    ann, bob = await floor.agent("ann"), await floor.agent("bob")
    call = floor.ring(ann)
    await floor.node.told("ann", "created")
    await floor.do("ann", call, "await r.conference()")
    await floor.do("ann", call, "await r.task.transfer(args.to, { mode: 'COLD' })", to=bob.sid)
    await floor.node.told("ann", "transfer", "initiated")
    await floor.node.told("ann", "wrapup", call.reservation_sid)
    offered = await floor.node.told("bob", "created")
    assert offered[-1] == "COLD"
    await floor.do("bob", call, "await r.conference()", reservation=offered[2])
    await floor.node.told("ann", "transfer completed", "complete")
    assert (floor.statuses(call), floor.task_status(call)) == (["wrapping", "accepted"], "assigned")
    await floor.do("ann", call, "await r.complete()")
    await floor.do("bob", call, "await r.wrap(); await r.complete()", reservation=offered[2])
    assert (floor.statuses(call), floor.task_status(call)) == (["completed", "completed"], "completed")


async def test_in_a_warm_transfer_both_hold_the_call(floor: Floor) -> None:
    ann, bob = await floor.agent("ann"), await floor.agent("bob")
    call = floor.ring(ann)
    await floor.node.told("ann", "created")
    await floor.do("ann", call, "await r.conference()")
    state, other = floor.world.twilio.taskrouter, floor.world.worker
    state.update_worker(other, floor.world.twilio.clock(), activity_sid=state.offline_activity_sid)
    await floor.do("ann", call, "await r.task.transfer(args.to, { mode: 'WARM' })", to=state.queue_sid)
    offered = await floor.node.told("bob", "created")
    await floor.do("bob", call, "await r.conference()", reservation=offered[2])
    await floor.node.told("ann", "transfer completed")
    assert floor.statuses(call) == ["accepted", "accepted"]
    await floor.do("ann", call, "await r.wrap()")
    assert (floor.statuses(call), floor.task_status(call)) == (["wrapping", "accepted"], "assigned")
    assert bob.sid


async def test_a_transfer_that_comes_to_nothing(floor: Floor) -> None:
    ann, bob = await floor.agent("ann"), await floor.agent("bob")
    call = floor.ring(ann)
    await floor.node.told("ann", "created")
    await floor.do("ann", call, "await r.conference()")
    start = "await r.task.transfer(args.to, { mode: 'WARM' })"
    await floor.do("ann", call, start, to=bob.sid)
    offered = await floor.node.told("bob", "created")
    await floor.do("bob", call, "await r.reject()", reservation=offered[2])
    await floor.node.told("ann", "transfer failed")
    floor.node.forget()
    await floor.do("ann", call, start, to=bob.sid)
    await floor.node.told("bob", "created")
    with pytest.raises(JavaScriptError):
        await floor.do("ann", call, start, to=bob.sid)
    await floor.node.told("ann", "transfer")
    await floor.do("ann", call, "await r.task.transfers.outgoing.cancel()")
    await floor.node.told("bob", "canceled")
    assert floor.statuses(call) == ["accepted", "rejected", "canceled"]


async def test_hold(floor: Floor) -> None:
    ann = await floor.agent("ann")
    call = floor.ring(ann)
    await floor.node.told("ann", "created")
    await floor.do("ann", call, "await r.conference(); await r.task.updateParticipant({ hold: true })")
    assert floor.world.edge.conferences.on_hold(call.task_sid)
    await floor.do("ann", call, "await r.task.updateParticipant({ hold: false })")
    assert not floor.world.edge.conferences.on_hold(call.task_sid)


async def test_activities_and_attributes(floor: Floor) -> None:
    ann = await floor.agent("ann")
    code = "const a = [...world.ann.activities.values()].find((a) => a.name === 'Offline'); await a.setAsCurrent()"
    await floor.node.run(code)
    await floor.node.told("ann", "activityUpdated", "Offline")
    assert (ann.activity.name, ann.activity.available) == ("Offline", False)
    await floor.node.run("await world.ann.setAttributes({ skills: ['a'] })")
    await floor.node.told("ann", "attributesUpdated", "Offline", {"skills": ["a"]})


async def test_nobody_has_a_hand_in_anothers_calls(floor: Floor) -> None:
    ann, bob = await floor.agent("ann"), await floor.agent("bob")
    call = floor.ring(ann)
    await floor.node.told("ann", "created")
    for deed, place in (
        ("post(args.path, { Instruction: 'conference' }, 'v1')", path(call)),
        ("post(args.path, { Instruction: 'conference' }, 'v1')", path(call).replace(ann.sid, bob.sid)),
        ("get(args.path, 'v1')", path(call)),
        ("get(args.path, 'v1')", f"Workspaces/{call.workspace_sid}/Tasks/{call.task_sid}"),
        ("post(args.path, { ActivitySid: 'WA' }, 'v1')", f"Workspaces/{call.workspace_sid}/Workers/{ann.sid}"),
    ):
        with pytest.raises(JavaScriptError):
            await floor.node.run(f"await world.bob._request.{deed}", path=place)
    assert not any(words[:2] == ["bob", "created"] for words in floor.node.said)
    assert floor.statuses(call) == ["pending"]
    assert bob.sid


async def test_a_supervisor_watches_and_listens(floor: Floor) -> None:
    ann = await floor.agent("ann")
    await floor.agent("eve", "supervisor")
    call = floor.ring(ann)
    await floor.node.told("ann", "created")
    await floor.do("ann", call, "await r.conference()")
    watch = """
    world.i = open(args.token, { productId: 'flex_insights' }, world.OldClient)
    const query = await world.i.liveQuery('tr-reservation', `data.worker_sid == "${args.worker}" && (data.status not_in ["completed"])`)
    query.on('itemUpdated', (item) => say('query', 'updated', item.key, item.value.status))
    query.on('itemRemoved', (item) => say('query', 'removed', item.key))
    return Object.values(query.getItems()).map((row) => [row.reservation_sid, row.status, row.attributes.call_sid])"""
    (boss,) = [one for one in floor.world.twilio.taskrouter.workers.values() if "supervisor" in one.roles]
    rows = await floor.node.run(watch, token=floor.world.twilio.flex_token(boss.sid), worker=ann.sid)
    assert rows == [[call.reservation_sid, "accepted", call.call_sid]]
    monitor = "await world.eve.monitor(args.task, args.reservation, { To: 'client:eve' })"
    await floor.node.run(monitor, task=call.task_sid, reservation=call.reservation_sid)
    rows = floor.world.edge.conferences.rows(call.task_sid) or {}
    assert sorted(row.get("participant_type", "") for row in rows.values()) == ["", "customer", "supervisor", "worker"]
    with pytest.raises(JavaScriptError):
        await floor.node.run("await world.ann._request.post(args.path, { Instruction: 'supervise' }, 'v1')", path=task_path(call))
    await asyncio.sleep(0.5)
    floor.world.twilio.complete_call(call.call_sid)
    await floor.node.told("query", "updated", call.reservation_sid, "wrapup")
    await floor.do("ann", call, "await r.complete()")
    await floor.node.told("query", "removed", call.reservation_sid)


def task_path(call: CreatedCall) -> str:
    return f"Workspaces/{call.workspace_sid}/Tasks/{call.task_sid}/Reservations/{call.reservation_sid}"


async def test_a_line_that_is_cut_comes_back_with_what_there_is(floor: Floor) -> None:
    ann = await floor.agent("ann")
    floor.node.forget()
    assert floor.world.edge.event_bridge.end(ann.sid) == 1
    await floor.node.told("ann", "disconnected")
    await floor.node.told("ann", "ready")
    floor.ring(ann)
    await floor.node.told("ann", "created")


async def test_a_token_that_is_no_good_opens_nothing(floor: Floor) -> None:
    world = floor.world
    token = world.twilio.flex_token(world.worker.sid, ttl=-5)
    for bad in (token, "no.such.token", world.token()):
        with pytest.raises(JavaScriptError):
            await floor.node.run(AGENT, **{"as": "bad", "token": bad, "supervisor": False})
