"""Whether an object is as it was applied: by the fields that the API server says are ours, in the forms that it has for them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from voiceassist_operator.kubernetes.applied import APPLIED_ANNOTATION, all_ours, digest, fields_of, marked

MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "namespace": "n", "labels": {"app": "x"}, "ownerReferences": [{"uid": "1", "name": "o"}]},
    "spec": {
        "replicas": 2,
        "args": ["a", "b"],
        "containers": [{"name": "relay", "ports": [{"containerPort": 80}], "empty": {}}],
        "finalizers": ["one"],
        "nothing": None,
    },
}
FIELDS: dict[str, Any] = {
    "f:metadata": {
        "f:annotations": {f"f:{APPLIED_ANNOTATION}": {}},
        "f:labels": {"f:app": {}},
        "f:ownerReferences": {'k:{"uid":"1"}': {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:args": {},
        "f:containers": {
            'k:{"name":"relay"}': {
                ".": {},
                "f:name": {},
                "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                "f:empty": {},
            }
        },
        "f:finalizers": {'v:"one"': {}},
    },
}
PATHS: list[tuple[str, ...]] = [
    ("f:metadata",),
    ("f:metadata", "f:annotations", f"f:{APPLIED_ANNOTATION}"),
    ("f:metadata", "f:labels", "f:app"),
    ("f:metadata", "f:ownerReferences", 'k:{"uid":"1"}'),
    ("f:spec", "f:replicas"),
    ("f:spec", "f:args"),
    ("f:spec", "f:containers", 'k:{"name":"relay"}'),
    ("f:spec", "f:containers", 'k:{"name":"relay"}', "f:empty"),
    ("f:spec", "f:containers", 'k:{"name":"relay"}', "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:containerPort"),
    ("f:spec", "f:finalizers", 'v:"one"'),
]


def without(path: tuple[str, ...]) -> dict[str, Any]:
    """Somebody else has taken a field over; what keeps no field is not named at all, or by a dot."""
    fields = copy.deepcopy(FIELDS)
    place = fields
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    place.setdefault(".", {})
    return fields


def test_applied_what_is_all_ours_is_as_it_was_applied() -> None:
    assert all_ours(FIELDS, marked(MANIFEST))
    assert not all_ours({}, marked(MANIFEST)), "no word of it"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[-1])
def test_applied_a_field_that_is_not_ours_any_more_is_seen(path: tuple[str, ...]) -> None:
    assert not all_ours(without(path), marked(MANIFEST))


def test_applied_a_field_that_we_want_and_never_applied_is_seen() -> None:
    assert not all_ours(FIELDS, marked({**MANIFEST, "spec": {**MANIFEST["spec"], "paused": False}}))


def test_applied_our_fields_are_those_that_we_applied() -> None:
    entries = [
        {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:a": {}}},
        {"manager": "voiceassist-operator", "operation": "Update", "fieldsV1": {"f:b": {}}},
        {"manager": "voiceassist-operator", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:c": {}}},
        {"manager": "voiceassist-operator", "operation": "Apply", "fieldsV1": {"f:d": {}}},
    ]
    assert fields_of({"managedFields": entries}) == {"f:d": {}}
    assert fields_of({"managedFields": entries[:3]}) == fields_of({}) == {}


def test_applied_the_annotation_says_what_the_rest_is() -> None:
    assert marked(MANIFEST)["metadata"]["annotations"] == {APPLIED_ANNOTATION: digest(MANIFEST)}
    assert digest(MANIFEST) != digest({**MANIFEST, "spec": {}})
    assert APPLIED_ANNOTATION not in str(MANIFEST), "the manifest itself is left as it is"
