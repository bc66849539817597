"""Serverless's rules without HTTP: the order of what is planned for builds, the time that they take, domains."""

from __future__ import annotations

import pytest

from voiceassist_sim.twilio.errors import TwilioError
from voiceassist_sim.twilio.serverless_model import BuildPlan, Outcome, ServerlessService, Status
from voiceassist_sim.twilio.serverless_store import ServerlessStore
from voiceassist_sim.twilio.settings import ServerlessLimits, Settings
from voiceassist_sim.twilio.sids import SidSource


@pytest.fixture
def store() -> ServerlessStore:
    return ServerlessStore(SidSource(1), Settings(serverless=ServerlessLimits(build_polls=0)))


@pytest.fixture
def service(store: ServerlessStore) -> ServerlessService:
    return store.create_service("Voice-Assist", "x", include_credentials=False, ui_editable=False, now=0)


def outcomes(store: ServerlessStore, service: ServerlessService, count: int) -> list[str]:
    function = store.create_function(service, "f", 0)
    version = store.upload(function, "/f", "public", "code", 0)
    seen: list[str] = []
    for _ in range(count):
        try:
            seen.append(store.poll(store.create_build(service, [version.sid], (), "node22", 0), 0).value)
        except TwilioError as refusal:
            seen.append(refusal.message)
    return seen


def test_plans_are_used_up_in_their_order(store: ServerlessStore, service: ServerlessService) -> None:
    store.plan_builds(BuildPlan(Outcome.FAILED, times=2), BuildPlan(Outcome.FAILED, times=0), BuildPlan(Outcome.REFUSED, "no"))
    assert outcomes(store, service, 4) == ["failed", "failed", "no", "completed"]
    assert store.plans == []
    store.plan_builds(BuildPlan(Outcome.FAILED, times=None), BuildPlan(Outcome.REFUSED, "never"))
    assert outcomes(store, service, 3) == ["failed"] * 3
    store.plan_builds()
    assert outcomes(store, service, 1) == ["completed"]


def test_a_plan_has_its_own_time(store: ServerlessStore, service: ServerlessService) -> None:
    store.plan_builds(BuildPlan(seconds=10, polls=1))
    version = store.upload(store.create_function(service, "f", 0), "/f", "public", "code", 0)
    build = store.create_build(service, [version.sid], (), "node22", 100)
    assert [store.poll(build, now) for now in (120, 120)] == [Status.BUILDING, Status.COMPLETED]
    assert build.dates.updated == 120
    quick = store.create_build(service, [version.sid], (), "node22", 100)
    assert store.poll(quick, 100) is Status.COMPLETED


def test_domains_are_in_lower_case_and_differ(store: ServerlessStore, service: ServerlessService) -> None:
    other = store.create_service("voice-assist", "x", include_credentials=False, ui_editable=False, now=0)  # names are told apart by case
    assert service.domain_base.rpartition("-")[0] == other.domain_base.rpartition("-")[0] == "voice-assist"
    assert service.domain_base != other.domain_base
    assert store.create_environment(service, "a", None, 0).domain_name == f"{service.domain_base}.twil.io"
    assert store.create_environment(service, "b", "dev", 0).domain_name == f"{service.domain_base}-dev.twil.io"
