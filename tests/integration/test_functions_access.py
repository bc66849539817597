"""Who may start, stop, pause and read: asked over real sockets, decided by what the stand-in says of tokens, tasks and reservations."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from integration.functions_rig import QUICK, Rig, rigged
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.faults import FaultKind, FaultRule

VALIDATE = "/Tokens/validate"


def changes(**fields: Any) -> Callable[[Rig], tuple[CreatedCall, dict[str, Any]]]:
    return lambda rig: (rig.call(), fields)


def reservation(status: str) -> Callable[[Rig], tuple[CreatedCall, dict[str, Any]]]:
    return lambda rig: (rig.call(reservation=status), {})


def after_transfer(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    call = rig.call()
    rig.twilio.transfer(call.call_sid, rig.twilio.add_worker().sid)
    return call, {}


def wrapping_up(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    call = rig.call()
    rig.twilio.set_reservation(call.reservation_sid, "wrapping")
    return call, {}


def anothers_task(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    return rig.call(), {"taskSid": rig.call().task_sid}


def own_task_of_another_call(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    call = rig.call()
    mine = rig.call(worker_sid=call.worker_sid)
    return call, {"taskSid": mine.task_sid}


def untold(prepare: Callable[[Rig], tuple[CreatedCall, dict[str, Any]]]) -> Callable[[Rig], tuple[CreatedCall, dict[str, Any]]]:
    """The same, but the request does not name the task, as the original plugin's does not."""

    def with_no_task(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
        call, fields = prepare(rig)
        return call, {**fields, "taskSid": None}

    return with_no_task


def one_of_several(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    other = rig.call()
    return rig.call(worker_sid=other.worker_sid), {}


def another_worker(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    return rig.call(), {"Token": rig.call().flex_token}


def expired(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    call = rig.call()
    return call, {"Token": rig.twilio.flex_token(call.worker_sid, ttl=-1)}


def revoked(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    call = rig.call()
    rig.twilio.flex_tokens.revoke(call.flex_token)
    return call, {}


def role(*roles: str) -> Callable[[Rig], tuple[CreatedCall, dict[str, Any]]]:
    def prepare(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
        worker = rig.twilio.add_worker(roles=roles)
        return rig.call(), {"Token": rig.twilio.flex_token(worker.sid)}

    return prepare


def no_worker(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    call = rig.call()
    return call, {"Token": rig.twilio.flex_token(call.worker_sid, with_worker=False)}


def attributes(**given: Any) -> Callable[[Rig], tuple[CreatedCall, dict[str, Any]]]:
    return lambda rig: (rig.call(attributes=given), {})


def another_calls_sid_in_ones_own_task(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    """What `task.setAttributes` in an agent's browser does: her own task names the call of somebody else."""
    victim, mine = rig.call(), rig.call()
    task = rig.twilio.taskrouter.task(mine.task_sid)
    named = {"call_sid": victim.call_sid, "conference": {"participants": {"customer": victim.call_sid}}}
    rig.twilio.taskrouter.update_task(task, rig.clock(), None, attributes=json.dumps(named))
    return victim, {"Token": mine.flex_token, "taskSid": mine.task_sid}


def with_another_conference(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    """The same, naming the conference of the other call too."""
    victim, fields = another_calls_sid_in_ones_own_task(rig)
    conference = rig.twilio.rooms.of_task(victim.task_sid).sid
    task = rig.twilio.taskrouter.task(fields["taskSid"])
    named = {"call_sid": victim.call_sid, "conference": {"sid": conference, "participants": {"customer": victim.call_sid}}}
    rig.twilio.taskrouter.update_task(task, rig.clock(), None, attributes=json.dumps(named))
    return victim, fields


def participant_only(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    call = rig.call(attributes={"call_sid": "CA" + "0" * 32})
    return call, {}


@pytest.mark.parametrize(
    ("prepare", "status", "code"),
    [
        (reservation("accepted"), 200, ""),
        (wrapping_up, 403, "not_your_call"),
        (another_calls_sid_in_ones_own_task, 403, "not_your_call"),
        (with_another_conference, 403, "not_your_call"),
        (untold(another_calls_sid_in_ones_own_task), 403, "not_your_call"),
        (participant_only, 200, ""),
        (attributes(conference=None), 200, ""),
        (reservation("pending"), 403, "not_your_call"),
        (reservation("rejected"), 403, "not_your_call"),
        (reservation("timeout"), 403, "not_your_call"),
        (reservation("completed"), 403, "not_your_call"),
        (after_transfer, 403, "not_your_call"),
        (anothers_task, 403, "not_your_call"),
        (own_task_of_another_call, 403, "not_your_call"),
        (changes(taskSid="WT" + "0" * 32), 403, "not_your_call"),
        (attributes(conference={}, call_sid="CA" + "0" * 32), 200, ""),
        (changes(taskSid=None), 200, ""),
        (untold(wrapping_up), 403, "not_your_call"),
        (untold(one_of_several), 200, ""),
        (untold(after_transfer), 403, "not_your_call"),
        (untold(reservation("pending")), 403, "not_your_call"),
        (untold(another_worker), 403, "not_your_call"),
        (changes(Token=None), 401, "token_missing"),
        (changes(Token=""), 401, "token_missing"),
        (changes(Token="nonsense"), 401, "token_invalid"),
        (expired, 401, "token_invalid"),
        (revoked, 401, "token_invalid"),
        (role("guest"), 403, "not_a_worker"),
        (role(), 403, "not_a_worker"),
        (no_worker, 403, "not_your_call"),
        (role("supervisor"), 403, "not_running"),
        (role("admin"), 403, "not_running"),
    ],
)
async def test_who_may_start(prepare: Callable[[Rig], tuple[CreatedCall, dict[str, Any]]], status: int, code: str) -> None:
    async with rigged() as rig:
        call, fields = prepare(rig)
        answered, answer = await rig.relays[0].stream("start", call, **fields)
        assert (answered, answer.get("error", {}).get("code", "")) == (status, code)
        started = status == 200
        assert (rig.streams(call.call_sid, active=False) != []) is started
        await rig.idle()
        assert (rig.document(call.call_sid) is not None) is started
        assert (rig.readers(call.call_sid) == {call.identity}) is started


@pytest.mark.parametrize("with_task", [True, False])
async def test_a_supervisor_reads_a_running_call_and_changes_nothing(with_task: bool) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        supervisor = rig.twilio.add_worker(roles=("supervisor",))
        token = rig.twilio.flex_token(supervisor.sid)
        _, started = await relay.stream("start", call)
        await eventually(lambda: relay.held.find(call.call_sid))
        await rig.idle()
        before = rig.document(call.call_sid)
        status, answer = await relay.stream("start", call, Token=token, taskSid=call.task_sid if with_task else None)
        assert (status, answer["outcome"], answer["state"]) == (200, "watching", "live")
        assert (answer["map"], answer["stream"]) == (started["map"], started["stream"])
        assert rig.readers(call.call_sid) == {call.identity, supervisor.identity}
        assert rig.document(call.call_sid) == before

        for action in ("pause", "resume"):
            status, answer = await relay.stream(action, call, Token=token)
            assert (status, answer["error"]["code"]) == (403, "not_in_the_call")
        assert rig.document(call.call_sid) == before
        assert len(rig.streams(call.call_sid)) == 1


async def test_a_supervisor_who_holds_the_task_starts_like_everybody() -> None:
    async with rigged() as rig:
        supervisor = rig.twilio.add_worker(roles=("supervisor",))
        call = rig.call(worker_sid=supervisor.sid)
        assert (await rig.relays[0].stream("start", call))[1]["outcome"] == "started"


async def test_a_worker_who_writes_anothers_call_into_her_task_takes_nothing_over() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        victim, forged = another_calls_sid_in_ones_own_task(rig)
        await relay.stream("start", victim)
        held = await eventually(lambda: relay.held.find(victim.call_sid))
        await rig.idle()
        status, answer = await relay.stream("start", victim, **forged)
        assert (status, answer["error"]["code"]) == (403, "not_your_call")
        await rig.idle()
        assert rig.readers(victim.call_sid) == {victim.identity}
        assert "ignored" in (await relay.stream("stop", victim, **forged))[1]
        assert (await relay.stream("pause", victim, **forged))[0] == 403
        assert rig.streams(victim.call_sid) != [] and held.told == []
        assert (await relay.stream("pause", victim))[1]["state"] == "paused"


async def test_where_calls_are_in_no_conference_attributes_are_the_proof_and_nobody_is_robbed() -> None:
    async with rigged(twilio__callProof="TaskAttributes") as rig:
        relay = rig.relays[0]
        victim, forged = another_calls_sid_in_ones_own_task(rig)
        await relay.stream("start", victim)
        await eventually(lambda: relay.held.find(victim.call_sid))
        assert rig.asked("GET", "/Conferences") == 0
        _, answer = await relay.stream("start", victim, **forged)
        assert answer["outcome"] == "watching"
        document = rig.document(victim.call_sid)
        assert document is not None and document.worker == victim.worker_sid
        assert (await relay.stream("pause", victim, **forged))[0] == 403
        assert "ignored" in (await relay.stream("stop", victim, **forged))[1]
        assert (await relay.stream("pause", victim))[1]["state"] == "paused"


async def test_a_call_may_join_its_conference_a_moment_after_the_task_was_accepted() -> None:
    async with rigged(timing=replace(QUICK, joining_seconds=5.0)) as rig:
        rig.twilio.rooms.join_seconds = 0.6
        assert (await rig.relays[0].stream("start", rig.call()))[1]["outcome"] == "started"


@pytest.mark.parametrize("told", [True, False])
async def test_a_start_before_the_conference_is_told_to_come_again(told: bool) -> None:
    async with rigged() as rig:
        rig.twilio.rooms.join_seconds = 3600
        call = rig.call()
        status, answer = await rig.relays[0].stream("start", call, **({} if told else {"taskSid": None}))
        assert (status, answer["error"]["code"]) == (503, "not_joined")
        assert rig.document(call.call_sid) is None and rig.streams(call.call_sid) == []


async def warm_transfer(rig: Rig, call: CreatedCall) -> tuple[str, str]:
    """Another worker joins the call while its agent stays. Returns her worker SID and Flex token."""
    other = rig.twilio.add_worker()
    rig.twilio.taskrouter.reserve(rig.twilio.taskrouter.task(call.task_sid), other, rig.clock())
    return other.sid, rig.twilio.flex_token(other.sid)


async def test_nobody_takes_over_from_a_worker_who_still_holds_the_call() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        held = await eventually(lambda: relay.held.find(call.call_sid))
        other, token = await warm_transfer(rig, call)
        status, answer = await relay.stream("start", call, Token=token)
        assert (status, answer["outcome"]) == (200, "watching")
        document = rig.document(call.call_sid)
        assert document is not None and document.worker == call.worker_sid
        assert (await relay.stream("pause", call, Token=token))[1]["error"]["code"] == "not_in_the_call"
        assert (await relay.stream("pause", call))[1]["state"] == "paused"
        assert held.told == ["pause"]
        assert (await relay.stream("resume", call))[1]["state"] == "live"

        # the first agent leaves; her browser's stop does not end the assist of the one who stays
        rig.twilio.let_go(call.reservation_sid, "wrapping")
        status, answer = await relay.stream("stop", call)
        assert (status, answer["state"]) == (200, "live") and "another worker" in answer["ignored"]
        document = rig.document(call.call_sid)
        assert document is not None and (document.worker, document.successor) == (other, None)
        assert (await relay.stream("pause", call, Token=token))[1]["state"] == "paused"
        assert (await relay.stream("stop", call, Token=token))[1]["state"] == "stopped"
        assert rig.streams(call.call_sid) == []


@pytest.mark.parametrize("action", ["pause", "start"])
async def test_who_stays_takes_charge_though_the_other_browser_says_nothing(action: str) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        await eventually(lambda: relay.held.find(call.call_sid))
        other, token = await warm_transfer(rig, call)
        assert (await relay.stream("start", call, Token=token))[1]["outcome"] == "watching"
        rig.twilio.let_go(call.reservation_sid, "wrapping")
        status, answer = await relay.stream(action, call, Token=token)
        assert (status, answer.get("outcome", answer["state"])) == (200, {"pause": "paused", "start": "transferred"}[action])
        document = rig.document(call.call_sid)
        assert document is not None and document.worker == other


async def test_what_the_worker_in_the_call_has_stopped_nobody_else_starts() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        await relay.stream("stop", call)
        _, token = await warm_transfer(rig, call)
        status, answer = await relay.stream("start", call, Token=token)
        assert (status, answer["error"]["code"]) == (403, "not_in_the_call")
        rig.twilio.let_go(call.reservation_sid, "wrapping")
        assert (await relay.stream("start", call, Token=token))[1]["outcome"] == "restarted"


async def test_a_transfer_hands_the_same_stream_to_the_new_worker() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        await eventually(lambda: relay.held.find(call.call_sid))
        other = rig.twilio.add_worker()
        rig.twilio.transfer(call.call_sid, other.sid)
        token = rig.twilio.flex_token(other.sid)
        status, answer = await relay.stream("start", call, Token=token)
        assert (status, answer["outcome"], answer["state"], answer["generation"]) == (200, "transferred", "live", 1)
        await rig.idle()
        assert rig.readers(call.call_sid) == {other.identity}
        assert rig.streams(call.call_sid, active=False) == [f"assist_{call.call_sid}"]

        # the one who left: the stop does not count, nor does a new start
        status, answer = await relay.stream("stop", call)
        assert (status, answer["state"]) == (200, "live") and "another worker" in answer["ignored"]
        assert (await relay.stream("start", call))[1]["error"]["code"] == "not_your_call"
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.worker) == (CallState.LIVE, other.sid)

        assert (await relay.stream("stop", call, Token=token))[1]["state"] == "stopped"
        assert rig.streams(call.call_sid) == []


async def test_after_a_transfer_nobody_else_reads_on() -> None:
    """Neither the earlier agent, nor the supervisor who watched her: the Map is the new worker's, the Stream has another name."""
    async with rigged(2) as rig:
        relay, asked = rig.relays
        rig.route_to(relay)
        call = rig.call()
        _, first = await relay.stream("start", call)
        held = await eventually(lambda: relay.held.find(call.call_sid))
        supervisor = rig.twilio.add_worker(roles=("supervisor",))
        await relay.stream("start", call, Token=rig.twilio.flex_token(supervisor.sid))
        await rig.idle()
        assert rig.readers(call.call_sid) == {call.identity, supervisor.identity}
        other = rig.twilio.add_worker()
        rig.twilio.transfer(call.call_sid, other.sid)
        _, answer = await asked.stream("start", call, Token=rig.twilio.flex_token(other.sid))
        assert answer["outcome"] == "transferred" and answer["stream"] != first["stream"]
        await rig.idle()
        assert rig.readers(call.call_sid) == {other.identity}
        assert held.told == ["refresh"]


async def test_a_supervisor_ends_her_watch() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        _, first = await relay.stream("start", call)
        held = await eventually(lambda: relay.held.find(call.call_sid))
        supervisor = rig.twilio.add_worker(roles=("supervisor",))
        token = rig.twilio.flex_token(supervisor.sid)
        await relay.stream("start", call, Token=token)
        assert supervisor.identity in rig.readers(call.call_sid)
        rig.twilio.set_faults(
            FaultRule(FaultKind.LATENCY, "/Permissions$", method="GET", seconds=1.0)
        )  # what follows the answer takes time
        status, answer = await relay.stream("stop", call, Token=token)
        assert (status, answer["state"]) == (200, "live") and "read along no more" in answer["ignored"]
        assert supervisor.identity not in rig.readers(call.call_sid), "true when it is said"
        await rig.idle()
        assert rig.readers(call.call_sid) == {call.identity}
        document = rig.document(call.call_sid)
        assert document is not None and document.sync_stream != first["stream"] and held.told == ["refresh"]
        assert document.worker == call.worker_sid
        # once is enough, and who does not read along changes nothing
        await relay.stream("stop", call, Token=token)
        await rig.idle()
        assert held.told == ["refresh"]


async def test_a_yes_is_remembered_for_a_minute_and_a_no_is_not() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        for _ in range(3):
            assert (await relay.request("POST", "/token", json={"Token": call.flex_token}))[0] == 200
        assert rig.asked("POST", VALIDATE) == 1
        rig.clock.ahead += 59
        assert (await relay.request("POST", "/token", json={"Token": call.flex_token}))[0] == 200
        assert rig.asked("POST", VALIDATE) == 1
        rig.twilio.flex_tokens.revoke(call.flex_token)
        rig.clock.ahead += 1.1
        assert (await relay.request("POST", "/token", json={"Token": call.flex_token}))[0] == 401
        assert rig.asked("POST", VALIDATE) == 2
        assert (await relay.request("POST", "/token", json={"Token": call.flex_token}))[0] == 401
        assert rig.asked("POST", VALIDATE) == 3


async def test_a_yes_is_never_remembered_beyond_the_tokens_own_end() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        token = rig.twilio.flex_token(call.worker_sid, ttl=5)
        assert (await relay.request("POST", "/token", json={"Token": token}))[0] == 200
        rig.clock.ahead += 5.1
        assert (await relay.request("POST", "/token", json={"Token": token}))[0] == 401


def made_up(number: int) -> str:
    """What looks like a Flex token and is none."""
    return f"eyJ6aXAiOiJERUYifQ..{number:032x}.{number:064x}.{number:032x}"


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "eyJ6aXAiOiJERUYifQ", "W10.b.c", "eyJ6aXAiOiJERUYifQ.a.b.c.d.e", "eyJ6aXAiOiJERUYifQ.a.b+"]
)
async def test_what_cannot_be_a_flex_token_is_no_question(token: str) -> None:
    async with rigged() as rig:
        status, answer, _ = await rig.relays[0].request("POST", "/token", json={"Token": token})
        assert (status, answer["error"]["code"]) == (401, "token_invalid")
        assert rig.asked("POST", VALIDATE) == 0


async def test_made_up_tokens_do_not_take_the_places_of_known_agents() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        calls = [rig.call() for _ in range(6)]
        for call in calls:  # they have asked before, more than a minute ago
            assert (await relay.request("POST", "/token", json={"Token": call.flex_token}))[0] == 200
        rig.clock.ahead += 61
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, VALIDATE, seconds=0.3))
        before, begun = rig.asked("POST", VALIDATE), time.monotonic()
        flood = [asyncio.create_task(relay.request("POST", "/token", json={"Token": made_up(n)})) for n in range(400)]
        await eventually(lambda: rig.asked("POST", VALIDATE) > before)
        answers = await asyncio.gather(*(relay.stream("start", call) for call in calls))
        assert [status for status, _ in answers] == [200] * 6
        refused = [status for status, _, _ in await asyncio.gather(*flood)]
        assert set(refused) <= {401, 503}  # on a slow machine they come so slowly that each is asked about
        strangers = 100 + 20 * (time.monotonic() - begun) + 1  # bursts of 100, 20 a second for as long as it took
        assert rig.asked("POST", VALIDATE) - before <= 6 + strangers


async def test_many_at_once_are_one_question() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, VALIDATE, seconds=0.2))
        answers = await asyncio.gather(*(relay.request("POST", "/token", json={"Token": call.flex_token}) for _ in range(10)))
        assert [status for status, _, _ in answers] == [200] * 10
        assert rig.asked("POST", VALIDATE) == 1


async def test_who_gives_up_waiting_does_not_fail_the_others() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, VALIDATE, seconds=0.3))
        impatient = asyncio.create_task(relay.functions._tokens.person(call.flex_token))
        patient = asyncio.create_task(relay.functions._tokens.person(call.flex_token))
        await asyncio.sleep(0.1)
        impatient.cancel()
        assert (await patient).identity == call.identity


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (FaultRule(FaultKind.SERVER_ERROR, VALIDATE), 502, "twilio_unclear"),
        (FaultRule(FaultKind.TOO_MANY, VALIDATE), 503, "twilio_busy"),
        (FaultRule(FaultKind.SERVER_ERROR, "/taskrouter/"), 502, "twilio_unclear"),
        (FaultRule(FaultKind.TOO_MANY, "/taskrouter/"), 503, "twilio_busy"),
        (FaultRule(FaultKind.SERVER_ERROR, "/flex-api/"), 502, "twilio_unclear"),
    ],
)
async def test_who_cannot_be_checked_is_not_let_in(fault: FaultRule, status: int, code: str) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(fault)
        answered, answer = await relay.stream("start", call)
        assert (answered, answer["error"]["code"]) == (status, code)
        assert rig.document(call.call_sid) is None
        # one fault that passes is not even seen
        rig.twilio.set_faults(FaultRule(fault.kind, fault.path, times=1))
        assert (await relay.stream("start", call))[0] == 200


async def test_a_wrong_auth_token_is_named() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_auth_tokens("another")
        status, answer = await relay.stream("start", call)
        assert (status, answer["error"]["code"]) == (502, "twilio_credentials")
        assert "twilio-auth-token" in answer["error"]["hint"]


async def test_the_workspace_is_asked_for_once_where_it_is_not_configured() -> None:
    async with rigged() as rig:
        for _ in range(3):
            assert (await rig.relays[0].stream("start", rig.call()))[0] == 200
        assert rig.asked("GET", "/Configuration") == 1
    async with rigged(twilio__workspaceSid="WS" + "0" * 32) as rig:
        assert (await rig.relays[0].stream("start", rig.call()))[1]["error"]["code"] == "not_your_call"
        assert rig.asked("GET", "/Configuration") == 0


async def test_an_account_without_flex_has_to_name_its_workspace() -> None:
    async with rigged() as rig:
        rig.twilio.flex._values["taskrouter_workspace_sid"] = None
        status, answer = await rig.relays[0].stream("start", rig.call())
        assert (status, answer["error"]["code"]) == (502, "no_workspace")
        assert "twilio.workspaceSid" in answer["error"]["hint"]


async def test_without_checks_nobody_is_asked() -> None:
    async with rigged(checks="Off") as rig:
        relay, call = rig.relays[0], rig.call()
        status, answer = await relay.stream("start", call, Token=None, taskSid=None)
        assert (status, answer["outcome"]) == (200, "started")
        await rig.idle()
        assert rig.readers(call.call_sid) == {"local"}
        assert rig.asked("POST", VALIDATE) == rig.asked("GET", "/taskrouter/") == 0
        status, answer, _ = await relay.request("GET", "/token")
        assert (status, answer["identity"]) == (200, "local")
        assert (await relay.stream("stop", call, Token=None))[1]["state"] == "stopped"
