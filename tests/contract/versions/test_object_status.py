"""An object's status between operators of two versions: what the version before wrote is gone on from, what a later one wrote is kept."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from contract.versions.shapes import FOLDER, crd, crd_before, recorded
from unit.operator.making import LATER, well
from voiceassist_crds.base import undeclared
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_operator.controller.apply import replacing
from voiceassist_operator.policy.events import already_told, due_events
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.policy.status import FIELDS, deleting, status_with, unknown_fields

NOW = crd(FOLDER.parents[2] / "crds/voiceassists.voiceassist.dev.yaml")["properties"]["status"]
OBJECTS = recorded("objects")
UNKNOWN = {"type": "Soundproof", "status": "True", "reason": "Quiet", "message": "", "observedGeneration": 2, "lastTransitionTime": LATER}


def merged(old: Any, patch: Any) -> Any:
    """What the API server makes of a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def later_status(old: dict[str, Any]) -> dict[str, Any]:
    """The same, as an operator of a later version might have written it."""
    status = copy.deepcopy(old)
    status["rollout"] = {"step": 2}
    for part in ("prompt", "relay", "endpoints", "sync"):
        status[part]["later"] = {"x": part}
    status["functions"] = {"later": True}
    status["conditions"].append(dict(UNKNOWN))
    return status


def test_the_known_fields_are_those_of_the_crd() -> None:
    assert {name: set(part.get("properties", ())) for name, part in NOW["properties"].items()} == {
        name: set(fields) for name, fields in FIELDS.items()
    }


@pytest.mark.parametrize("name", OBJECTS)
def test_the_status_before_is_gone_on_from(name: str) -> None:
    old = OBJECTS[name]["status"]
    status = make_plan(replace(well(), status=old), LATER).status
    before = {one["type"]: one for one in old["conditions"]}
    same = [one for one in status["conditions"] if one["type"] in before and one["status"] == before[one["type"]]["status"]]
    assert same
    assert all(one["lastTransitionTime"] == before[one["type"]]["lastTransitionTime"] for one in same)
    assert old["prompt"]["history"][0]["revision"] in [entry["revision"] for entry in status["prompt"]["history"]]


@pytest.mark.parametrize("name", OBJECTS)
def test_the_status_now_is_valid_for_the_version_before(name: str) -> None:
    status = make_plan(replace(well(), status=OBJECTS[name]["status"]), LATER).status
    jsonschema.Draft4Validator(crd_before()["properties"]["status"]).validate(status)
    before = crd_before()["properties"]["status"]["properties"]
    assert {part: set(value) - set(before[part]["properties"]) for part, value in status.items() if isinstance(value, dict)} == {
        part: set() for part, value in status.items() if isinstance(value, dict)
    }, "the version before would drop these fields"


@pytest.mark.parametrize("paused", [False, True])
def test_what_a_later_operator_wrote_is_kept(paused: bool) -> None:
    seen = well(paused=paused)
    old = later_status(make_plan(seen, LATER).status | ({"prompt": {}} if paused else {}))
    plan = make_plan(replace(seen, status=old, generation=9), LATER)
    written = merged(old, replacing(old, plan.status))
    assert written["rollout"] == {"step": 2}
    assert {part: written[part].get("later") for part in ("prompt", "relay", "endpoints", "sync", "functions")} == {
        **{part: {"x": part} for part in ("prompt", "relay", "endpoints", "sync")},
        "functions": True,
    }
    assert UNKNOWN in written["conditions"]
    assert due_events(already_told(old["conditions"], LATER), plan.status["conditions"], LATER) == [], "nothing of it is news"
    again = make_plan(replace(seen, status=written, generation=9), LATER)
    assert again.status == written, "written once, not at every pass"


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_unknown_is_named(name: str) -> None:
    body = OBJECTS[name]
    assert unknown_fields(body["status"]) == ()
    assert undeclared(VoiceAssistSpec, body["spec"]) == ()
    parts = ("prompt", "relay", "endpoints", "sync", "functions")
    paths = {"rollout", "conditions[Soundproof]", *(f"{part}.later" for part in parts)}
    assert set(unknown_fields(later_status(body["status"]))) == paths
    spec = copy.deepcopy(body["spec"]) | {"later": {"x": 1}}
    spec["model"]["later"] = True
    assert set(undeclared(VoiceAssistSpec, spec)) == {"later", "model.later"}


def test_it_is_kept_while_the_object_is_deleted() -> None:
    old = later_status(make_plan(well(), LATER).status)
    status = status_with(old, deleting("its relays"), 4, LATER)
    assert status["rollout"] == {"step": 2}
    assert UNKNOWN in status["conditions"]
