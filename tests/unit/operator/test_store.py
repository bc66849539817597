"""What is known of the cluster: the newest of each object, whoever told it; what is no change of ours to mend wakes nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voiceassist_operator.kubernetes import store as store_module
from voiceassist_operator.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, POD, SECRET, SERVICE, VOICEASSIST, Kind, Ref
from voiceassist_operator.kubernetes.secrets import RELEASED
from voiceassist_operator.kubernetes.store import Store, mark_of, newer

LABELS = {"app.kubernetes.io/managed-by": "voiceassist-operator", "voiceassist.dev/name": "support"}


def made(name: str, version: str, labels: dict[str, str] = LABELS, **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "n", "name": name, "uid": f"uid-{name}", "resourceVersion": version, "labels": labels}
    owners = [{"uid": "uid-1"}]
    return {"metadata": {**metadata, "ownerReferences": owners, **more.pop("metadata", {})}, **more}


def versions(store: Store, kind: Kind = SERVICE) -> dict[str, str]:
    return {one.name: entry.version for one, entry in store.of("n", "support").items() if one.kind is kind}


def test_store_an_answer_of_ours_is_not_undone_by_a_late_event() -> None:
    store = Store()
    shelf = store.shelf(SERVICE)
    assert shelf.take(made("a", "9"))
    assert store.take(made("a", "10"), SERVICE), "as a number, not as a text"
    assert not shelf.take(made("a", "10")), "the event of our own write is no news"
    assert not shelf.take(made("a", "9"))
    assert not shelf.drop(made("a", "8")), "it was made anew since"
    assert versions(store) == {"a": "10"}
    assert shelf.drop(made("a", "11"))
    assert not shelf.drop(made("a", "11"))
    assert versions(store) == {}


def test_store_a_listing_heals_what_no_event_told() -> None:
    store = Store()
    shelf = store.shelf(SERVICE)
    for name in ("gone", "changed", "same", "younger"):
        shelf.take(made(name, "5"))
    shelf.begin_listing()
    assert [shelf.take(made(*one), listed=True) for one in (("changed", "7"), ("same", "5"))] == [True, False]
    store.take(made("younger", "9"), SERVICE)
    store.take(made("new", "9"), SERVICE)
    assert shelf.end_listing() == [("n", "gone")]
    assert versions(store) == {"changed": "7", "same": "5", "younger": "9", "new": "9"}


def test_store_a_cluster_that_was_restored_from_a_copy_is_believed_by_a_listing() -> None:
    store = Store()
    shelf = store.shelf(SERVICE)
    shelf.take(made("a", "900"))
    assert not shelf.take(made("a", "5"))
    shelf.begin_listing()
    assert shelf.take(made("a", "5"), listed=True)
    assert versions(store) == {"a": "5"}


def test_store_a_late_answer_of_ours_brings_nothing_back() -> None:
    store = Store()
    shelf = store.shelf(SERVICE)
    shelf.take(made("known", "10"))
    assert shelf.drop(made("known", "12"))
    assert not shelf.drop(made("unknown", "12"))
    for name in ("known", "unknown"):
        assert not store.take(made(name, "11"), SERVICE)
    assert versions(store) == {}
    assert store.take(made("known", "13"), SERVICE), "made anew"
    store.forget(Ref(SERVICE, "known"), "n")
    assert not shelf.take(made("known", "13")), "an event of before we deleted it"
    assert versions(store) == {}


def test_store_what_was_deleted_is_there_again_if_a_listing_has_it() -> None:
    store = Store()
    shelf = store.shelf(SERVICE)
    shelf.drop(made("a", "12"))
    shelf.drop(made("b", "12"))
    shelf.begin_listing()
    shelf.drop(made("c", "12"))
    assert not shelf.take(made("c", "11"), listed=True), "deleted since the listing began"
    assert shelf.take(made("a", "5"), listed=True)
    shelf.end_listing()
    assert versions(store) == {"a": "5"}
    assert not shelf.take(made("c", "11"))
    assert shelf.take(made("b", "11")), "not remembered for longer than until the next listing"


def test_store_so_many_deletions_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_GONE", 2)
    shelf = Store().shelf(SERVICE)
    for name in ("a", "b", "c"):
        shelf.drop(made(name, "12"))
    assert [shelf.take(made(name, "11")) for name in ("c", "b", "a")] == [False, False, True]
    for number in range(9):
        shelf.drop(made(f"other-{number}", "12", {}))
    assert not shelf.take(made("c", "11")), "others' objects take no room"


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"status": {"readyReplicas": 2}}, False),
        ({"metadata": {"resourceVersion": "8"}}, False),
        ({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}}, False),
        ({"metadata": {"managedFields": [{"manager": "kubelet"}]}}, False),
        ({"metadata": {"generation": 2}}, True),
        ({"metadata": {"labels": {**LABELS, "app": "x"}}}, True),
        ({"metadata": {"annotations": {"a": "b"}}}, True),
        ({"metadata": {"ownerReferences": []}}, True),
        ({"metadata": {"uid": "another"}}, True),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, True),
    ],
)
def test_store_a_mark_changes_with_what_is_ours_to_mend(change: dict[str, Any], seen: bool) -> None:
    before = made("a", "7", metadata={"generation": 1})
    after = {**before, **change, "metadata": {**before["metadata"], **change.get("metadata", {})}}
    assert (mark_of(before) != mark_of(after)) is seen


def test_store_a_kind_without_generations_is_marked_by_its_version() -> None:
    assert mark_of(made("a", "7")) != mark_of(made("a", "8"))


def test_store_of_secrets_and_others_config_maps_the_version_alone_is_kept() -> None:
    store = Store()
    for kind in (SECRET, CONFIG_MAP):
        store.take(made("a", "7", {"voiceassist.dev/name": "support"}, data={"k": "not-to-be-kept"}), kind)
        assert "not-to-be-kept" not in repr(store.entry(kind, "a", "n"))
        assert store.entry(kind, "a", "n").version == "7"  # type: ignore[union-attr]
    assert store.of("n", "support") == {}


def test_store_a_secret_is_known_as_long_as_one_selection_has_it() -> None:
    store = Store()
    by_label, by_type = (store.shelf(SECRET, selection) for selection in RELEASED)
    by_label.take(made("a", "7"))
    by_type.take(made("a", "7"))
    by_label.drop(made("a", "8"))
    assert store.entry(SECRET, "a", "n") is not None
    by_type.drop(made("a", "9"))
    assert store.entry(SECRET, "a", "n") is None


def test_store_of_a_pod_and_a_deployment_what_is_used_is_kept() -> None:
    store = Store()
    containers = [{"name": "relay", "image": "x", "restartCount": 2, "state": {"waiting": {"reason": "Crash"}}}]
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]
    status = {"podIP": "10.0.0.1", "phase": "Running", "conditions": conditions, "containerStatuses": containers, "qosClass": "x"}
    store.take(made("pod", "7", spec={"containers": [{}]}, status=status), POD)
    pod = store.of("n", "support")[Ref(POD, "pod")].item
    assert pod is not None and "spec" not in pod and pod["status"]["podIP"] == "10.0.0.1"
    assert [one["type"] for one in pod["status"]["conditions"]] == ["Ready"]
    assert pod["status"]["containerStatuses"] == [{"restartCount": 2, "state": {"waiting": {"reason": "Crash"}}}]
    store.take(made("relay", "7", spec={"replicas": 3, "template": {}}, status={"readyReplicas": 1}), DEPLOYMENT)
    deployment = store.of("n", "support")[Ref(DEPLOYMENT, "relay")].item
    assert deployment is not None and deployment["spec"] == {"replicas": 3} and deployment["status"] == {"readyReplicas": 1}


def test_store_of_a_voiceassist_the_prompts_writers_stay_and_its_copy_goes() -> None:
    managed = [
        {
            "manager": "kubectl",
            "time": "t",
            "operation": "Apply",
            "fieldsV1": {"f:spec": {"f:prompt": {"f:instructions": {}}, "f:host": {}}},
        },
        {"manager": "voiceassist-operator", "fieldsV1": {"f:status": {}}},
    ]
    annotations = {"f:metadata": {"f:annotations": {"f:voiceassist.dev/promote": {}}, "f:labels": {}}}
    managed.append({"manager": "a-person", "time": "t", "fieldsV1": annotations})
    copy = {"kubectl.kubernetes.io/last-applied-configuration": "long", "voiceassist.dev/change-cause": "why"}
    store = Store()
    store.take(made("support", "7", metadata={"managedFields": managed, "annotations": copy}, spec={"host": "x"}), VOICEASSIST)
    entry = store.entry(VOICEASSIST, "support", "n")
    assert entry is not None and entry.item is not None
    assert entry.item["spec"] == {"host": "x"}
    assert entry.item["metadata"]["annotations"] == {"voiceassist.dev/change-cause": "why"}
    assert [one["manager"] for one in entry.item["metadata"]["managedFields"]] == ["kubectl", "a-person"]
    assert entry.item["metadata"]["managedFields"][1]["fieldsV1"] == {"f:metadata": {"f:annotations": {"f:voiceassist.dev/promote": {}}}}


def test_store_of_many_objects_names_of_fields_and_what_is_alike_are_there_once() -> None:
    conditions = {"conditions": [{"type": "Ready", "status": "True", "message": "all relays are ready", "at": "noon"}]}
    shelf = Store().shelf(VOICEASSIST)
    for name in ("a", "b"):  # each by JSON of its own, as answers come
        shelf.take(json.loads(json.dumps(made(name, "5", spec={"host": f"{name}.example.test"}, status=conditions))))
    one, other = (held.entry.item for held in shelf.held.values())
    assert one is not None
    assert other is not None
    assert (one["spec"], other["spec"]) == ({"host": "a.example.test"}, {"host": "b.example.test"})
    first, second = one["status"]["conditions"][0], other["status"]["conditions"][0]
    assert first == second == conditions["conditions"][0]
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert first["message"] is second["message"]


@pytest.mark.parametrize(
    ("one", "other", "is_newer"), [("10", "9", True), ("9", "10", False), ("9", "9", False), ("b", "a", True), ("", "9", True)]
)
def test_store_versions(one: str, other: str, is_newer: bool) -> None:
    assert newer(one, other) is is_newer
