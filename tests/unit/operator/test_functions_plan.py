"""The next steps of a deployment to Twilio, as tables: what is there, what follows, and what is said of changes by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_operator.cli import parser
from voiceassist_operator.twilio.functions.observed import (
    Build,
    CreateBuild,
    CreateEnvironment,
    CreateFunction,
    CreateService,
    DeleteBuild,
    DeleteFunction,
    Deploy,
    Environment,
    Function,
    ServerlessFacts,
    Service,
    SetVariable,
    UpdateService,
    Upload,
    Variable,
    Version,
)
from voiceassist_operator.twilio.functions.plan import (
    ENVIRONMENT,
    HANG_SECONDS,
    RETRY_SECONDS,
    Left,
    Plan,
    State,
    desired_variables,
    friendly_name,
    plan_serverless,
    unique_name,
)
from voiceassist_operator.twilio.functions.source import DEPENDENCIES, Source, dependencies_json, sources
from voiceassist_operator.twilio.model.desired import Neighbours, recorded, twilio_desired
from voiceassist_operator.twilio.model.functions import (
    FunctionsDesired,
    FunctionsMode,
    FunctionsRecord,
    record_from_status,
    record_to_status,
)

ROOT = Path(__file__).parents[3]
WANTED = FunctionsDesired(
    FunctionsMode.SERVERLESS, "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "prod", "desk", "assist.example.com", "/v", "IS1"
)
STREAM, TOKEN = Source("/stream", "public", "stream"), Source("/token", "public", "token")
SOURCES = (STREAM, TOKEN)
NOW = 1_800_000_000.0
SERVICE = Service("ZS1", "voiceassist/prod/desk", include_credentials=False, ui_editable=False)
VARIABLES = (Variable("ZV1", "STREAM_URL", "wss://assist.example.com/v/ws"), Variable("ZV2", "SYNC_SERVICE_SID", "IS1"))


def made(source: Source, number: int, *, version: str = "") -> Function:
    versions = (Version(version, source.path, source.visibility),) if version else ()
    return Function(f"ZH{number}", source.name, versions)


def built(sid: str, status: str = "completed", *, versions: tuple[str, ...] = ("ZN1", "ZN2"), age: float = 0.0) -> Build:
    return Build(sid, status, frozenset(versions), NOW - age)


FUNCTIONS = (made(STREAM, 1, version="ZN1"), made(TOKEN, 2, version="ZN2"))
DONE = ServerlessFacts(SERVICE, Environment("ZE1", "x.twil.io", "ZB1"), VARIABLES, FUNCTIONS, (built("ZB1"),))
LEFT = Left("ZS1", "ZE1", "ZB1", {one.key: one.value for one in VARIABLES})


def having(**changes: Any) -> ServerlessFacts:
    return replace(DONE, **changes)


def undeployed(*builds: Build) -> ServerlessFacts:
    return having(environment=Environment("ZE1", "x.twil.io"), builds=builds)


UNKNOWN = Left()


def plan(facts: ServerlessFacts, left: Left = UNKNOWN) -> Plan:
    return plan_serverless(WANTED, SOURCES, facts, left, NOW)


STEPS: list[tuple[str, ServerlessFacts, list[Any]]] = [
    ("nothing", ServerlessFacts(), [CreateService("voiceassist-0b1c2d3e4f5061728394a5b6c7d8e9f0", "voiceassist/prod/desk")]),
    ("service", ServerlessFacts(SERVICE), [CreateEnvironment(ENVIRONMENT), CreateFunction(STREAM.name), CreateFunction(TOKEN.name)]),
    ("open service", having(service=replace(SERVICE, include_credentials=True)), [UpdateService("ZS1", "voiceassist/prod/desk")]),
    ("editable service", having(service=replace(SERVICE, ui_editable=True)), [UpdateService("ZS1", "voiceassist/prod/desk")]),
    ("no variables", having(variables=()), [SetVariable(one.key, one.value) for one in VARIABLES]),
    (
        "another value",
        having(variables=(replace(VARIABLES[0], value="x"), VARIABLES[1], Variable("ZV3", "MINE", "1"))),
        [SetVariable("STREAM_URL", VARIABLES[0].value, "ZV1")],
    ),
    ("a function without content", having(functions=(made(STREAM, 1), FUNCTIONS[1])), [Upload("ZH1", STREAM)]),
    ("a function missing", having(functions=(FUNCTIONS[1],)), [CreateFunction(STREAM.name)]),
    (
        "a function of another content",
        having(functions=(made(replace(STREAM, content="old"), 1, version="ZN1"), FUNCTIONS[1])),
        [CreateFunction(STREAM.name)],
    ),
    (
        "somebody's version at another path",
        having(functions=(Function("ZH1", STREAM.name, (Version("ZN1", "/other", "public"),)), FUNCTIONS[1])),
        [Upload("ZH1", STREAM)],
    ),
    (
        "somebody's version of another visibility",
        having(functions=(Function("ZH1", STREAM.name, (Version("ZN1", "/stream", "private"),)), FUNCTIONS[1])),
        [Upload("ZH1", STREAM)],
    ),
    ("not built", undeployed(), [CreateBuild(("ZN1", "ZN2"))]),
    ("built with another", undeployed(built("ZB1", versions=("ZN1", "ZN2", "ZN9"))), [CreateBuild(("ZN1", "ZN2"))]),
    ("built in part", undeployed(built("ZB1", versions=("ZN1",))), [CreateBuild(("ZN1", "ZN2"))]),
    ("building", undeployed(built("ZB1", "building", age=4)), []),
    ("built", undeployed(built("ZB1"), built("ZB2", age=5)), [Deploy("ZB1")]),
    ("built after a failure", undeployed(built("ZB0", "failed", age=9), built("ZB1")), [Deploy("ZB1")]),
    ("failed just now", undeployed(built("ZB1", "failed", age=RETRY_SECONDS[0] - 1)), []),
    ("failed a while ago", undeployed(built("ZB1", "failed", age=RETRY_SECONDS[0])), [CreateBuild(("ZN1", "ZN2"))]),
    ("failed twice", undeployed(built("ZB1", "failed", age=RETRY_SECONDS[0]), built("ZB2", "failed", age=RETRY_SECONDS[0] + 1)), []),
    ("another content failed", undeployed(built("ZB1", "failed", versions=("ZN8", "ZN9"))), [CreateBuild(("ZN1", "ZN2"))]),
    ("hanging", undeployed(built("ZB1", "building", age=HANG_SECONDS)), []),
    ("hung a while ago", undeployed(built("ZB1", "building", age=HANG_SECONDS + RETRY_SECONDS[0])), [CreateBuild(("ZN1", "ZN2"))]),
    (
        "failed very often",
        undeployed(*(built(f"ZB{number}", "failed", age=90_000.0 - number) for number in range(6))),
        [DeleteBuild("ZB0"), DeleteBuild("ZB1"), DeleteBuild("ZB2"), CreateBuild(("ZN1", "ZN2"))],
    ),
    ("as it should be", DONE, []),
    ("another build is deployed", having(environment=Environment("ZE1", "x.twil.io", "ZB9")), [Deploy("ZB1")]),
    (
        "left over",
        having(
            functions=(*FUNCTIONS, made(replace(STREAM, content="old"), 3), made(TOKEN, 4), Function("ZH5", "mine")),
            builds=(built("ZB1"), built("ZB0", versions=("ZN0",)), built("ZB2", "failed"), built("ZB3", "building")),
        ),
        [DeleteBuild("ZB0"), DeleteBuild("ZB2"), DeleteFunction("ZH3"), DeleteFunction("ZH4")],
    ),
]


@pytest.mark.parametrize(("facts", "steps"), [row[1:] for row in STEPS], ids=[row[0].replace(" ", "-") for row in STEPS])
def test_functions_what_follows(facts: ServerlessFacts, steps: list[Any]) -> None:
    found = plan(facts)
    assert list(found.steps) == steps
    assert (found.state is State.STEPS) is bool(steps)
    assert found.drift == ()  # nobody is blamed for what we do not know to have left otherwise


DRIFT: list[tuple[str, ServerlessFacts, str]] = [
    ("service", ServerlessFacts(), "the Functions service ZS1 was deleted: made again"),
    ("environment", having(environment=None, variables=()), "the Functions environment ZE1 was deleted: made again"),
    (
        "settings",
        having(service=Service("ZS1", "x", True, True)),
        "the Functions service ZS1 had FriendlyName 'x', IncludeCredentials true, UiEditable true: put right",
    ),
    ("variable deleted", having(variables=VARIABLES[1:]), "variable STREAM_URL of the Functions was deleted: made again"),
    (
        "variable changed",
        having(variables=(replace(VARIABLES[0], value="y"), VARIABLES[1])),
        "variable STREAM_URL of the Functions was 'y': put right",
    ),
    ("undeployed", having(environment=Environment("ZE1", "x.twil.io")), "nothing was deployed any more instead of ZB1"),
    ("other build", having(environment=Environment("ZE1", "x.twil.io", "ZB9")), "build ZB9 was deployed instead of ZB1"),
    ("function", having(functions=FUNCTIONS[1:]), "function /stream was deleted: made again"),
]


@pytest.mark.parametrize(("facts", "told"), [row[1:] for row in DRIFT], ids=[row[0].replace(" ", "-") for row in DRIFT])
def test_functions_what_is_said_of_changes_by_hand(facts: ServerlessFacts, told: str) -> None:
    found = plan(facts, LEFT)
    assert len(found.drift) == 1 and told in found.drift[0]
    assert found.steps


@pytest.mark.parametrize(
    "facts",
    [
        having(variables=(replace(VARIABLES[0], value="wss://old.example.com/ws"), VARIABLES[1])),
        having(functions=(made(replace(STREAM, content="old"), 1, version="ZN1"), FUNCTIONS[1])),
    ],
    ids=["host changed", "a new version of ours"],
)
def test_functions_a_change_of_ours_is_nobodys_doing(facts: ServerlessFacts) -> None:
    left = replace(LEFT, variables={one.key: one.value for one in facts.variables})
    found = plan(facts, left)
    assert found.steps and found.drift == ()


def test_functions_what_failed_is_told_with_the_next_attempt() -> None:
    found = plan(undeployed(built("ZB1", "failed", age=100)))
    assert (found.state, found.next_look) == (State.FAILED, 200.0)
    assert "ZB1" in found.message and "2027-01-15 08:03 UTC" in found.message
    found = plan(undeployed(built("ZB1", "failed", age=1000), built("ZB2", "building", age=HANG_SECONDS)))
    assert "ZB2 has not ended after 10 minutes; 2 attempts so far" in found.message


def test_functions_a_running_build_is_asked_for_ever_more_rarely() -> None:
    waits = [plan(undeployed(built("ZB1", "building", age=age))).next_look for age in (0, 4, 20, 60, 500)]
    assert waits == [2.0, 2.0, 5.0, 15.0, 15.0]


@given(st.data())
def test_functions_taking_the_steps_ends_there_from_anywhere(data: st.DataObject) -> None:
    """Whatever is there, carrying out what is planned leads to the end, and doubles nothing that was whole."""
    functions = tuple(
        Function(f"ZH{number}", source.name, tuple(Version(f"ZN{number}-{one}", source.path, source.visibility) for one in range(versions)))
        for number, (source, versions) in enumerate(
            data.draw(st.lists(st.tuples(st.sampled_from([*SOURCES, replace(STREAM, content="old")]), st.integers(0, 2)), max_size=5))
        )
    )
    every = [version.sid for one in functions for version in one.versions] or ["ZN9"]
    builds = tuple(
        Build(f"ZB{number}", status, frozenset(versions), NOW - 100_000)
        for number, (status, versions) in enumerate(
            data.draw(
                st.lists(st.tuples(st.sampled_from(["completed", "failed"]), st.sets(st.sampled_from(every), min_size=1)), max_size=5)
            )
        )
    )
    deployed = data.draw(st.sampled_from(["", *(one.sid for one in builds if one.status == "completed")]))
    environment = data.draw(st.sampled_from([None, Environment("ZE1", "x.twil.io", deployed)]))
    facts = ServerlessFacts(SERVICE, environment, data.draw(st.sampled_from([(), VARIABLES])) if environment else (), functions, builds)
    for _ in range(12):
        found = plan(facts)
        if not found.steps:
            break
        for step in found.steps:
            facts = carried_out(facts, step)
    assert found.state is State.DONE and facts.environment is not None
    (build,) = [one for one in facts.builds if one.sid == facts.environment.build_sid]
    assert len(build.versions) == 2 and len([one for one in facts.functions if one.name in {STREAM.name, TOKEN.name}]) == 2
    assert len(facts.builds) == 1


def carried_out(facts: ServerlessFacts, step: Any) -> ServerlessFacts:
    """What Twilio has after a step."""
    number = sum(len(one.versions) for one in facts.functions) + len(facts.functions) + len(facts.builds)
    match step:
        case CreateEnvironment():
            return replace(facts, environment=Environment("ZE2", "x.twil.io"))
        case SetVariable():
            return replace(facts, variables=(*facts.variables, Variable(step.key, step.key, step.value)))
        case CreateFunction():
            return replace(facts, functions=(*facts.functions, Function(f"ZHnew{number}", step.name)))
        case Upload():
            version = Version(f"ZNnew{number}", step.source.path, step.source.visibility)
            return replace(
                facts,
                functions=tuple(
                    replace(one, versions=(*one.versions, version)) if one.sid == step.function_sid else one for one in facts.functions
                ),
            )
        case CreateBuild():
            return replace(facts, builds=(*facts.builds, Build(f"ZBnew{number}", "completed", frozenset(step.versions), NOW)))
        case Deploy():
            assert facts.environment is not None
            return replace(facts, environment=replace(facts.environment, build_sid=step.build_sid))
        case DeleteBuild():
            assert facts.environment is None or facts.environment.build_sid != step.sid
            return replace(facts, builds=tuple(one for one in facts.builds if one.sid != step.sid))
        case DeleteFunction():
            return replace(facts, functions=tuple(one for one in facts.functions if one.sid != step.sid))
    raise AssertionError(step)


# names, sources, status


def test_functions_names_fit_twilios_bounds() -> None:
    assert len(unique_name(WANTED.uid)) == 44 and len(unique_name("x" * 99)) == 50
    assert len(friendly_name(replace(WANTED, namespace="n" * 63, name="d" * 253))) == 255
    assert all(len(one.name) <= 255 for one in sources())


def test_functions_without_a_sync_service_its_variable_is_left_alone() -> None:
    assert set(desired_variables(replace(WANTED, sync_service_sid=""))) == {"STREAM_URL"}
    assert replace(WANTED, path_prefix="").stream_url == "wss://assist.example.com/ws"


def test_functions_what_is_deployed_is_what_is_in_functions() -> None:
    folder = ROOT / "functions/src"
    assert {path.name for path in folder.iterdir()} == {"forward.private.js", "stream.js", "token.js", "feedback.js"}
    copies = ROOT / "operator/src/voiceassist_operator/twilio/functions/javascript"
    for path in folder.iterdir():
        assert (copies / path.name).read_bytes() == path.read_bytes(), f"cp {path} {copies}"
    assert {path.name for path in copies.iterdir()} == {path.name for path in folder.iterdir()}
    for source in sources():
        name = source.path.removeprefix("/") + (".private.js" if source.visibility == "private" else ".js")
        assert source.content == (folder / name).read_text()
    package = json.loads((ROOT / "functions/package.json").read_text())
    assert dict(DEPENDENCIES) == package["dependencies"]
    assert {one["name"]: one["version"] for one in json.loads(dependencies_json())} == package["dependencies"]


def test_functions_the_lock_names_no_registry() -> None:
    text = (ROOT / "functions/package-lock.json").read_text()
    assert '"resolved"' not in text and "://registry" not in text


@pytest.mark.parametrize(
    ("status", "record"),
    [
        ({}, FunctionsRecord()),
        ({"serviceSid": "ZS1"}, FunctionsRecord("ZS1")),
        (
            {"serviceSid": "ZS1", "environmentSid": "ZE1", "buildSid": "ZB1", "retireAt": "2027-01-15T08:00:00Z"},
            FunctionsRecord("ZS1", "ZE1", "ZB1", NOW),
        ),
    ],
)
def test_functions_the_status_keeps_what_is_remembered(status: dict[str, str], record: FunctionsRecord) -> None:
    assert record_from_status(status) == record
    assert record_to_status(record) == status


@pytest.mark.parametrize(
    ("condition", "right"),
    [
        ({"status": "True", "reason": "Configured", "observedGeneration": 3}, True),
        ({"status": "True", "reason": "Configured", "observedGeneration": 2}, False),
        ({"status": "False", "reason": "FunctionsDeploying", "observedGeneration": 3}, False),
    ],
)
def test_functions_a_change_is_blamed_on_somebody_only_where_the_object_is_the_same(condition: dict[str, Any], right: bool) -> None:
    status = {"conditions": [{"type": "FunctionsConfigured", **condition}, {"type": "FlexConfigured", "status": "False", "reason": "x"}]}
    record = recorded(status, 3)
    assert (record.functions.right, record.flex_right) == (right, False)


def test_functions_the_grace_is_an_option_of_the_operator() -> None:
    assert parser().parse_args(["run"]).functions_grace_seconds == 86_400
    grace = parser().parse_args(["run", "--functions-grace-seconds", "60"]).functions_grace_seconds
    document = {
        "host": "assist.example.com",
        "twilio": {"accountSid": "AC" + "1" * 32, "credentialsSecretRef": {"name": "twilio"}},
        "model": {"apiKeySecretRef": {"name": "model"}},
        "prompt": {"instructions": "Help."},
    }
    spec = VoiceAssistSpec.read(document)
    wanted = twilio_desired("prod", "desk", "uid", "2026-01-01T00:00:00Z", spec, "1", Neighbours(), grace)
    assert (wanted.functions.grace_seconds, wanted.functions.mode) == (60, FunctionsMode.RELAY)


def test_functions_a_status_that_cannot_be_read_is_forgotten() -> None:
    assert record_from_status({"serviceSid": None, "retireAt": "tomorrow"}) == FunctionsRecord()
