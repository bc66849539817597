"""The CRD and the objects that are stored: what the version before accepted is accepted, and means the same."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from contract.versions.shapes import FOLDER, crd, crd_before, recorded
from voiceassist_crds.resource import VoiceAssistSpec

NOW = crd(FOLDER.parents[2] / "crds/voiceassists.voiceassist.dev.yaml")
OBJECTS = recorded("objects")
_LOWER = ("minimum", "minLength", "minItems", "minProperties")
WIDER = {("^[a-z]{2}(-[A-Z]{2})?$", "^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")}
"""Patterns, before and now, of which the second takes all that the first took."""
_UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")


def narrowed(before: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """Where `now` refuses, drops or changes what `before` let in; one line each."""
    found = []
    for key in ("type", "format", "default", "pattern", "nullable", "x-kubernetes-preserve-unknown-fields"):
        if key == "pattern" and (before.get(key), now.get(key)) in WIDER:
            continue
        if before.get(key) != now.get(key) and not (key in {"pattern", "format"} and key not in now):
            found.append(f"{path}: {key} was {before.get(key)!r}, is {now.get(key)!r}")
    if "enum" in now and not set(before.get("enum", ())) <= set(now["enum"]):
        found.append(f"{path}: choices taken away: {sorted(set(before.get('enum', ())) - set(now['enum']))}")
    found += [f"{path}: {key} is tighter" for key in _LOWER if now.get(key, 0) > before.get(key, 0)]
    found += [f"{path}: {key} is tighter" for key in _UPPER if now.get(key, 1e18) < before.get(key, 1e18)]
    new = sorted(set(now.get("required", ())) - set(before.get("required", ())))
    found += [f"{path}: newly required: {name}" for name in new]
    rules = {rule["rule"] for rule in before.get("x-kubernetes-validations", ())}
    added = now.get("properties", {}).keys() - before.get("properties", {}).keys()
    for rule in now.get("x-kubernetes-validations", ()):
        # a rule that looks at what was there before can let stored objects alone, as does one about what they cannot have
        if rule["rule"] not in rules and "oldSelf" not in rule["rule"] and not any(_holds_without(rule["rule"], name) for name in added):
            found.append(f"{path}: a new rule that stored objects may break: {rule['rule']}")
    for name, child in before.get("properties", {}).items():
        if name not in now.get("properties", {}):
            found.append(f"{path}.{name}: removed")
        else:
            found += narrowed(child, now["properties"][name], f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(before.get(key), dict):
            found += narrowed(before[key], now.get(key) or {}, f"{path}[]")
    return found


def _holds_without(rule: str, name: str) -> bool:
    """Whether a rule holds wherever the field is absent: it is an `or` at the top, with that as one of its sides."""
    return f"!has(self.{name})" in (rule.split(" || ", 1)[0], rule.rsplit(" || ", 1)[-1])


def test_nothing_that_was_accepted_is_refused_or_changed() -> None:
    assert narrowed(crd_before(), NOW) == []


def test_the_comparison_notices() -> None:
    changed = copy.deepcopy(crd_before())
    spec = changed["properties"]["spec"]
    spec["required"].append("audio")
    spec["properties"]["audio"]["properties"]["tracks"]["enum"].remove("Customer")
    spec["properties"]["relay"]["properties"]["replicas"]["default"] = 3
    spec["properties"]["relay"]["properties"]["maxCallsPerPod"]["maximum"] = 2
    spec["properties"]["host"]["x-kubernetes-validations"].append({"rule": "self.size() < 20"})
    spec["properties"]["host"]["x-kubernetes-validations"].append({"rule": "self == oldSelf"})
    spec["properties"]["relay"]["properties"]["later"] = {"type": "string"}
    rules = spec["properties"]["relay"].setdefault("x-kubernetes-validations", [])
    rules += [{"rule": "self.replicas > 1 || !has(self.later)"}, {"rule": "!has(self.later) && self.replicas > 1"}]
    del spec["properties"]["paused"]
    lines = narrowed(crd_before(), changed)
    assert len(lines) == 7
    assert {line.split(":")[0] for line in lines} == {
        ".spec",
        ".spec.audio.tracks",
        ".spec.relay",
        ".spec.relay.replicas",
        ".spec.relay.maxCallsPerPod",
        ".spec.host",
        ".spec.paused",
    }


@pytest.mark.parametrize("name", OBJECTS)
def test_stored_objects_are_valid_and_can_be_read(name: str) -> None:
    body = OBJECTS[name]
    jsonschema.Draft4Validator(NOW).validate(body)  # OpenAPI 3.0 is of that draft
    spec = VoiceAssistSpec.read(body["spec"])
    assert spec.host == body["spec"]["host"]


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_of_a_later_crd_can_be_read(name: str) -> None:
    spec = copy.deepcopy(OBJECTS[name]["spec"])
    spec["later"] = {"x": 1}
    spec["model"]["later"] = True
    assert VoiceAssistSpec.read(spec) == VoiceAssistSpec.read(OBJECTS[name]["spec"])
