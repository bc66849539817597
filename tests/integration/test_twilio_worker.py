"""One object's Sync service and Flex entry at the stand-in: made, found again, repaired; refusals; what rest costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from integration.twilio_worker_rig import CREATED, SERVICE_NAME, UID, Rig, problems, rigged
from voiceassist_crds.reasons import Reason
from voiceassist_operator.errors import NotLeading
from voiceassist_operator.twilio.model.outcome import SyncRecord
from voiceassist_sim.twilio import FaultKind, FaultRule, OtherWriter, When

ENTRY = {"functionsUrl": "https://assist.example.com", "default": True, "uid": UID, "since": CREATED}


def assert_once(rig: Rig) -> None:
    """Everything once, with its settings."""
    (service,) = rig.named()
    assert (service.acl_enabled, service.webhook_url or "", service.webhooks_from_rest_enabled) == (True, "", False)
    assert rig.record.sync == SyncRecord(service.sid, made=True)
    assert rig.instances() == {"team/support": ENTRY}


async def test_made_once_and_then_at_rest() -> None:
    async with rigged() as rig:
        rig.edit_flex({"theme": "dark", "custom_data": {"others": 1}})
        fact = await rig.settled()
        assert_once(rig)
        assert fact.functions is not None
        assert (fact.functions.configured, fact.functions.functions_url) == (True, "https://assist.example.com")
        attributes = rig.twilio.flex.values()["ui_attributes"]
        assert (attributes["theme"], attributes["custom_data"]["others"]) == ("dark", 1)
        asked = rig.asked()
        for _ in range(20):
            rig.look()
            await asyncio.sleep(0)
        assert rig.asked() == asked
        assert rig.drift == []


async def test_an_object_at_rest_costs_two_requests_a_look() -> None:
    async with rigged() as rig:
        await rig.settled()
        rig.resync = 0.2
        rig.restart()
        await rig.settled()  # looks for functions that nobody remembers, once
        asked = rig.asked()
        await rig.until(lambda _: rig.asked() >= asked + 6)
        look = [("GET", "/sync/v1/Services"), ("GET", "/flex-api/v1/Configuration")]
        assert [(one.method, one.path) for one in rig.twilio.journal.requests()[asked : asked + 6]] == look * 3


async def test_paused_objects_cost_nothing() -> None:
    async with rigged(resync=0.05) as rig:
        await rig.settled()
        rig.look(paused=True)
        await rig.worker.finish()
        asked = rig.asked()
        rig.restart()
        rig.look(paused=True)
        await asyncio.sleep(0.2)
        assert rig.asked() == asked


@pytest.mark.parametrize("path", ["/sync/v1/Services$", "/flex-api/v1/Configuration"])
@pytest.mark.parametrize("kind", [FaultKind.STORED_THEN_500, FaultKind.SERVER_ERROR], ids=lambda kind: kind.value)
@pytest.mark.parametrize("forget", [False, True], ids=["same operator", "another operator"])
async def test_an_unclear_write_is_looked_for_before_it_is_repeated(path: str, kind: FaultKind, forget: bool) -> None:
    async with rigged() as rig:
        rig.twilio.faults.set([FaultRule(kind, path=path, method="POST", times=1)])
        await rig.until(lambda _: rig.twilio.faults.fired[0])
        if forget:
            rig.restart(forget=True)
        await rig.settled()
        assert_once(rig)


async def test_two_of_our_name_the_older_one_stays() -> None:
    async with rigged() as rig:
        old = rig.twilio.sync.create_service(rig.twilio.clock() - 100)
        new = rig.twilio.sync.create_service(rig.twilio.clock() - 50)
        for service in (new, old):
            service.friendly_name, service.acl_enabled = SERVICE_NAME, True
        await rig.settled()
        assert rig.record.sync == SyncRecord(old.sid, made=True)
        assert_once(rig)
        assert rig.drift == [f"Sync service {new.sid} bore the name of {old.sid}, with nothing in it: deleted"]


async def test_of_two_the_one_in_the_status_stays_and_what_holds_something_too() -> None:
    async with rigged() as rig:
        await rig.settled()
        ours = rig.record.sync.sid
        earlier = rig.twilio.sync.create_service(rig.twilio.clock() - 100)
        earlier.friendly_name, earlier.acl_enabled = SERVICE_NAME, True
        stored = {"UniqueName": "VA_CALL_1", "Data": "{}"}
        await (await rig.client()).ask("sync", "POST", f"/v1/Services/{earlier.sid}/Documents", form=stored)
        rig.restart()
        await rig.settled()
        assert rig.record.sync.sid == ours
        assert {one.sid for one in rig.named()} == {ours, earlier.sid}


DRIFT: dict[str, Any] = {
    "acl": (lambda rig: setattr(rig.named()[0], "acl_enabled", False), "acl_enabled of Sync service"),
    "webhook": (lambda rig: setattr(rig.named()[0], "webhook_url", "https://evil.example"), "webhook_url of Sync service"),
    "rest webhooks": (lambda rig: setattr(rig.named()[0], "webhooks_from_rest_enabled", True), "webhooks_from_rest_enabled"),
    "name": (lambda rig: setattr(rig.named()[0], "friendly_name", "mine"), "FriendlyName of Sync service"),
    "service deleted": (lambda rig: rig.twilio.sync.delete_service(rig.named()[0].sid, 0.0), "was deleted by hand"),
    "entry gone": (lambda rig: rig.edit_flex(None), "entry team/support was gone"),
    "entry changed": (
        lambda rig: rig.edit_flex(
            {"custom_data": {"voice_assist": {"instances": {"team/support": {"functionsUrl": "https://evil.example"}}}}}
        ),
        "functionsUrl was 'https://evil.example'",
    ),
}


@pytest.mark.parametrize("what", DRIFT)
async def test_drift_is_repaired_and_told(what: str) -> None:
    spoil, words = DRIFT[what]
    async with rigged(resync=0.2) as rig:
        await rig.settled()
        spoil(rig)
        await rig.until(lambda _: rig.drift)
        await rig.settled()
        assert_once(rig)
        assert any(words in text for text in rig.drift), rig.drift


async def test_an_adopted_service_is_left_alone_but_for_its_acl() -> None:
    async with rigged() as rig:
        service = rig.twilio.sync.create_service(0.0)
        service.friendly_name, service.webhook_url, service.acl_enabled = "theirs", "https://theirs.example", False
        rig.spec = {"sync": {"serviceSid": service.sid}}
        await rig.settled()
        assert rig.record.sync == SyncRecord(service.sid)
        assert (service.friendly_name, service.webhook_url, service.acl_enabled) == ("theirs", "https://theirs.example", True)
        assert "AclEnabled" in rig.drift[0]
        assert rig.named() == []


async def test_a_service_that_is_named_and_not_there() -> None:
    async with rigged() as rig:
        rig.spec = {"sync": {"serviceSid": "IS" + "0" * 32}}
        fact = await rig.until(lambda fact: fact.sync)
        assert fact.sync is not None
        assert fact.sync.problem is not None
        assert fact.sync.problem.reason is Reason.SYNC_NOT_FOUND
        assert rig.named() == []


async def test_refused_credentials_wait_for_the_secret() -> None:
    async with rigged(resync=0.05) as rig:
        right = dict(rig.secrets.values or {})
        rig.secrets.set(apiKeySecret="wrong", authToken="wrong")
        fact = await rig.until(lambda fact: len(problems(fact)) >= 2 and fact.flex)
        assert set(problems(fact)) == {"TwilioRefused"}
        assert fact.sync is not None
        assert fact.sync.problem is not None
        assert "Secret twilio" in fact.sync.problem.message
        assert "wrong" not in str(fact)
        asked = rig.asked()
        rig.spec = {"flex": {"queues": ["sales"]}}  # another wish, the same credentials
        rig.look()
        await asyncio.sleep(0.3)
        assert rig.asked() == asked
        rig.secrets.set(**right)
        rig.spec = {}
        await rig.settled()
        assert_once(rig)


async def test_a_suspended_account_has_its_own_reason() -> None:
    async with rigged() as rig:
        await rig.settled()
        sid = rig.record.sync.sid
        rig.twilio.settings.suspended = 20005
        rig.restart()
        fact = await rig.until(lambda fact: fact.flex)
        assert set(problems(fact)) == {"TwilioSuspended"}
        assert rig.record.sync == SyncRecord(sid, made=True), "what is known stays"


async def test_twilio_away_is_borne_and_told_at_the_second_look() -> None:
    async with rigged() as rig:
        await rig.settled()
        rig.twilio.faults.set([FaultRule(FaultKind.SERVER_ERROR, status=503)])
        rig.restart()
        rig.look()
        await rig.until(lambda fact: fact.sync)
        fact = await rig.until(problems)
        assert set(problems(fact)) <= {"TwilioUnreachable"}
        assert rig.record.sync.made
        rig.twilio.faults.set([])
        await rig.settled()
        assert_once(rig)


async def test_nothing_is_written_without_the_lease() -> None:
    def refuse() -> None:
        raise NotLeading("the Lease is not held")

    async with rigged(may_write=refuse) as rig:
        await rig.until(lambda fact: fact.flex and fact.sync)
        assert {one.method for one in rig.twilio.journal.requests()} == {"GET"}
        assert (rig.named(), rig.instances()) == ([], {})


@pytest.mark.parametrize("stale", [False, True], ids=["he merges", "he writes back what he read"])
async def test_a_second_writer_of_flex(stale: bool) -> None:
    async with rigged() as rig:
        theirs = OtherWriter(When.AFTER_POST, {"ui_attributes": {"theirs": 1}}, stale=stale, skip=0)
        rig.edit_flex({"theme": "dark"})
        rig.twilio.flex.let_others_write(theirs)
        await rig.settled()
        assert rig.instances() == {"team/support": ENTRY}
        attributes = rig.twilio.flex.values()["ui_attributes"]
        assert attributes["theirs"] == 1
        if stale:
            assert any("at the same time" in text for text in rig.drift), rig.drift


async def test_flex_that_is_overwritten_each_time() -> None:
    async with rigged() as rig:
        rig.twilio.flex.let_others_write(OtherWriter(When.AFTER_POST, {"ui_attributes": {"theirs": 1}}, stale=True, times=100))
        fact = await rig.until(lambda fact: fact.flex)
        assert problems(fact) == ["FlexContended"]


async def test_flex_by_hand() -> None:
    async with rigged() as rig:
        by_hand = {"custom_data": {"voice_assist": {"instances": {"team/support": {"functionsUrl": "https://by.hand"}}}}}
        rig.edit_flex(by_hand)
        rig.spec = {"flex": {"configure": False}}
        await rig.settled()
        assert rig.twilio.flex.values()["ui_attributes"] == by_hand
        rig.spec, rig.generation = {}, 2
        await rig.settled()
        assert rig.instances() == {"team/support": ENTRY}
        assert rig.record.flex_written
        rig.spec, rig.generation = {"flex": {"configure": False}}, 3
        await rig.settled()
        assert (rig.instances(), rig.record.flex_written) == ({}, False)


async def test_queues_that_change_move_the_entry() -> None:
    async with rigged() as rig:
        await rig.settled()
        rig.spec, rig.generation = {"flex": {"queues": ["sales", "care"]}}, 2
        await rig.settled()
        (entry,) = rig.instances().values()
        assert entry["queues"] == ["care", "sales"]
        assert "default" not in entry
        assert rig.drift == [], "a change of the object is no drift"
