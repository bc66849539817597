"""The plan: what is written for an object, what is taken away, what pods are told, the history, and when a status is worth writing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.operator.making import LATER, NOW, TWILIO, config, owner, pods, status, well
from voiceassist_crds.config import PromptModel
from voiceassist_crds.names import PRIVATE_PORT
from voiceassist_operator.controller.apply import replacing
from voiceassist_operator.kubernetes.kinds import (
    BACKEND_CONFIG,
    CONFIG_MAP,
    HTTP_ROUTE,
    INGRESS,
    OPTIONAL,
    POD_MONITOR,
    SERVICE,
    Kind,
    Ref,
    ref,
)
from voiceassist_operator.policy.allowed import OPEN
from voiceassist_operator.policy.observed import CaBundleFact, Observed, Orders, PromptFact, SecretFact
from voiceassist_operator.policy.ownership import named_as_before, needed_kinds
from voiceassist_operator.policy.plan import Plan, make_plan
from voiceassist_operator.policy.relay_config import relay_config
from voiceassist_operator.policy.resources.config_map import KeptPrompt
from voiceassist_operator.policy.resources.deployment import grace_seconds
from voiceassist_operator.policy.resources.metadata import MAX_NAME, Installation, Owner, history_name, label_value, relay_name
from voiceassist_operator.policy.rollout import DELETION_COST, HISTORY, ORDERS_KEPT, SCRAPE
from voiceassist_operator.policy.status import status_with, unreadable, worth_writing


def made(plan: Plan, kind: str) -> dict[str, Any]:
    found = [manifest for manifest in plan.apply if manifest["kind"] == kind]
    return found[0]


def kinds(plan: Plan) -> list[str]:
    return [manifest["kind"] for manifest in plan.apply]


BASE = ["ServiceAccount", "ConfigMap", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget"]


@pytest.mark.parametrize(
    ("changes", "known", "more"),
    [
        ({}, [], ["Ingress"]),
        ({}, [POD_MONITOR, HTTP_ROUTE, BACKEND_CONFIG], ["Ingress", "PodMonitor"]),
        ({"monitoring": {"podMonitor": False}}, [POD_MONITOR], ["Ingress"]),
        ({"ingress": {"enabled": False}}, [], []),
        ({"relay": {"networkPolicy": {"enabled": True}}}, [], ["Ingress", "NetworkPolicy"]),
        ({"httpRoute": {"parentRefs": [{"name": "public"}]}}, [HTTP_ROUTE], ["Ingress", "HTTPRoute"]),
        ({"httpRoute": {"parentRefs": [{"name": "public"}]}, "ingress": {"enabled": False}}, [HTTP_ROUTE], ["HTTPRoute"]),
        ({"httpRoute": {"parentRefs": [{"name": "public"}]}}, [], ["Ingress"]),
        ({"ingress": {"flavour": "GKE"}}, [BACKEND_CONFIG], ["Ingress", "BackendConfig"]),
        ({"ingress": {"flavour": "GKE"}}, [], ["Ingress"]),
    ],
)
def test_plan_what_is_made(changes: dict[str, Any], known: list[Kind], more: list[str]) -> None:
    plan = make_plan(replace(well(**changes), optional_kinds=frozenset(known)), NOW)
    assert kinds(plan) == [*BASE, *more]
    for manifest in plan.apply:
        [reference] = manifest["metadata"]["ownerReferences"]
        assert (reference["uid"], reference["controller"]) == ("uid-1", True)
        assert manifest["metadata"]["labels"]["voiceassist.dev/name"] == "support"
        assert manifest["metadata"]["namespace"] == "team"


def test_plan_a_pod_monitor_alone_bears_the_labels_that_a_prometheus_wants_and_ours_stand() -> None:
    wanted = {"release": "prometheus", "voiceassist.dev/name": "another"}
    plan = make_plan(replace(well(), optional_kinds=frozenset([POD_MONITOR]), pod_monitor_labels=wanted), NOW)
    labels = {manifest["kind"]: manifest["metadata"]["labels"] for manifest in plan.apply}
    assert labels["PodMonitor"] == {"release": "prometheus", **labels["Service"]}
    assert labels["Service"]["voiceassist.dev/name"] == "support"


@pytest.mark.parametrize(
    "seen",
    [
        replace(well(), credentials=SecretFact("twilio")),
        replace(well(), conflicting="a/b"),
        replace(well(), prompt=PromptFact("")),
        replace(well(), owner=owner(paused=True)),
    ],
    ids=["secret", "conflicting", "invalid", "paused"],
)
def test_plan_nothing_is_written_while_something_stands_against_it(seen: Observed) -> None:
    known = {"currentRevision": "before", "history": []}
    plan = make_plan(replace(seen, status={"prompt": known}, existing={Ref(INGRESS, "old"): "1"}), NOW)
    assert (plan.apply, plan.delete, plan.pods, plan.rolling) == ([], [], [], False)
    assert plan.status["prompt"] == known


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"network": {"proxy": {"url": "http://[Da7]/"}}}, "network.proxy.url"),
        ({"network": {"proxy": {"url": "http://proxy:99999"}}}, "network.proxy.url"),
        ({"model": {"provider": "Compatible", "url": "ws://models:99999/v1", "apiKeySecretRef": {"name": "model"}}}, "model.url"),
        ({"model": {"provider": "Compatible", "url": "ws://[models", "apiKeySecretRef": {"name": "model"}}}, "model.url"),
        ({"twilio": {**TWILIO, "apiUrl": "https://{product}:0"}}, "twilio.apiUrl"),
    ],
)
def test_plan_an_address_that_cannot_be_is_said(changes: dict[str, Any], field: str) -> None:
    """The CRD's patterns let these through."""
    seen = replace(well(), owner=owner(**changes), custom_endpoints=True, installation=Installation(custom_network=True))
    [ready] = [one for one in make_plan(seen, NOW).status["conditions"] if one["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert ready["message"].startswith(f"{field}: no address")


@pytest.mark.parametrize("changes", [{"paused": True}, {"network": {"caBundle": {"configMapKeyRef": {"name": "absent", "key": "x"}}}}])
def test_plan_a_canary_that_cannot_be_written_does_not_begin_again_and_again(changes: dict[str, Any]) -> None:
    """Its beginning is in the configuration's revision, which conditions name: the status would be written with each look."""
    status = {"prompt": {"currentRevision": "0123456789"}}
    seen = replace(well(**changes, rollout={"strategy": "Canary"}), kept_prompts={"0123456789": KeptPrompt("It helped.")}, status=status)
    seen = replace(seen, ca_bundle=CaBundleFact(problem="there is nothing") if "network" in changes else CaBundleFact())
    first = make_plan(seen, NOW).status
    assert make_plan(replace(seen, status=first), LATER).status == first


def test_plan_only_what_can_become_unwanted_is_taken_away() -> None:
    others = {Ref(INGRESS, "old"): "1", Ref(SERVICE, "old"): "1", Ref(CONFIG_MAP, "old"): "2"}
    plan = make_plan(replace(well(), existing={**others, Ref(CONFIG_MAP, "support-relay"): "3"}), NOW)
    assert plan.delete == [Ref(CONFIG_MAP, "old"), Ref(INGRESS, "old")]


def test_plan_the_pods_are_restricted_and_know_no_api() -> None:
    pod = made(make_plan(well(), NOW), "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == "registry.example/relay:1"
    assert container["ports"][1] == {"name": "private", "containerPort": PRIVATE_PORT, "protocol": "TCP"}
    assert all("subPath" not in mount for mount in container["volumeMounts"])
    assert pod["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"
    [preferred] = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["labelSelector"] == {"matchLabels": owner().selector}


def test_plan_a_models_secret_header_is_a_file_beside_its_key() -> None:
    headers = [
        {"name": "x-portkey-provider", "value": "openai"},
        {"name": "X-Portkey-Config", "valueFrom": {"secretKeyRef": {"name": "portkey", "key": "config"}}},
    ]
    seen = well(model={"apiKeySecretRef": {"name": "model"}, "headers": headers})
    (volume,) = [one for one in made(make_plan(seen, NOW), "Deployment")["spec"]["template"]["spec"]["volumes"] if "sources" in str(one)]
    sources = [one["secret"] for one in volume["projected"]["sources"] if one["secret"]["name"] == "portkey"]
    items = [{"key": "config", "path": "model-header-x-portkey-config"}]
    assert sources == [{"name": "portkey", "items": items, "optional": True}]


def test_plan_where_the_platform_chooses_users_none_is_named() -> None:
    free = make_plan(replace(well(), owner=replace(owner(), any_user_id=True)), NOW)
    context = made(free, "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_plan_new_pods_come_before_old_ones_leave_and_calls_may_end() -> None:
    spec = made(make_plan(well(relay={"drainTimeoutSeconds": 600}), NOW), "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 650
    assert grace_seconds(owner(relay={"drainTimeoutSeconds": 0})) == 50


def test_plan_a_prompt_does_not_touch_the_deployment() -> None:
    first, second = make_plan(well(), NOW), make_plan(replace(well(), prompt=PromptFact("Other.")), NOW)
    assert made(first, "Deployment") == made(second, "Deployment")
    assert made(first, "ConfigMap") != made(second, "ConfigMap")


def test_plan_the_private_port_is_in_no_service_and_no_ingress() -> None:
    plan = make_plan(well(pathPrefix="/assist"), NOW)
    assert [port["targetPort"] for port in made(plan, "Service")["spec"]["ports"]] == ["public"]
    [path] = made(plan, "Ingress")["spec"]["rules"][0]["http"]["paths"]
    assert (path["path"], path["backend"]["service"]["port"]) == ("/assist", {"name": "http"})


def test_plan_annotations_of_the_object_win_over_ours() -> None:
    mine = {"nginx.ingress.kubernetes.io/proxy-read-timeout": "7", "example.com/x": "y"}
    found = made(make_plan(replace(well(ingress={"annotations": mine}), allowed=OPEN), NOW), "Ingress")["metadata"]["annotations"]
    assert mine.items() <= found.items()
    assert found["nginx.ingress.kubernetes.io/proxy-send-timeout"] == "3600"


def test_plan_pods_are_told_what_is_new_and_their_price() -> None:
    known = replace(well(), optional_kinds=frozenset(OPTIONAL))
    seen = pods(known, {"told": {"active_calls": 4}}, {"terminating": True})
    [patch] = make_plan(seen, NOW).pods
    revision = config(seen).config_revision
    told = {"voiceassist.dev/config-revision": revision, "voiceassist.dev/secrets-version": "11.12", DELETION_COST: "4"}
    assert (patch.pod, patch.annotations) == ("pod-1", told)
    again = pods(seen, {"annotations": told})
    assert make_plan(again, NOW).pods == []
    rotated = replace(again, model_key=replace(again.model_key, version="13"))
    assert make_plan(rotated, NOW).pods[0].annotations == {"voiceassist.dev/secrets-version": "11.13"}


def scraped(seen: Observed, **bears: str) -> dict[str, str | None]:
    """What is put on a relay pod that bears these annotations, of those by which it is scraped; the same on one that drains."""
    both = pods(seen, {"annotations": bears}, {"annotations": bears, "terminating": True})
    told = [{key: value for key, value in patch.annotations.items() if key in SCRAPE} for patch in make_plan(both, NOW).pods]
    assert len(told) < 2 or told[0] == told[1]
    return told[0]


def test_plan_a_relay_is_scraped_by_a_pod_monitor_or_by_annotations_and_never_by_both() -> None:
    unknown, known = well(), replace(well(), optional_kinds=frozenset(OPTIONAL))
    assert scraped(unknown) == SCRAPE
    assert scraped(known) == {}
    assert scraped(known, **SCRAPE) == dict.fromkeys(SCRAPE), "PodMonitors have become known: there is one now"
    assert ["PodMonitor" in kinds(make_plan(one, NOW)) for one in (unknown, known)] == [False, True]
    assert scraped(replace(known, owner=owner(monitoring={"podMonitor": False}))) == SCRAPE
    by_hand = {"prometheus.io/scrape": "false"}
    mine = replace(known, owner=owner(relay={"podAnnotations": by_hand}))
    assert "prometheus.io/scrape" not in scraped(mine, **SCRAPE), "the user's own"
    undecided = replace(unknown, undecided_kinds=frozenset(OPTIONAL))
    assert (scraped(undecided), scraped(undecided, **SCRAPE)) == ({}, {}), "nothing is known yet"


def test_plan_no_relay_is_replaced_because_pod_monitors_come_or_go() -> None:
    templates = [
        made(make_plan(replace(well(), optional_kinds=known), NOW), "Deployment")["spec"]["template"]
        for known in (frozenset[Kind](), frozenset(OPTIONAL))
    ]
    assert templates[0] == templates[1]
    assert not SCRAPE.keys() & templates[0]["metadata"]["annotations"].keys()


@pytest.mark.parametrize(
    ("told", "rolling"), [({}, False), ({"config_revision": "old"}, True), ({"active_calls": 3}, False)], ids=["same", "old", "busy"]
)
def test_plan_rolling(told: dict[str, Any], rolling: bool) -> None:
    assert make_plan(pods(well(), {"told": told}), NOW).rolling is rolling


def test_plan_history_is_the_last_ten_the_newest_first() -> None:
    seen, revisions = well(), []
    for number in range(HISTORY + 2):
        prompt = PromptFact(f"Text {number}.", manager="m" * 300, cause=f"cause {number}")
        plan = make_plan(replace(seen, prompt=prompt), f"2026-01-01T00:00:{number:02}Z")
        seen = replace(seen, status=plan.status)
        revisions.insert(0, plan.status["prompt"]["currentRevision"])
    history = seen.status["prompt"]["history"]
    assert [entry["revision"] for entry in history] == revisions[:HISTORY]
    assert history[0]["time"] == "2026-01-01T00:00:11Z"
    assert (history[0]["cause"], len(history[0]["manager"])) == ("cause 11", 200)
    same = make_plan(replace(seen, prompt=PromptFact("Text 11.", cause="another")), LATER)
    assert same.status["prompt"]["history"] == history, "a revision that stays is no new entry"
    back = make_plan(replace(seen, prompt=PromptFact("Text 5.")), LATER).status["prompt"]["history"]
    assert len(back) == HISTORY
    assert [entry["revision"] for entry in back].count(back[0]["revision"]) == 1
    kept = {Ref(CONFIG_MAP, entry["configMap"]): "1" for entry in history}
    gone = Ref(CONFIG_MAP, history_name("support", revisions[-1]))
    assert make_plan(replace(seen, prompt=PromptFact("Text 11."), existing={**kept, gone: "1"}), LATER).delete == [gone]


def tried(seen: Observed) -> tuple[Observed, str, str]:
    """A canary of "Another text." beside what was in force, with nothing kept; gives both revisions, the stable one first."""
    stable = make_plan(seen, NOW).status["prompt"]["currentRevision"]
    seen = replace(seen, status=make_plan(seen, NOW).status, prompt=PromptFact("Another text."))
    plan = make_plan(replace(seen, kept_prompts={stable: KeptPrompt("You help.")}), NOW)
    return replace(seen, status=plan.status), stable, plan.status["prompt"]["canaryRevision"]


def test_plan_a_kept_prompt_that_was_deleted_is_written_again_from_what_calls_have() -> None:
    seen, stable, _ = tried(well(rollout={"strategy": "Canary"}))
    plan = make_plan(replace(seen, kept_prompts={stable: KeptPrompt("You help.", PromptModel(name="one"))}), LATER)
    written = [one for one in plan.apply if one["metadata"]["name"].endswith(f"-prompt-{stable}")]
    assert [one["data"] for one in written] == [{"instructions": "You help."}]
    assert not plan.decided


def test_plan_a_prompt_whose_text_is_nowhere_is_told_and_the_one_before_it_is_in_force() -> None:
    seen, stable, canary = tried(well(rollout={"strategy": "Canary"}))
    before = {"revision": "0123456789", "time": NOW}
    prompt = seen.status["prompt"]
    seen = replace(seen, status={**seen.status, "prompt": {**prompt, "history": [*prompt["history"], before]}})
    plan = make_plan(replace(seen, kept_prompts={"0123456789": KeptPrompt("It helped.")}), LATER)
    assert (plan.status["prompt"]["currentRevision"], plan.status["prompt"]["canaryRevision"]) == ("0123456789", canary)
    assert [(one.reason, one.warning) for one in plan.news] == [("PromptLost", True)]
    assert f"the text of prompt {stable}, which was in force, is kept nowhere any more" in plan.news[0].text
    assert plan.config is not None
    assert [one.instructions for one in plan.config.prompts] == ["It helped.", "Another text."]
    nothing = make_plan(seen, LATER)
    assert (nothing.status["prompt"]["currentRevision"], "canaryRevision" in nothing.status["prompt"]) == (canary, False)
    assert nothing.news[0].reason == "PromptLost"
    assert "kept nowhere any more" in nothing.status["prompt"]["history"][0]["decision"]


def test_plan_history_says_who_asked_for_what_and_why() -> None:
    seen = replace(well(), orders=Orders(hold=True, by={"hold": "ann: lunch"}))
    seen = replace(seen, status=make_plan(replace(seen, orders=Orders()), NOW).status)
    held = make_plan(seen, LATER).status
    assert held["prompt"]["history"][0]["orders"] == [{"order": "pause", "time": LATER, "by": "ann: lunch"}]
    again = make_plan(replace(seen, status=held), "2026-01-01T00:00:59Z").status
    assert again["prompt"] == held["prompt"], "it is told once"
    for number in range(ORDERS_KEPT):
        held = make_plan(replace(seen, status=held, orders=Orders(hold=bool(number % 2))), LATER).status
    assert len(held["prompt"]["history"][0]["orders"]) == ORDERS_KEPT
    assert held["prompt"]["history"][0]["orders"][0]["order"] == "resume"


@pytest.mark.parametrize(
    ("old", "new", "since", "worth"),
    [
        ({"relay": {"activeCalls": 1}}, {"relay": {"activeCalls": 1}}, 1e9, False),
        ({"relay": {"activeCalls": 1}}, {"relay": {"activeCalls": 2}}, 29.9, False),
        ({"relay": {"activeCalls": 1}}, {"relay": {"activeCalls": 2}}, 30.0, True),
        ({"relay": {"activeCalls": 1}}, {"relay": {"activeCalls": 2, "readyReplicas": 1}}, 0.0, True),
        ({}, {"relay": {"activeCalls": 0}}, 0.0, False),
        ({}, {"relay": {"activeCalls": 0}, "conditions": []}, 0.0, True),
    ],
)
def test_plan_worth_writing(old: dict[str, Any], new: dict[str, Any], since: float, worth: bool) -> None:
    assert worth_writing(old, new, since) is worth


def test_plan_calls_of_draining_pods_count() -> None:
    seen = pods(well(), {"told": {"active_calls": 2}}, {"terminating": True, "told": {"active_calls": 3}})
    relay = make_plan(seen, NOW).status["relay"]
    assert (relay["activeCalls"], relay["replicas"], relay["readyReplicas"]) == (5, 1, 1)


def test_plan_calls_that_are_being_moved_are_shown_while_there_are_any() -> None:
    seen = pods(well(), {"told": {"active_calls": 2}}, {"terminating": True, "told": {"active_calls": 3, "moving_calls": 3}})
    assert make_plan(seen, NOW).status["relay"]["movingCalls"] == 3
    assert "movingCalls" not in make_plan(well(), NOW).status["relay"]


def test_plan_an_object_that_cannot_be_read_keeps_what_is_known() -> None:
    known = make_plan(well(), NOW).status
    said = status_with(known, unreadable(["spec.host: missing"]), 4, LATER)
    assert said["prompt"] == known["prompt"]
    assert (said["conditions"][0]["reason"], said["conditions"][0]["message"]) == ("InvalidSpec", "spec.host: missing")
    assert len(said["conditions"]) == len(known["conditions"])


NAMES = ["a", "support", "a.b.c", "x" * 52, "y" * 40 + "." + "z" * 11]


@pytest.mark.parametrize("name", NAMES)
def test_plan_names_are_within_limits(name: str) -> None:
    plan = make_plan(replace(well(), owner=owner(name)), NOW)
    for manifest in plan.apply:
        assert len(manifest["metadata"]["name"]) <= MAX_NAME
        assert "." not in manifest["metadata"]["name"]
        assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())
    assert len({ref(manifest) for manifest in plan.apply}) == len(plan.apply)


ALIKE = [("acme.support", "acme-support"), ("team.a", "team-a"), ("x.y-z", "x-y.z"), (f"{'n' * 50}.a", f"{'n' * 50}-a")]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_plan_names_that_look_alike_make_objects_of_different_names(one: str, other: str) -> None:
    plans = [make_plan(replace(well(), owner=owner(name), optional_kinds=frozenset(OPTIONAL)), NOW) for name in (one, other)]
    first, second = ({ref(manifest) for manifest in plan.apply} for plan in plans)
    assert not first & second


def test_plan_an_object_keeps_the_names_that_version_0_1_gave_it() -> None:
    name = "acme.support"
    assert named_as_before(name, [Ref(SERVICE, "acme-support-relay")])
    assert not named_as_before(name, [Ref(SERVICE, relay_name(name))])
    assert not named_as_before("support", [Ref(SERVICE, "support-relay")]), "a name that did not change"
    kept = make_plan(replace(well(), owner=replace(owner(name), named_as_before=True)), NOW)
    assert {manifest["metadata"]["name"].partition("-prompt")[0] for manifest in kept.apply} == {"acme-support-relay", "acme-support"}
    assert kept.status["prompt"]["history"][0]["configMap"].startswith("acme-support-prompt-")


@pytest.mark.parametrize("known", [OPTIONAL, ()])
@pytest.mark.parametrize(
    "changes",
    [
        {"ingress": {"flavour": "GKE"}},
        {"ingress": {"enabled": False}, "monitoring": {"podMonitor": False}, "httpRoute": {"parentRefs": [{"name": "gateway"}]}},
        {"relay": {"networkPolicy": {"enabled": True}}},
    ],
)
def test_plan_all_names_that_are_needed_are_looked_at_beforehand(changes: dict[str, Any], known: tuple[Kind, ...]) -> None:
    seen = replace(well(**changes), optional_kinds=frozenset(known))
    needed = {Ref(kind, seen.owner.relay) for kind in needed_kinds(seen.owner, seen.optional_kinds)}
    assert needed == {ref(manifest) for manifest in make_plan(seen, NOW).apply if "-prompt-" not in manifest["metadata"]["name"]}


def test_plan_names_differ_where_objects_differ() -> None:
    long = [f"{'x' * 60}{number}" for number in range(3)]
    for make in (relay_name, label_value, lambda name: history_name(name, "0123456789")):
        assert len({make(name) for name in long}) == 3
        assert make(long[0]) == make(long[0])


def test_plan_the_relays_configuration_has_what_the_spec_says() -> None:
    one: Owner = owner(
        pathPrefix="/a",
        audio={"tracks": "Customer"},
        rollout={"applyTo": "AllCalls"},
        relay={"maxCallsPerPod": 7, "drainTimeoutSeconds": 60},
        privacy={"transcripts": "Off"},
        model={"apiKeySecretRef": {"name": "model"}, "transcription": {"enabled": False, "language": "zh-TW"}, "maxOutputTokens": 99},
    )
    found = relay_config(one.namespace, one.name, one.spec, "Help.", "IS" + "1" * 32)
    assert found.origin == "assist.example.com/a"
    assert (found.limits.max_calls, found.limits.drain_timeout_seconds) == (7, 60)
    assert (found.audio.tracks, found.rollout.apply_to, found.privacy.transcripts) == ("Customer", "AllCalls", "Off")
    assert (found.model.transcription, found.model.language, found.model.max_output_tokens) == (None, "zh-TW", 99)
    assert found.twilio.sync_service_sid == "IS" + "1" * 32
    assert [(prompt.instructions, prompt.weight) for prompt in found.prompts] == [("Help.", 100)]
    assert status(found.config_revision).config_revision == found.config_revision


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": None}),
        ({"f": {"sid": "ZS1", "retireAt": "then"}}, {"f": {"sid": "ZS1"}}, {"f": {"sid": "ZS1", "retireAt": None}}),
        ({"f": {"x": {"y": 1}}}, {"f": {"x": {"z": 2}}}, {"f": {"x": {"y": None, "z": 2}}}),
        ({"list": [{"a": 1}]}, {"list": [{"b": 1}]}, {"list": [{"b": 1}]}),
        ({"f": {"sid": "ZS1"}}, {"f": 3}, {"f": 3}),
        ({"f": {"sid": "ZS1"}}, {}, {"f": None}),
    ],
)
def test_plan_a_status_is_replaced_at_every_depth(old: dict[str, Any], new: dict[str, Any], patch: dict[str, Any]) -> None:
    assert replacing(old, new) == patch
