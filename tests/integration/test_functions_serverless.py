"""Functions deployed to Twilio: from nothing, after a crash at any request, after changes by hand, and their removal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from integration.serverless_rig import HOST, PREFIX, SYNC, UID, WANTED, Rig, rigged, wanted_as
from voiceassist_crds.reasons import Reason
from voiceassist_operator.errors import TwilioRefused, TwilioUnavailable
from voiceassist_operator.twilio import functions_reconcile
from voiceassist_operator.twilio.functions_source import Source, sources
from voiceassist_operator.twilio.functions_wanted import FunctionsMemory, FunctionsMode
from voiceassist_sim.twilio.faults import FaultKind, FaultRule
from voiceassist_sim.twilio.serverless_model import BuildPlan, Outcome

WRITES = {"POST", "DELETE"}


async def test_from_nothing_and_then_only_a_glance() -> None:
    async with rigged() as rig:
        outcome = await rig.settle()
        rig.assert_as_wanted()
        assert outcome.functions_url == f"https://{rig.environment.domain_name}"
        assert (outcome.reason, rig.drift) == (Reason.CONFIGURED, [])
        assert {one["path"]: one["content"] for one in rig.deployed()["functions"]} == {one.path: one.content for one in sources()}
        assert rig.memory == FunctionsMemory(rig.service.sid, rig.environment.sid, rig.environment.build_sid)
        assert [one.reason for one in rig.outcomes[:-1]] == [Reason.FUNCTIONS_DEPLOYING] * (len(rig.outcomes) - 1)
        before = rig.requests()
        await rig.look()
        at_rest = rig.requests()[len(before) :]
        assert len(at_rest) == 3 and {method for method, _ in at_rest} == {"GET"}
        # an operator that knows nothing finds everything
        rig.restart(forget=True)
        before = rig.requests()
        outcome = await rig.look()
        assert outcome.configured
        assert {method for method, _ in rig.requests()[len(before) :]} == {"GET"}
        assert rig.memory.build_sid == rig.environment.build_sid


def _requests_of_a_deployment() -> list[str]:
    """The writes of a deployment from nothing, as regular expressions of their paths."""
    service = "/serverless/v1/Services"
    return [
        f"{service}$",
        f"{service}/ZS[^/]*/Environments$",
        f"{service}/ZS[^/]*/Functions$",
        "/Variables$",
        "/serverless-upload/",
        f"{service}/ZS[^/]*/Builds$",
        "/Deployments$",
    ]


@pytest.mark.parametrize("forget", [False, True], ids=["restarted", "status-lost"])
@pytest.mark.parametrize("kind", [FaultKind.SERVER_ERROR, FaultKind.STORED_THEN_500], ids=["refused", "landed"])
@pytest.mark.parametrize(
    "path", _requests_of_a_deployment(), ids=["service", "environment", "function", "variable", "upload", "build", "deployment"]
)
async def test_a_deployment_that_is_broken_off_is_resumed(path: str, kind: FaultKind, forget: bool) -> None:
    async with rigged() as rig:
        rig.twilio.set_faults(FaultRule(kind, path, "POST", times=1))
        outcome = await rig.look()
        while outcome.error is None:
            outcome = await rig.look()
        assert isinstance(outcome.error, TwilioUnavailable) and not outcome.configured and outcome.functions_url is None
        rig.restart(forget=forget)
        await rig.settle()
        rig.assert_as_wanted()
        assert rig.drift == []
        assert len(rig.environment.deployments) == 1


@pytest.mark.parametrize("kind", [FaultKind.SERVER_ERROR, FaultKind.STORED_THEN_500, FaultKind.CUT], ids=["refused", "landed", "cut"])
async def test_with_one_request_in_five_failing(kind: FaultKind) -> None:
    async with rigged() as rig:
        rig.twilio.set_faults(FaultRule(kind, "/serverless", share=0.2, after=kind is FaultKind.CUT), seed=5)
        for _ in range(3):
            await rig.settle(looks=60)
            rig.restart(forget=True)
        rig.twilio.set_faults()
        await rig.settle()
        rig.assert_as_wanted()


async def test_no_write_is_ever_answered() -> None:
    """Every write lands and none is answered: each look gets one step further, and nothing is doubled."""
    async with rigged() as rig:
        rig.twilio.set_faults(FaultRule(FaultKind.STORED_THEN_500, "/serverless", "POST"))
        for _ in range(14):
            rig.restart(forget=True)
            await rig.look()
        rig.twilio.set_faults()
        await rig.settle()
        rig.assert_as_wanted()


async def test_an_unchanged_function_is_not_uploaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rigged() as rig:
        await rig.settle()
        first, url = rig.environment.build_sid, rig.outcomes[-1].functions_url
        kept = {one.name: one for one in sources()}
        changed = tuple(replace(one, content=one.content + "// another\n") if one.path == "/forward" else one for one in sources())
        monkeypatch.setattr(functions_reconcile, "sources", lambda: changed)
        rig.restart()
        before = len(rig.requests())
        outcome = await rig.settle()
        uploads = [path for method, path in rig.requests()[before:] if method == "POST" and "serverless-upload" in path]
        assert len(uploads) == 1 and outcome.functions_url == url
        assert rig.drift == []
        rig.assert_as_wanted()  # the old build and the old function are gone
        assert rig.environment.build_sid != first
        assert len(kept.keys() & {one.friendly_name for one in rig.service.functions.values()}) == 2


async def test_the_old_ones_go_on_while_the_new_ones_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rigged() as rig:
        await rig.settle()
        first = rig.environment.build_sid
        monkeypatch.setattr(functions_reconcile, "sources", lambda: tuple(replace(one, content=one.content + "//\n") for one in sources()))
        rig.twilio.serverless.plan_builds(BuildPlan(Outcome.FAILED, times=None))
        for _ in range(3):
            outcome = await rig.look()
            assert (outcome.configured, outcome.functions_url) == (False, None)
        assert outcome.reason is Reason.FUNCTIONS_BUILD_FAILED
        assert rig.environment.build_sid == first and rig.memory.build_sid == first


# builds


async def test_a_failed_build_is_told_and_tried_again_ever_more_rarely() -> None:
    async with rigged() as rig:
        rig.twilio.serverless.plan_builds(BuildPlan(Outcome.FAILED, times=None))
        outcome = await rig.look()
        while outcome.reason is Reason.FUNCTIONS_DEPLOYING:
            outcome = await rig.look()
        (failed,) = rig.service.builds
        assert outcome.reason is Reason.FUNCTIONS_BUILD_FAILED
        assert failed in outcome.message and "failed" in outcome.message and "mode Relay" in outcome.message
        assert outcome.next_look == pytest.approx(300, abs=5)
        for restart in (False, True):  # not tried at once, whoever asks
            if restart:
                rig.restart(forget=True)
            await rig.look()
            assert list(rig.service.builds) == [failed]
        waits = []
        for _ in range(6):
            assert outcome.next_look is not None
            waits.append(round(outcome.next_look, -1))
            rig.clock.ahead += outcome.next_look + 1
            for _ in range(3):
                outcome = await rig.look()
        assert waits == [300, 900, 3600, 21600, 21600, 21600]
        assert len(rig.service.builds) == 4  # older failures are deleted
        rig.twilio.serverless.plan_builds()
        rig.clock.ahead += 21601
        await rig.settle()
        rig.assert_as_wanted()


async def test_a_refused_build_has_twilios_own_words() -> None:
    async with rigged() as rig:
        words = "Some dependencies could not be validated. No matching version found for @twilio/runtime-handler@2.0.3."
        rig.twilio.serverless.plan_builds(BuildPlan(Outcome.REFUSED, words, times=None))
        outcome = await rig.look()
        assert (outcome.reason, outcome.configured, outcome.error) == (Reason.FUNCTIONS_BUILD_FAILED, False, None)
        assert words in outcome.message and "20001" in outcome.message
        assert outcome.next_look == pytest.approx(300)
        again = await rig.look()  # before its time, because something else is due: nothing is asked for
        assert again.message == outcome.message
        assert again.next_look is not None
        assert 200 < again.next_look < 300
        rig.clock.ahead += 301
        assert (await rig.look()).next_look == pytest.approx(900)
        rig.twilio.serverless.plan_builds()
        rig.clock.ahead += 901
        await rig.settle()
        rig.assert_as_wanted()


async def test_a_build_that_hangs_is_given_up() -> None:
    async with rigged() as rig:
        rig.twilio.serverless.plan_builds(BuildPlan(Outcome.HANG))
        await rig.look()
        rig.clock.ahead += 120
        before = len(rig.requests())
        outcome = await rig.look()
        assert len(rig.requests()) == before + 1  # a poll is one request
        (hanging,) = rig.service.builds
        assert (outcome.reason, outcome.message) == (Reason.FUNCTIONS_DEPLOYING, f"Twilio is building the Functions ({hanging})")
        rig.clock.ahead += 481
        outcome = await rig.look()
        assert outcome.reason is Reason.FUNCTIONS_BUILD_FAILED and "has not ended after 10 minutes" in outcome.message
        rig.clock.ahead += 300
        await rig.settle()
        assert set(rig.service.builds) == {hanging, rig.environment.build_sid}
        rig.twilio.serverless.settle(rig.service.builds[hanging], rig.service.builds[hanging].status.COMPLETED, rig.clock())
        rig.restart()
        await rig.settle()
        rig.assert_as_wanted()


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
        rig.memory = replace(rig.memory, right=True)
        await rig.settle()
        assert rig.drift == ["variable STREAM_URL of the Functions was 'wss://evil.example.com/ws': put right"]
        assert not rig.memory.right


async def test_other_variables_and_other_functions_are_left_alone() -> None:
    async with rigged() as rig:
        await rig.settle()
        store = rig.twilio.serverless
        store.set_variable(rig.environment, None, "MINE", "1", rig.clock())
        store.create_function(rig.service, "mine", rig.clock())
        rig.restart()
        await rig.settle()
        assert rig.variables()["MINE"] == "1" and len(rig.service.functions) == 4


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


# removal, and other modes


async def test_removal_takes_everything_and_may_be_asked_again() -> None:
    async with rigged() as rig:
        await rig.settle()
        sid = rig.service.sid
        rig.restart(forget=True)
        assert await rig.keeper.remove(rig.transport, UID, keep_sid=sid) == ()
        assert await rig.keeper.remove(rig.transport, UID) == (f"Functions service {sid}",)
        assert rig.twilio.serverless.services == {}
        assert await rig.keeper.remove(rig.transport, UID) == ()


@pytest.mark.parametrize("configured", [True, False], ids=["flex", "by-hand"])
async def test_the_old_service_outlives_the_switch_by_the_grace(configured: bool) -> None:
    async with rigged() as rig:
        old = (await rig.settle()).functions_url
        sid = rig.service.sid
        relay = wanted_as(FunctionsMode.RELAY, url_in_flex=old)
        if configured:
            outcome = await rig.look(relay)
            assert (outcome.configured, outcome.functions_url) == (True, f"https://{HOST}{PREFIX}")
            assert rig.memory.retire_at is None and outcome.next_look is None  # Flex still sends the plugin to the old ones
            rig.clock.ahead += 90_000
            await rig.look(relay)
            assert rig.service.sid == sid
        relay = replace(relay, url_in_flex=f"https://{HOST}{PREFIX}" if configured else None)
        outcome = await rig.look(relay)
        assert rig.memory.retire_at == pytest.approx(rig.clock() + 86_400, abs=5)
        assert outcome.next_look == pytest.approx(86_400, abs=5) and sid in outcome.message
        rig.restart()  # the status remembers
        rig.clock.ahead += 43_200
        outcome = await rig.look(replace(relay, host="moved.example.com", url_in_flex=None))
        assert rig.variables()["STREAM_URL"] == f"wss://moved.example.com{PREFIX}/ws"  # open tabs still get through
        assert outcome.configured and rig.service.sid == sid
        rig.clock.ahead += 43_201
        outcome = await rig.look(relay)
        assert outcome.message == "served by the relays"
        assert rig.twilio.serverless.services == {} and rig.memory == FunctionsMemory()
        before = len(rig.requests())
        await rig.look(relay)
        assert len(rig.requests()) == before  # in mode Relay nothing is asked


async def test_back_within_the_grace_everything_is_as_before() -> None:
    async with rigged() as rig:
        old = (await rig.settle()).functions_url
        sid, build = rig.service.sid, rig.environment.build_sid
        await rig.look(wanted_as(FunctionsMode.RELAY, url_in_flex=None))
        assert rig.memory.retire_at is not None
        outcome = await rig.settle()
        assert (outcome.functions_url, rig.service.sid, rig.environment.build_sid) == (old, sid, build)
        assert rig.memory.retire_at is None and rig.drift == []


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


def _existing(service: str, environment: str, **changes: object) -> functions_reconcile.FunctionsWanted:
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
        assert rig.drift == [] and rig.memory == FunctionsMemory()
        before = len(rig.requests())
        await rig.look(wanted)
        assert [method for method, _ in rig.requests()[before:]] == ["GET", "GET"]
        next(one for one in environment.variables.values() if one.key == "STREAM_URL").value = "wss://evil.example.com/ws"
        await rig.look(wanted)
        assert rig.drift == ["variable STREAM_URL of the Functions was 'wss://evil.example.com/ws': put right"]
        assert await rig.keeper.remove(rig.transport, UID) == ()
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
        assert rig.memory.retire_at is not None
        rig.clock.ahead += 86_400
        await rig.look(replace(relay, url_in_flex=flex))
        assert list(rig.twilio.serverless.services) == [theirs[0]]


def test_the_names_tell_contents_apart() -> None:
    one = Source("/stream", "public", "a")
    assert one.name == Source("/stream", "public", "a").name
    assert len({one.name, replace(one, content="b").name, replace(one, visibility="private").name, replace(one, path="/x").name}) == 4
