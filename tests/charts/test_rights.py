"""The chart gives the operator the rights that the rows of its kinds name: no fewer, no more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest

from charts.chart import objects, one
from voiceassist_operator.kubernetes.kinds import KINDS

Rights = dict[tuple[str, str], set[str]]


def granted(role: dict[str, Any]) -> Rights:
    rights: Rights = defaultdict(set)
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                rights[group, resource] |= set(rule["verbs"])
    return dict(rights)


def named(pairs: Iterable[tuple[tuple[str, str], tuple[str, ...]]]) -> Rights:
    return {resource: set(verbs) for resource, verbs in pairs if verbs}


IN_WATCHED = named(
    [
        *(((kind.group, kind.plural), kind.rights) for kind in KINDS),
        *(((kind.group, f"{kind.plural}/{part}"), verbs) for kind in KINDS for part, verbs in kind.subresources),
    ]
)
IN_OWN = named(((kind.group, kind.plural), kind.own_rights) for kind in KINDS)


@pytest.mark.parametrize(("watch", "role"), [({}, "Role"), ({"namespace": "calls"}, "Role"), ({"allNamespaces": True}, "ClusterRole")])
def test_rights_are_those_of_the_kinds(watch: dict[str, Any], role: str) -> None:
    found = objects({"watch": watch})
    others = ("-lease", "-view", "-edit")
    roles = [each for each in found if each["kind"] in {"Role", "ClusterRole"} and not each["metadata"]["name"].endswith(others)]
    assert [each["kind"] for each in roles] == [role]
    assert granted(roles[0]) == IN_WATCHED
    assert granted(one(found, "Role", "-lease")) == IN_OWN


def test_what_is_watched_may_be_listed_and_watched() -> None:
    for kind in KINDS:
        assert ({"list", "watch"} <= set(kind.rights)) == bool(kind.watched), kind.name


def test_what_is_owned_may_be_made_and_what_is_removable_deleted() -> None:
    for kind in KINDS:
        assert not kind.owned or {"list", "create", "patch"} <= set(kind.rights), kind.name
        assert not kind.removable or (kind.owned and "delete" in kind.rights), kind.name
