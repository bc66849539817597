"""TaskRouter through the vendor's client: tasks of calls, and who holds them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from contract.twilio.conftest import NOW, Ask, Clock, Silence
from voiceassist_sim.twilio import CreatedCall, TwilioServer


async def refused(awaitable: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        await awaitable
    return caught.value.status, caught.value.code


@pytest.fixture
async def call(server: TwilioServer) -> CreatedCall:
    return server.create_call(Silence())


@pytest.fixture
def workspace(client: Client, call: CreatedCall) -> Any:
    return client.taskrouter.v1.workspaces(call.workspace_sid)


async def test_the_workspace(workspace: Any, client: Client, call: CreatedCall) -> None:
    assert (await workspace.fetch_async()).sid == call.workspace_sid
    assert [one.sid for one in await client.taskrouter.v1.workspaces.list_async()] == [call.workspace_sid]
    other = client.taskrouter.v1.workspaces("WS" + "0" * 32)
    assert await refused(other.fetch_async()) == (404, 20404)
    assert await refused(other.tasks(call.task_sid).fetch_async()) == (404, 20404)


async def test_a_worker(workspace: Any, call: CreatedCall) -> None:
    assert (await workspace.workers(call.worker_sid).fetch_async()).friendly_name == "agent1@example.com"
    assert call.identity == "agent1_40example_2Ecom"
    assert await refused(workspace.workers("WK" + "0" * 32).fetch_async()) == (404, 20404)


async def test_a_calls_task(workspace: Any, call: CreatedCall, clock: Clock) -> None:
    clock.pass_(5)
    task = await workspace.tasks(call.task_sid).fetch_async()
    attributes = json.loads(task.attributes)
    assert attributes["call_sid"] == call.call_sid
    assert attributes["conference"]["participants"]["customer"] == call.call_sid
    assert (task.assignment_status, task.age) == ("assigned", 5)
    assert await refused(workspace.tasks("WT" + "0" * 32).fetch_async()) == (404, 20404)


async def test_the_customers_leg_may_be_another(workspace: Any, server: TwilioServer) -> None:
    made = server.create_call(Silence(), attributes={"call_sid": "CA" + "0" * 32})
    task = json.loads((await server_task(workspace, made)).attributes)
    assert task["call_sid"] == "CA" + "0" * 32
    assert task["conference"]["participants"]["customer"] == made.call_sid


async def server_task(workspace: Any, made: CreatedCall) -> Any:
    return await workspace.tasks(made.task_sid).fetch_async()


async def test_attributes_are_replaced_under_an_etag(workspace: Any, call: CreatedCall, ask: Ask) -> None:
    path = f"/taskrouter/v1/Workspaces/{call.workspace_sid}/Tasks/{call.task_sid}"
    etag = (await ask("GET", path)).headers["ETag"]
    task = workspace.tasks(call.task_sid)
    changed = await task.update_async(attributes='{"voice_assist": 1}', if_match=etag)
    assert json.loads(changed.attributes) == {"voice_assist": 1}
    assert await refused(task.update_async(attributes="{}", if_match=etag)) == (412, 20412)
    assert json.loads((await task.fetch_async()).attributes) == {"voice_assist": 1}
    assert (await ask("GET", path)).headers["ETag"] != etag
    for bad in ("[]", "{", "text"):
        assert await refused(task.update_async(attributes=bad)) == (400, 20001)


async def test_a_task_goes_its_way(workspace: Any, call: CreatedCall, clock: Clock) -> None:
    task = workspace.tasks(call.task_sid)
    assert await refused(task.update_async(assignment_status="canceled", reason="x")) == (400, 20001)  # not from assigned
    assert await refused(task.update_async(assignment_status="sleeping")) == (400, 20001)
    assert (await task.update_async(assignment_status="assigned")).assignment_status == "assigned"  # it is that already
    clock.pass_(1)
    wrapping = await task.update_async(assignment_status="wrapping", priority=3)
    assert (wrapping.assignment_status, wrapping.priority, wrapping.date_updated.timestamp()) == ("wrapping", 3, NOW + 1)
    assert [one.reservation_status for one in await task.reservations.list_async()] == ["wrapping"]
    assert await refused(task.update_async(assignment_status="completed")) == (400, 20001)  # why?
    completed = await task.update_async(assignment_status="completed", reason="done")
    assert (completed.assignment_status, completed.reason) == ("completed", "done")
    assert [one.reservation_status for one in await task.reservations.list_async()] == ["completed"]
    assert await refused(task.update_async(assignment_status="assigned")) == (400, 20001)


async def test_who_holds_a_task(workspace: Any, call: CreatedCall, server: TwilioServer) -> None:
    other = server.add_worker("second@example.com")
    server.transfer(call.call_sid, other.sid)
    reservations = workspace.tasks(call.task_sid).reservations
    held = {one.worker_sid: one.reservation_status for one in await reservations.list_async()}
    assert held == {call.worker_sid: "wrapping", other.sid: "accepted"}
    assert [one.worker_name for one in await reservations.list_async(reservation_status="accepted")] == ["second@example.com"]
    assert [one.worker_sid for one in await reservations.list_async(worker_sid=call.worker_sid)] == [call.worker_sid]
    assert await reservations.list_async(reservation_status="pending") == []
    one = await reservations(call.reservation_sid).fetch_async()
    assert (one.task_sid, one.worker_sid) == (call.task_sid, call.worker_sid)


async def test_a_workers_reservations(workspace: Any, call: CreatedCall, server: TwilioServer) -> None:
    second = server.create_call(Silence(), worker_sid=call.worker_sid, reservation="pending")
    reservations = workspace.workers(call.worker_sid).reservations
    assert [one.task_sid for one in await reservations.list_async()] == [call.task_sid, second.task_sid]
    assert [one.task_sid for one in await reservations.list_async(reservation_status="pending")] == [second.task_sid]
    assert (await reservations(second.reservation_sid).fetch_async()).reservation_status == "pending"
    assert (await workspace.tasks(second.task_sid).fetch_async()).assignment_status == "reserved"
    stranger = server.add_worker()
    assert await refused(workspace.workers(stranger.sid).reservations(second.reservation_sid).fetch_async()) == (404, 20404)
    assert await refused(workspace.tasks(call.task_sid).reservations(second.reservation_sid).fetch_async()) == (404, 20404)
    assert await workspace.workers(stranger.sid).reservations.list_async() == []


async def test_lists_refuse_what_is_unknown(call: CreatedCall, ask: Ask) -> None:
    at = f"/taskrouter/v1/Workspaces/{call.workspace_sid}"
    reply = await ask("GET", f"{at}/Tasks/{call.task_sid}/Reservations?ReservationStatus=asleep")
    assert (reply.status, reply.code) == (400, 20001)
    for parent in (f"Tasks/WT{'0' * 32}", f"Workers/WK{'0' * 32}"):
        assert (await ask("GET", f"{at}/{parent}/Reservations")).status == 404


async def test_a_call_that_ends_wraps_up(workspace: Any, call: CreatedCall, client: Client) -> None:
    await client.calls(call.call_sid).update_async(status="completed")
    assert (await workspace.tasks(call.task_sid).fetch_async()).assignment_status == "wrapping"


async def test_the_rate_is_told(call: CreatedCall, ask: Ask) -> None:
    reply = await ask("GET", f"/taskrouter/v1/Workspaces/{call.workspace_sid}/Tasks/{call.task_sid}")
    assert reply.headers["X-Rate-Limit-Limit"].isdigit()
