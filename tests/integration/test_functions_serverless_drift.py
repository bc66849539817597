"""Functions deployed to Twilio and then changed by hand: repaired, told once, and nothing else touched; refusals, and what disappears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from integration.serverless_rig import SYNC, WANTED, Rig, rigged
from voiceassist_crds.reasons import Reason
from voiceassist_operator.twilio.model.errors import TwilioRefused
from voiceassist_sim.twilio.faults import FaultKind, FaultRule

WRITES = {"POST", "DELETE"}


# changes by hand


def _credentials(rig: Rig) -> None:
    rig.service.include_credentials = True


def _editable(rig: Rig) -> None:
    rig.service.ui_editable = True


def _renamed(rig: Rig) -> None:
    rig.service.friendly_name = "mine"


def _variable(rig: Rig, key: str) -> str:
    (sid,) = [one.sid for one in rig.environment.variables.values() if one.key == key]
    return sid


def _edited(rig: Rig) -> None:
    rig.environment.variables[_variable(rig, "STREAM_URL")].value = "wss://evil.example.com/ws"


def _other_service(rig: Rig) -> None:
    rig.environment.variables[_variable(rig, "SYNC_SERVICE_SID")].value = "IS" + "9" * 32


def _deleted(rig: Rig) -> None:
    del rig.environment.variables[_variable(rig, "STREAM_URL")]


def _undeployed(rig: Rig) -> None:
    rig.twilio.serverless.deploy(rig.service, rig.environment, None, False, rig.clock())


def _other_build(rig: Rig) -> None:
    store, service = rig.twilio.serverless, rig.service
    mine = store.create_function(service, "mine", rig.clock())
    version = store.upload(mine, "/stream", "public", "exports.handler = (c, e, done) => done(null, 'mine');", rig.clock())
    build = store.create_build(service, [version.sid], [], "node22", rig.clock())
    store.settle(build, build.status.COMPLETED, rig.clock())
    store.deploy(service, rig.environment, build.sid, False, rig.clock())


def _build_deleted(rig: Rig) -> None:
    ours = rig.environment.build_sid
    _other_build(rig)
    del rig.service.builds[ours]


def _environment(rig: Rig) -> None:
    del rig.service.environments[rig.environment.sid]


def _service(rig: Rig) -> None:
    rig.twilio.serverless.delete_service(rig.service.sid)


DRIFT: list[tuple[Callable[[Rig], None], str]] = [
    (_credentials, "had IncludeCredentials true: put right"),
    (_editable, "had UiEditable true: put right"),
    (_renamed, "had FriendlyName 'mine': put right"),
    (_edited, "variable STREAM_URL of the Functions was 'wss://evil.example.com/ws': put right"),
    (_other_service, "variable SYNC_SERVICE_SID of the Functions was 'IS999"),
    (_deleted, "variable STREAM_URL of the Functions was deleted: made again"),
    (_undeployed, "nothing was deployed any more instead of ZB"),
    (_other_build, "was deployed instead of ZB"),
    (_build_deleted, "was deployed instead of ZB"),
    (_environment, "was deleted: made again"),
    (_service, "was deleted: made again"),
]


@pytest.mark.parametrize(("change", "told"), DRIFT, ids=[change.__name__.strip("_") for change, _ in DRIFT])
async def test_a_change_by_hand_is_repaired_and_told_once(change: Callable[[Rig], None], told: str) -> None:
    async with rigged() as rig:
        await rig.settle()
        await rig.look()
        change(rig)
        await rig.settle()
        assert len(rig.drift) == 1 and told in rig.drift[0], rig.drift
        assert rig.environment.build_sid in rig.service.builds
        assert rig.outcomes[-1].functions_url == f"https://{rig.environment.domain_name}"
        if change is _other_build or change is _build_deleted:  # the functions that somebody made stay, though nothing runs them
            rig.service.functions = {sid: one for sid, one in rig.service.functions.items() if one.friendly_name != "mine"}
        rig.assert_as_wanted()
        await rig.look()
        assert len(rig.drift) == 1


async def test_a_change_of_the_object_is_no_drift() -> None:
    async with rigged() as rig:
        await rig.settle(replace(WANTED, sync_service_sid=""))
        assert set(rig.variables()) == {"STREAM_URL"}
        moved = replace(WANTED, host="other.example.com", path_prefix="")
        outcome = await rig.settle(moved)
        assert rig.variables() == {"STREAM_URL": "wss://other.example.com/ws", "SYNC_SERVICE_SID": SYNC}
        assert rig.drift == [] and outcome.configured
        rig.restart()  # a new operator cannot know who wrote what, and blames nobody
        await rig.settle(WANTED)
        assert rig.drift == []
        rig.assert_as_wanted()


async def test_a_change_by_hand_while_no_operator_ran_is_told_too() -> None:
    async with rigged() as rig:
        await rig.settle()
        _edited(rig)
        rig.restart()
        rig.record = replace(rig.record, right=True)
        await rig.settle()
        assert rig.drift == ["variable STREAM_URL of the Functions was 'wss://evil.example.com/ws': put right"]
        assert not rig.record.right


async def test_other_variables_and_other_functions_are_left_alone() -> None:
    async with rigged() as rig:
        await rig.settle()
        store = rig.twilio.serverless
        store.set_variable(rig.environment, None, "MINE", "1", rig.clock())
        store.create_function(rig.service, "mine", rig.clock())
        rig.restart()
        await rig.settle()
        assert rig.variables()["MINE"] == "1" and len(rig.service.functions) == 5


# refusals


async def test_refusals_are_the_callers_to_judge() -> None:
    async with rigged() as rig:
        rig.twilio.set_faults(FaultRule(FaultKind.REFUSE, "/serverless/", status=401, code=20003))
        outcome = await rig.look()
        assert isinstance(outcome.error, TwilioRefused) and outcome.error.status == 401
        rig.twilio.set_faults()
        rig.twilio.settings.serverless.max_services = 0
        outcome = await rig.look()
        assert isinstance(outcome.error, TwilioRefused) and "limit of 0 Services" in str(outcome.error)
        rig.twilio.settings.serverless.max_services = None
        rig.twilio.set_faults(FaultRule(FaultKind.REFUSE, "/Services$", "POST", status=409, code=20409, message="taken"))
        outcome = await rig.look()
        assert (outcome.reason, outcome.error) == (Reason.FUNCTIONS_NAME_TAKEN, None)
        rig.twilio.set_faults()
        await rig.settle()
        rig.assert_as_wanted()


async def test_what_disappears_while_it_is_worked_on_is_looked_for_again() -> None:
    async with rigged() as rig:
        rig.twilio.set_faults(FaultRule(FaultKind.REFUSE, "/Environments$", "POST", status=404, code=20404, times=1))
        await rig.settle()
        rig.assert_as_wanted()
