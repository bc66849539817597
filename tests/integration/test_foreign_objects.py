"""Attacks on a call through Sync: a Flex user's token opens the service, and the names of a call's objects can be guessed."""

from __future__ import annotations

from typing import Any

import pytest

from integration.functions_rig import Rig, rigged, starting
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_crds.names import call_document, suggestions_map, sync_stream
from voiceassist_relay.logs import call_hash
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.sync_model import Kind, Payload, Permission, SyncObject

ATTACKER = "mallory"


def planted(rig: Rig, kind: Kind, name: str, data: Any = None) -> SyncObject:
    """What a browser does with its own token: it makes an object, and so may do everything with it."""
    service = rig.twilio.sync.service(rig.service)
    payload = None if data is None else Payload(data, 1)
    found = rig.twilio.sync.create(service, kind, rig.clock(), unique_name=name, data=payload, created_by=ATTACKER)
    if kind is not Kind.STREAM:
        found.permissions[ATTACKER] = Permission(ATTACKER, True, True, True)
    return found


def a_document(rig: Rig, call: CreatedCall, **changes: object) -> dict[str, Any]:
    return starting(call, rig, **changes).model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"deadline": 9e18},
        {"state": CallState.LIVE, "owner": "169.254.169.254:80"},
        {"state": CallState.LIVE, "worker": "WK" + "e" * 32, "identity": ATTACKER},
        {"sync_stream": "the attacker listens here", "state": CallState.STOPPED},
        {"state": CallState.LIVE, "generation": 999_999_999},
    ],
)
async def test_a_document_that_was_there_before_us_is_replaced_counted_and_told(
    changes: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        before = planted(rig, Kind.DOCUMENT, call_document(call.call_sid), a_document(rig, call, **changes))
        status, answer = await relay.stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "started", 1)
        await eventually(lambda: relay.held.find(call.call_sid))
        await rig.idle()
        document = rig.raw_document(call.call_sid)
        assert document.sid != before.sid and document.created_by == "system"
        assert document.data["worker"] == call.worker_sid and "the attacker" not in document.data["syncStream"]
        assert relay.counted("foreign_objects_total", kind="document") == 1
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "made by somebody else" in line]
        assert call_hash(call.call_sid) in line and call.call_sid not in line
        assert (await relay.stream("pause", call))[1]["state"] == "paused"


async def test_a_document_with_anything_in_it_is_no_crash() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        for data in ({}, {"state": "moving"}, {"state": ["live"], "deadline": "x"}, {"mac": 7}):
            call = rig.call()
            planted(rig, Kind.DOCUMENT, call_document(call.call_sid), data)
            assert (await relay.stream("start", call))[1]["outcome"] == "started"


async def test_a_map_that_was_there_before_us_has_no_reader_left() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        before = planted(rig, Kind.MAP, suggestions_map(call.call_sid))
        assert (await relay.stream("start", call))[0] == 200
        await rig.idle()
        assert rig.readers(call.call_sid) == {call.identity}
        assert before.sid not in rig.twilio.sync.service(rig.service).objects
        assert relay.counted("foreign_objects_total", kind="map") == 1


async def test_a_stream_of_the_originals_name_is_replaced_too() -> None:
    async with rigged(twilio__legacyStream=True) as rig:
        relay, call = rig.relays[0], rig.call()
        planted(rig, Kind.STREAM, sync_stream(call.call_sid, ""))
        assert (await relay.stream("start", call))[0] == 200
        await rig.idle()
        assert relay.counted("foreign_objects_total", kind="stream") == 1


async def spoilt(rig: Rig, *, guarded: bool) -> tuple[int, dict[str, Any]]:
    """A start at another relay, after the running call's Document was written over as where nothing guards it."""
    relay, other = rig.relays
    rig.route_to(relay)
    call = rig.call()
    await relay.stream("start", call)
    await eventually(lambda: relay.held.find(call.call_sid))
    await rig.idle()
    rig.twilio.sync.service(rig.service).acl_enabled = guarded
    found = rig.raw_document(call.call_sid)
    assert "mac" in found.data
    found.data["owner"] = "127.0.0.1:1"
    found.touch(rig.clock())
    return await other.stream("start", call)


async def test_where_the_service_guards_nothing_only_the_mark_counts() -> None:
    async with rigged(2) as rig:
        status, answer = await spoilt(rig, guarded=False)
        assert (status, answer["outcome"]) == (200, "restarted") or (status, answer["outcome"]) == (200, "started")
        assert rig.relays[1].counted("foreign_objects_total", kind="document") == 1


async def test_what_a_relay_before_the_mark_wrote_counts_where_the_service_guards_it() -> None:
    async with rigged(2) as rig:
        status, answer = await spoilt(rig, guarded=True)
        assert (status, answer["generation"]) == (200, 2)  # its owner's port refuses: gone, as that relay says
        assert rig.relays[1].counted("foreign_objects_total", kind="document") == 0
        assert rig.relays[1].counted("other_version_total", what="document_mark") >= 1
