"""The mirror against the CRD: the same fields, required ones, defaults, enumerations and bounds."""

from __future__ import annotations

import types
import typing
from enum import EnumMeta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined, to_jsonable_python

from voiceassist_crds.resource import CanaryPause, CanarySpec, VoiceAssistSpec

CRD = Path(__file__).parents[3] / "crds/voiceassists.voiceassist.dev.yaml"


def schema() -> dict[str, Any]:
    return typing.cast(dict[str, Any], yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def bare(annotation: Any) -> Any:
    """The annotation without `| None`."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        assert len(kinds) == 1
        return kinds[0]
    return annotation


def compare(model: type[BaseModel], crd: dict[str, Any], path: str, found: list[str]) -> None:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    if set(fields) != set(crd["properties"]):
        found.append(f"{path}: fields differ: {sorted(set(fields) ^ set(crd['properties']))}")
        return
    required = {name for name, field in fields.items() if field.is_required()}
    if required != set(crd.get("required", [])):
        found.append(f"{path}: required differ: {sorted(required ^ set(crd.get('required', [])))}")
    for name, field in fields.items():
        here, annotation, there = f"{path}.{name}", bare(field.annotation), crd["properties"][name]
        default = (
            None if field.default is PydanticUndefined and field.default_factory is None else field.get_default(call_default_factory=True)
        )
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            compare(annotation, there, here, found)
            optional = field.default is None
            if not field.is_required() and not optional and there.get("default") != {}:
                found.append(f"{here}: the CRD must have the default {{}}, or defaults inside it never apply")
            continue
        plain = to_jsonable_python(default, exclude_none=True)
        if plain != there.get("default") and not (plain in ([], {}) and "default" not in there):
            found.append(f"{here}: default {plain!r} here, {there.get('default')!r} in the CRD")
        choices = None
        if isinstance(annotation, EnumMeta):
            choices = {member.value for member in annotation}
        elif typing.get_origin(annotation) is typing.Literal:
            choices = set(typing.get_args(annotation))
        if (choices or "enum" in there) and choices != set(there.get("enum", [])):
            found.append(f"{here}: choices {choices} here, {there.get('enum')} in the CRD")
        kinds = {str: "string", bool: "boolean", int: "integer", float: "number"}
        if annotation in kinds and there["type"] != kinds[annotation]:
            found.append(f"{here}: {annotation} here, {there['type']} in the CRD")


def test_resource_parity() -> None:
    found: list[str] = []
    compare(VoiceAssistSpec, schema()["properties"]["spec"], "spec", found)
    assert found == []


def test_resource_parity_notices_differences() -> None:
    crd = schema()["properties"]["spec"]
    crd["properties"]["relay"]["properties"]["replicas"]["default"] = 3
    crd["properties"]["audio"]["properties"]["tracks"]["enum"].append("Agent")
    del crd["properties"]["ingress"]["default"]
    crd["properties"]["model"]["properties"]["newField"] = {"type": "string"}
    found: list[str] = []
    compare(VoiceAssistSpec, crd, "spec", found)
    assert [line.split(":")[0] for line in found] == ["spec.ingress", "spec.audio.tracks", "spec.model", "spec.relay.replicas"]


def descriptions(node: dict[str, Any], path: str) -> list[str]:
    missing = []
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}"
        if "description" not in child and not here.startswith(
            (".apiVersion", ".kind", ".metadata", ".status.conditions", ".status.prompt", ".status.relay", ".status.sync")
        ):
            missing.append(here)
        missing += descriptions(child, here)
        missing += descriptions(child.get("items", {}), here + "[]") if "status" not in here else []
    return missing


def test_resource_every_field_says_what_it_is() -> None:
    assert descriptions(schema(), "") == []


@pytest.mark.parametrize("path", ["host", "twilio", "model", "prompt"])
def test_resource_what_is_required_is_required(path: str) -> None:
    assert path in schema()["properties"]["spec"]["required"]


def steps(*pauses: object) -> list[CanaryPause]:
    return [step.pause for step in CanarySpec.model_validate({"steps": [{"weight": 5, "pause": pause} for pause in pauses]}).steps]


def test_resource_a_pause_is_a_time_or_says_more() -> None:
    assert steps("10m", {"duration": "10m"}, {}) == [CanaryPause(duration="10m"), CanaryPause(duration="10m"), CanaryPause()]
    assert steps({"calls": 200, "turns": 3}) == [CanaryPause(calls=200, turns=3)]


@pytest.mark.parametrize("pause", [10, True, "", "10 minutes", ["10m"], {"duraton": "10m"}, {"calls": 0}, {"duration": ""}])
def test_resource_a_pause_that_the_api_server_cannot_judge_is_judged_here(pause: object) -> None:
    with pytest.raises(ValidationError):
        steps(pause)


def test_resource_what_objects_leave_at_its_default_is_there_once_for_all_of_them() -> None:
    spec = {
        "host": "a.example.test",
        "twilio": {"accountSid": f"AC{'0' * 32}", "credentialsSecretRef": {"name": "twilio"}},
        "model": {"apiKeySecretRef": {"name": "model"}},
        "prompt": {"instructions": "Help."},
    }
    one, other = (VoiceAssistSpec.model_validate(spec) for _ in range(2))
    assert one == other
    assert one.rollout is other.rollout
    assert one.model.turn_detection is other.model.turn_detection
