"""Starts over real sockets that meet refusals, unclear Documents, stops and relays that are no more."""

from __future__ import annotations

import asyncio

import pytest

from integration.functions_rig import REVISION, Relay, Rig, configuration, rigged, starting
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.faults import FaultKind, FaultRule

CREATE = r"/Streams\.json$"
DOCUMENTS = r"/Documents"


async def end_call(rig: Rig, call: CreatedCall) -> None:
    rig.twilio.calls.get(call.call_sid).status = "completed"  # in this very moment: its conference goes on for TaskRouter and for Voice


async def use_all_tracks(rig: Rig, call: CreatedCall) -> None:
    rig.twilio.settings.max_forked_tracks = 1


async def revoke_key(rig: Rig, call: CreatedCall) -> None:
    rig.twilio.remove_api_key(rig.relays[0].snapshot.secrets.api_key_sid)


async def busy(rig: Rig, call: CreatedCall) -> None:
    rig.twilio.set_faults(FaultRule(FaultKind.TOO_MANY, CREATE, retry_after=7))


async def lenient_end(rig: Rig, call: CreatedCall) -> None:
    rig.twilio.settings.lenient.ended_call_21220 = True
    await end_call(rig, call)


@pytest.mark.parametrize(
    ("prepare", "status", "code", "twilio", "hint"),
    [
        (end_call, 409, "call_ended", {"code": 20404, "status": 404}, "conference.participants.customer"),
        (lenient_end, 409, "call_ended", {"code": 21220, "status": 400}, "conference.participants.customer"),
        (use_all_tracks, 409, "too_many_streams", {"code": 20001, "status": 400}, "audio.tracks"),
        (revoke_key, 502, "twilio_credentials", {"code": 20003, "status": 401}, "apiKeySid"),
        (busy, 503, "twilio_busy", {"code": 20429, "status": 429}, "few seconds"),
    ],
)
async def test_refusals_say_what_to_do_and_leave_the_call_free(prepare, status: int, code: str, twilio: object, hint: str) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        key = relay.snapshot.secrets.api_key_secret
        await prepare(rig, call)
        answered, answer = await relay.stream("start", call)
        error = answer["error"]
        assert (answered, error["code"], error["twilio"]) == (status, code, twilio)
        assert hint in error["hint"] and error["message"]
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is None or document.state is CallState.LOST

        # a later start works as soon as the reason is gone
        rig.twilio.set_faults()
        rig.twilio.set_api_key(relay.snapshot.secrets.api_key_sid, key)
        stand_in = rig.twilio.calls.get(call.call_sid)
        stand_in.status, stand_in.ended = "in-progress", None
        rig.twilio.settings.max_forked_tracks = 4
        status, answer = await relay.stream("start", call)
        assert status == 200 and answer["outcome"] in {"started", "restarted"}


async def test_a_busy_twilio_says_when_to_try_again() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await busy(rig, call)
        body = {"action": "start", "callSid": call.call_sid, "taskSid": call.task_sid, "Token": call.flex_token}
        status, _, headers = await relay.request("POST", "/stream", json=body)
        assert (status, headers["Retry-After"]) == (503, "7")


async def test_no_auth_token_to_sign_with_is_named() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.request("POST", "/token", json={"Token": call.flex_token})  # the person is known for a minute
        known = relay.snapshot.secrets
        config = configuration(rig.twilio, rig.service, twilio__workspaceSid=call.workspace_sid)
        relay.snapshot = Snapshot(config, Secrets(api_key_sid=known.api_key_sid, api_key_secret=known.api_key_secret))
        status, answer = await relay.stream("start", call)
        assert (status, answer["error"]["code"]) == (500, "no_auth_token")
        assert "twilio-auth-token" in answer["error"]["hint"]
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LOST


@pytest.mark.parametrize("kind", [FaultKind.STORED_THEN_500, FaultKind.CUT])
async def test_an_unclear_document_is_read_again(kind: FaultKind) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(FaultRule(kind, DOCUMENTS, method="POST", times=1, after=kind is FaultKind.CUT))
        status, answer = await relay.stream("start", call)
        assert (status, answer["outcome"]) == (200, "started")
        await rig.idle()
        assert rig.streams(call.call_sid, active=False) == [f"assist_{call.call_sid}"]


async def test_without_sync_nothing_is_started() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(FaultRule(FaultKind.SERVER_ERROR, "/sync/"))
        status, answer = await relay.stream("start", call)
        assert (status, answer["error"]["code"]) == (502, "twilio_unclear")
        assert "state" in answer["error"]["message"]
        assert rig.streams(call.call_sid, active=False) == []


async def test_a_stop_while_the_stream_is_created_wins() -> None:
    async with rigged(2) as rig:
        starting_relay, other = rig.relays
        call = rig.call()
        starting_relay.hold_streams()
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, CREATE, seconds=0.5))
        start = asyncio.create_task(starting_relay.stream("start", call))
        await eventually(lambda: rig.document(call.call_sid))
        assert (await other.stream("stop", call))[1]["state"] == "stopped"
        await start
        await rig.idle()
        assert rig.streams(call.call_sid) == []
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.STOPPED
        assert starting_relay.held.find(call.call_sid) is None


async def crash(relay: Relay, call: CreatedCall) -> None:
    """The relay loses everything without writing anything, and Twilio's callback reaches nobody."""
    relay.silent_end = True
    relay.snapshot = Snapshot(relay.snapshot.config.model_copy(update={"path_prefix": "/elsewhere"}), relay.snapshot.secrets)
    await relay.cut_all()
    await eventually(lambda: relay.held.find(call.call_sid) is None)


async def test_a_live_call_whose_relay_is_no_more_can_be_started_again() -> None:
    async with rigged(2) as rig:
        crashed, other = rig.relays
        call = rig.call()
        await crashed.stream("start", call)
        await eventually(lambda: crashed.held.find(call.call_sid))
        await rig.idle()
        assert (await other.stream("start", call))[1]["outcome"] == "running"
        await crash(crashed, call)
        rig.route_to(other)
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LIVE
        status, answer = await other.stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "restarted", 2)
        held = await eventually(lambda: other.held.find(call.call_sid))
        assert held.claims.generation == 2
        await rig.idle()
        assert len(rig.streams(call.call_sid)) == 1


async def test_a_live_call_whose_relay_cannot_be_reached_can_be_started_again() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        unused = "127.0.0.1:1"
        rig.store(call.call_sid, starting(call, rig, state=CallState.LIVE, owner=unused, generation=4, prompt_revision=REVISION))
        status, answer = await relay.stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "restarted", 5)


async def test_a_document_that_cannot_be_read_does_not_block_the_call() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.store(call.call_sid, starting(call, rig))
        found = rig.raw_document(call.call_sid)
        found.data = {"state": "starting", "generation": 6, "deadline": "soon"}
        status, answer = await relay.stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "restarted", 7)
        assert answer["stream"].startswith(f"FLEX_ASSIST_{call.call_sid}_")
