"""Specs that the CRD accepts, made from its own schema, for hypothesis: a small one with some of its parts replaced."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hypothesis import strategies as st

from unit.operator.making import TWILIO
from voiceassist_operator.policy import crd_rules

CRD = yaml.safe_load((Path(__file__).resolve().parents[3] / "crds/voiceassists.voiceassist.dev.yaml").read_text())
[_VERSION] = CRD["spec"]["versions"]
OBJECT = _VERSION["schema"]["openAPIV3Schema"]
SCHEMA: Mapping[str, Any] = OBJECT["properties"]["spec"]
SMALL: dict[str, Any] = {
    "host": "assist.example.com",
    "twilio": {**TWILIO, "flex": {"configure": False}},
    "model": {"apiKeySecretRef": {"name": "model"}},
    "prompt": {"instructions": "You help."},
}
Field = tuple[str, ...]
FIXED: frozenset[Field] = frozenset({("twilio", "accountSid")})
"""What cannot be changed."""
SECRETS, TEXTS = ("twilio", "model", "missing"), ("texts", "absent")
_NAME = re.compile(r"^\s*self(?:\.all\(\w+, \w+)?\.matches\('(.*?)'\)(?: &&.*)?$")
_SECRET = st.sampled_from(SECRETS)
GIVEN: Mapping[Field, st.SearchStrategy[Any]] = {
    ("host",): st.sampled_from(["assist.example.com", "b.example.com", "a-1.example.org"]),
    ("twilio", "credentialsSecretRef", "name"): _SECRET,
    ("twilio", "functions", "allowedOrigins", "[]"): st.sampled_from(["*", "https://flex.twilio.com", "http://localhost:3000"]),
    ("twilio", "apiUrl"): st.sampled_from(["http://sandbox/{product}", "https://{product}.sandbox"]),
    ("relay", "autoscaling"): st.builds(
        lambda low, more, calls, after: {"minReplicas": low, "maxReplicas": low + more, **calls, "scaleDownAfter": after},
        st.integers(1, 4),
        st.integers(0, 5),
        st.sampled_from([{"targetCallsPerPod": 9}, {"buffer": {"calls": 90}}, {"buffer": {"percent": 30}}]),
        st.sampled_from(["90s", "5m", "1h"]),
    ),
    ("model", "headers", "[]"): st.builds(
        lambda name, value: {"name": name, **value},
        st.sampled_from(["X-Team", "x-portkey-provider"]),
        st.sampled_from([{"value": "a"}, {"valueFrom": {"secretKeyRef": {"name": "model", "key": "apiKey"}}}]),
    ),
    ("model", "apiKeySecretRef"): st.sampled_from([{"name": name, "key": key} for name in SECRETS for key in ("apiKey", "other")]),
    ("model", "url"): st.sampled_from(
        ["ws://models", "wss://models.example.com/v1", "https://models.example.com", "http://models:8000/v1"]
    ),
    ("prompt", "instructionsFrom", "configMapKeyRef"): st.builds(
        lambda name, key: {"name": name, "key": key}, st.sampled_from(TEXTS), st.sampled_from(["prompt", "empty", "authorities"])
    ),
    ("network", "caBundle", "configMapKeyRef"): st.builds(
        lambda name, key: {"name": name, "key": key}, st.sampled_from(TEXTS), st.sampled_from(["prompt", "authorities"])
    ),
    ("rollout", "canary", "steps", "[]", "pause"): st.sampled_from(["10m", "1h30m", {"duration": "90s"}, {"calls": 7}, {"turns": 3}, {}]),
    ("relay", "resources"): st.sampled_from([{}, {"limits": {"memory": "1Gi"}}, {"requests": {"cpu": 1}}]),
    ("relay", "affinity"): st.sampled_from([{}, {"podAntiAffinity": {}}]),
    ("relay", "tolerations", "[]"): st.sampled_from([{"key": "a", "operator": "Exists"}, {}]),
    ("relay", "topologySpreadConstraints", "[]"): st.sampled_from(
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]
    ),
}
"""What the schema says less of than what is meant, or what a rule lets through too seldom."""
WITH_IT: Mapping[Field, tuple[Field, Any]] = {
    ("twilio", "edge"): (("twilio", "region"), "ie1"),
    ("twilio", "flex", "queues"): (("twilio", "flex", "configure"), True),
    ("twilio", "functions", "existing"): (("twilio", "functions", "mode"), "Existing"),
    ("model", "provider"): (("model", "url"), "wss://models.example.com/v1"),
    ("model", "turnDetection", "eagerness"): (("model", "turnDetection", "type"), "SemanticVAD"),
}
"""What a field cannot be without."""


def paths(schema: Mapping[str, Any] = SCHEMA, path: Field = ()) -> Iterator[tuple[Field, Mapping[str, Any]]]:
    """All fields, with their schemas; what is in lists is not among them."""
    for name, part in (schema.get("properties") or {}).items():
        if (*path, name) not in FIXED:
            yield (*path, name), part
            if (*path, name) not in GIVEN:
                yield from paths(part, (*path, name))


def values(schema: Mapping[str, Any], path: Field) -> st.SearchStrategy[Any]:
    """What a field may hold, but for rules that look at others."""
    if path in GIVEN:
        return GIVEN[path]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if kind == "number":
        low, high = float(schema["minimum"]), float(schema["maximum"])
        return st.floats(low, high, exclude_min=bool(schema.get("exclusiveMinimum")), allow_nan=False).map(
            lambda value: round(value, 4) or high
        )
    if kind == "array":
        few = min(3, schema.get("maxItems", 3))
        keys = schema.get("x-kubernetes-list-map-keys", [])
        unique = (lambda one: tuple(one[key].lower() for key in keys)) if keys else repr
        return st.lists(values(schema["items"], (*path, "[]")), min_size=schema.get("minItems", 0), max_size=few, unique_by=unique)
    if kind == "object":
        return _objects(schema, path)
    assert kind == "string", path
    return _texts(schema)


def _objects(schema: Mapping[str, Any], path: Field) -> st.SearchStrategy[dict[str, Any]]:
    if "additionalProperties" in schema:
        return st.dictionaries(
            st.from_regex(r"[a-z]{1,8}", fullmatch=True), values(schema["additionalProperties"], (*path, "{}")), max_size=3
        )
    parts = {name: values(part, (*path, name)) for name, part in (schema.get("properties") or {}).items() if (*path, name) not in FIXED}
    required = set(schema.get("required") or [])
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in required},
        optional={name: part for name, part in parts.items() if name not in required},
    )


def _texts(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    rules = [found[1] for rule in schema.get("x-kubernetes-validations") or [] if (found := _NAME.match(rule["rule"]))]
    low, high = schema.get("minLength", 0), schema.get("maxLength", 100)
    if patterns := [schema["pattern"]] if "pattern" in schema else rules:
        made = st.from_regex(re.compile(patterns[0], re.ASCII), fullmatch=True)
        return made.filter(lambda text: low <= len(text) <= high and "\n" not in text)
    return st.text("aZ0 -./é\n\"'{}", min_size=low, max_size=min(high, max(low, 12)))


def _with(spec: Mapping[str, Any], path: Field, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(dict(spec))
    place = made
    for part in path[:-1]:
        place = place.setdefault(part, {})
    if path[0] == "prompt" and len(path) > 1:
        place.clear()  # one of its fields stands alone
    place[path[-1]] = copy.deepcopy(value)
    return made


def stored(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with its defaults, as the API server stores it."""
    made = copy.deepcopy(dict(spec))
    crd_rules._set_defaults(made, SCHEMA)
    return made


PLACES = list(paths())
_holds, _told = crd_rules._holds, dict[tuple[str, str], bool]()


def _remembered(rule: str, value: Any) -> bool:
    key = (rule, json.dumps(value, sort_keys=True))
    if key not in _told:
        _told[key] = _holds(rule, value)
    return _told[key]


def accepted(spec: Mapping[str, Any]) -> bool:
    """Whether the CRD accepts a spec. What a rule says of a value is remembered, as CEL in Python is slow."""
    with mock.patch.object(crd_rules, "_holds", _remembered):
        return not crd_rules.problems({"metadata": {"name": "support"}, "spec": spec}, CRD)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A spec that the CRD accepts: each part that it would refuse is left as it was."""
    spec = SMALL
    for _ in range(draw(st.integers(3, 9))):
        path, schema = draw(st.sampled_from(PLACES))
        changed = _with(spec, path, draw(values(schema, path)))
        if path in WITH_IT:
            changed = _with(changed, *WITH_IT[path])
        if path == ("twilio",):
            changed["twilio"]["accountSid"] = SMALL["twilio"]["accountSid"]
        if accepted(changed):
            spec = changed
    return stored(spec)
