"""Functions deployed to Twilio: from nothing, after a crash at any request, and while builds fail or hang."""

from __future__ import annotations

from dataclasses import replace

import pytest

from integration.serverless_rig import rigged
from voiceassist_crds.reasons import Reason
from voiceassist_operator.twilio.functions import reconcile as functions_reconcile
from voiceassist_operator.twilio.functions.source import Source, sources
from voiceassist_operator.twilio.model.errors import TwilioUnavailable
from voiceassist_operator.twilio.model.functions import FunctionsRecord
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
        assert rig.record == FunctionsRecord(rig.service.sid, rig.environment.sid, rig.environment.build_sid)
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
        assert rig.record.build_sid == rig.environment.build_sid


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
        assert len(kept.keys() & {one.friendly_name for one in rig.service.functions.values()}) == len(sources()) - 1


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
        assert rig.environment.build_sid == first and rig.record.build_sid == first


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


def test_the_names_tell_contents_apart() -> None:
    one = Source("/stream", "public", "a")
    assert one.name == Source("/stream", "public", "a").name
    assert len({one.name, replace(one, content="b").name, replace(one, visibility="private").name, replace(one, path="/x").name}) == 4
