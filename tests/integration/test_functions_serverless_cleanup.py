"""Functions deployed to Twilio and left: removal, the grace after a switch, a service of the user's own, and the three modes in turn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from integration.serverless_rig import HOST, PREFIX, SYNC, UID, WANTED, Rig, rigged, wanted_as
from voiceassist_crds.reasons import Reason
from voiceassist_operator.twilio.functions import reconcile as functions_reconcile
from voiceassist_operator.twilio.model.functions import FunctionsMode, FunctionsRecord

WRITES = {"POST", "DELETE"}


# removal, and other modes


async def test_removal_takes_everything_and_may_be_asked_again() -> None:
    async with rigged() as rig:
        await rig.settle()
        sid = rig.service.sid
        rig.restart(forget=True)
        assert await rig.reconciler.remove(rig.client, UID, keep_sid=sid) == ()
        assert await rig.reconciler.remove(rig.client, UID) == (f"Functions service {sid}",)
        assert rig.twilio.serverless.services == {}
        assert await rig.reconciler.remove(rig.client, UID) == ()


@pytest.mark.parametrize("configured", [True, False], ids=["flex", "by-hand"])
async def test_the_old_service_outlives_the_switch_by_the_grace(configured: bool) -> None:
    async with rigged() as rig:
        old = (await rig.settle()).functions_url
        sid = rig.service.sid
        relay = wanted_as(FunctionsMode.RELAY, url_in_flex=old)
        if configured:
            outcome = await rig.look(relay)
            assert (outcome.configured, outcome.functions_url) == (True, f"https://{HOST}{PREFIX}")
            assert rig.record.retire_at is None and outcome.next_look is None  # Flex still sends the plugin to the old ones
            rig.clock.ahead += 90_000
            await rig.look(relay)
            assert rig.service.sid == sid
        relay = replace(relay, url_in_flex=f"https://{HOST}{PREFIX}" if configured else None)
        outcome = await rig.look(relay)
        assert rig.record.retire_at == pytest.approx(rig.clock() + 86_400, abs=5)
        assert outcome.next_look == pytest.approx(86_400, abs=5) and sid in outcome.message
        rig.restart()  # the status remembers
        rig.clock.ahead += 43_200
        outcome = await rig.look(replace(relay, host="moved.example.com", url_in_flex=None))
        assert rig.variables()["STREAM_URL"] == f"wss://moved.example.com{PREFIX}/ws"  # open tabs still get through
        assert outcome.configured and rig.service.sid == sid
        rig.clock.ahead += 43_201
        outcome = await rig.look(relay)
        assert outcome.message == "served by the relays"
        assert rig.twilio.serverless.services == {} and rig.record == FunctionsRecord()
        before = len(rig.requests())
        await rig.look(relay)
        assert len(rig.requests()) == before  # in mode Relay nothing is asked


async def test_back_within_the_grace_everything_is_as_before() -> None:
    async with rigged() as rig:
        old = (await rig.settle()).functions_url
        sid, build = rig.service.sid, rig.environment.build_sid
        await rig.look(wanted_as(FunctionsMode.RELAY, url_in_flex=None))
        assert rig.record.retire_at is not None
        outcome = await rig.settle()
        assert (outcome.functions_url, rig.service.sid, rig.environment.build_sid) == (old, sid, build)
        assert rig.record.retire_at is None and rig.drift == []


async def test_a_service_that_nobody_remembers_is_found() -> None:
    async with rigged() as rig:
        await rig.settle()
        rig.restart(forget=True)
        relay = wanted_as(FunctionsMode.RELAY, url_in_flex=None, grace_seconds=0.0)
        await rig.look(relay)
        assert rig.twilio.serverless.services == {}


async def _their_own(rig: Rig, *, deployed: bool = True) -> tuple[str, str]:
    """A service that the user made, with variables of their own."""
    store, now = rig.twilio.serverless, rig.clock()
    service = store.create_service("my-functions", "mine", include_credentials=True, ui_editable=True, now=now)
    environment = store.create_environment(service, "dev-environment", "dev", now)
    store.set_variable(environment, None, "STREAM_URL", "wss://old.example.com/ws", now)
    store.set_variable(environment, None, "MINE", "1", now)
    if deployed:
        function = store.create_function(service, "stream", now)
        build = store.create_build(service, [store.upload(function, "/stream", "public", "//", now).sid], [], "node22", now)
        store.settle(build, build.status.COMPLETED, now)
        store.deploy(service, environment, build.sid, False, now)
    return service.sid, environment.sid


def _existing(service: str, environment: str, **changes: object) -> functions_reconcile.FunctionsDesired:
    return wanted_as(FunctionsMode.EXISTING, existing_service_sid=service, existing_environment_sid=environment, **changes)


async def test_of_an_existing_environment_only_two_variables_are_touched() -> None:
    async with rigged() as rig:
        wanted = _existing(*(await _their_own(rig)))
        outcome = await rig.look(wanted)
        (service,) = rig.twilio.serverless.services.values()
        (environment,) = service.environments.values()
        assert (outcome.configured, outcome.functions_url) == (True, f"https://{environment.domain_name}")
        values = {one.key: one.value for one in environment.variables.values()}
        assert values == {"STREAM_URL": WANTED.stream_url, "SYNC_SERVICE_SID": SYNC, "MINE": "1"}
        writes = [path for method, path in rig.requests() if method in WRITES]
        assert len(writes) == 2 and all("/Variables" in path for path in writes)
        assert (service.include_credentials, service.ui_editable, service.friendly_name) == (True, True, "mine")
        assert rig.drift == [] and rig.record == FunctionsRecord()
        before = len(rig.requests())
        await rig.look(wanted)
        assert [method for method, _ in rig.requests()[before:]] == ["GET", "GET"]
        next(one for one in environment.variables.values() if one.key == "STREAM_URL").value = "wss://evil.example.com/ws"
        await rig.look(wanted)
        assert rig.drift == ["variable STREAM_URL of the Functions was 'wss://evil.example.com/ws': put right"]
        assert await rig.reconciler.remove(rig.client, UID) == ()
        assert environment.variables and rig.twilio.serverless.services


@pytest.mark.parametrize("gone", ["service", "environment", "deployment"])
async def test_an_environment_that_is_not_there_has_its_own_reason(gone: str) -> None:
    async with rigged() as rig:
        service, environment = await _their_own(rig, deployed=gone != "deployment")
        if gone == "service":
            rig.twilio.serverless.delete_service(service)
        elif gone == "environment":
            rig.twilio.serverless.services[service].environments.clear()
        outcome = await rig.look(_existing(service, environment))
        assert (outcome.reason, outcome.configured, outcome.functions_url) == (Reason.FUNCTIONS_NOT_FOUND, False, None)
        named = {"service": "existing.serviceSid", "environment": "existing.environmentSid", "deployment": "nothing is deployed"}[gone]
        assert named in outcome.message and "mode Relay" in outcome.message


async def test_ours_as_an_existing_one_is_kept() -> None:
    async with rigged() as rig:
        await rig.settle()
        service, environment = rig.service.sid, rig.environment.sid
        outcome = await rig.look(_existing(service, environment, url_in_flex=None, grace_seconds=0.0))
        assert outcome.configured and rig.service.sid == service


async def test_all_three_modes_in_turn() -> None:
    """The plugin's address always leads to functions that are there."""
    async with rigged() as rig:
        theirs = await _their_own(rig)
        relay, existing = wanted_as(FunctionsMode.RELAY), _existing(*theirs)
        flex = ""
        for wanted in (relay, WANTED, existing, WANTED, relay, existing, relay):
            for _ in range(8):
                outcome = await rig.look(replace(wanted, url_in_flex=flex))
                flex = outcome.functions_url or flex or WANTED.relay_url
                rig.clock.ahead += 5
                alive = {one.domain_name for each in rig.twilio.serverless.services.values() for one in each.environments.values()}
                assert flex == WANTED.relay_url or flex.removeprefix("https://") in alive
            assert outcome.configured
        assert rig.record.retire_at is not None
        rig.clock.ahead += 86_400
        await rig.look(replace(relay, url_in_flex=flex))
        assert list(rig.twilio.serverless.services) == [theirs[0]]
