"""The CRD on a real API server: each rule refuses and accepts, and its message names the way out; defaults; examples; explain."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.lab import CommandError, Lab
from cluster.operator.bench import Cluster
from cluster.waiting import eventually
from voiceassist_crds.resource import VoiceAssistSpec

ROOT = Path(__file__).parents[3]
CRD = ROOT / "crds/voiceassists.voiceassist.dev.yaml"
pytestmark = pytest.mark.timeout(900, func_only=True)

ACCOUNT = "AC" + "0" * 32
ABSENT = object()
EXISTING = {"serviceSid": "ZS" + "0" * 32, "environmentSid": "ZE" + "0" * 32}
MINIMAL: dict[str, Any] = {
    "host": "assist.example.com",
    "twilio": {"accountSid": ACCOUNT, "credentialsSecretRef": {"name": "twilio"}},
    "model": {"apiKeySecretRef": {"name": "model"}},
    "prompt": {"instructions": "You help."},
}
# What is set (a path's parts are joined by dots; ABSENT takes it away), what is right in its place, and words of the message.
RULES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"relay.autoscaling": {"maxReplicas": 1, "targetCallsPerPod": 9}},
        {"relay.autoscaling": {"maxReplicas": 2, "targetCallsPerPod": 9}},
        "more than maxReplicas",
    ),
    (
        {"relay.autoscaling": {"maxReplicas": 4}},
        {"relay.autoscaling": {"maxReplicas": 4, "buffer": {"percent": 20}}},
        "one of targetCallsPerPod and buffer",
    ),
    (
        {"relay.autoscaling": {"maxReplicas": 4, "buffer": {"percent": 20, "calls": 9}}},
        {"relay.autoscaling": {"maxReplicas": 4, "buffer": {"calls": 9}}},
        "one of calls and percent",
    ),
    (
        {"relay.autoscaling": {"maxReplicas": 4, "targetCallsPerPod": 60}},
        {"relay.autoscaling": {"maxReplicas": 4, "targetCallsPerPod": 59}},
        "must be less than relay.maxCallsPerPod",
    ),
    (
        {"relay.autoscaling": {"maxReplicas": 4, "targetCallsPerPod": 9, "scaleDownAfter": "soon"}},
        {"relay.autoscaling": {"maxReplicas": 4, "targetCallsPerPod": 9, "scaleDownAfter": "90s"}},
        "scaleDownAfter in body should match",
    ),
    ({"limits.budget": {"action": "Stop"}}, {"limits.budget": {"perMonth": 7000}}, "give perDay, perMonth or both"),
    ({"limits.budget": {"perDay": 0, "perMonth": 7000}}, {"limits.budget": {"perDay": 9, "perMonth": 7000}}, "perDay"),
    (
        {"rollout.canary.steps": [{"weight": 25}, {"weight": 5}]},
        {"rollout.canary.steps": [{"weight": 5}, {"weight": 5}, {"weight": 25, "pause": {"calls": 200, "turns": 1}}]},
        "a step's weight must not be smaller than the one before",
    ),
    (
        {"rollout.canary.steps": [{"weight": 5, "pause": {"duration": "10 minutes"}}]},
        {"rollout.canary.steps": [{"weight": 5, "pause": {"duration": "1h30m"}}]},
        "steps[0].pause.duration in body should match",
    ),
    ({"rollout.canary.steps": [{"weight": 5, "pause": {"duration": ""}}]}, {}, "pause.duration in body should be at least 1 chars long"),
    (
        {"rollout.canary.steps": [{"weight": 5, "pause": "10 minutes"}]},
        {"rollout.canary.steps": [{"weight": 5, "pause": "10m"}, {"weight": 50, "pause": {"calls": 200}}]},
        "steps[0].pause in body should match",
    ),
    ({"rollout.canary.steps": [{"weight": 5, "pause": ""}]}, {}, "should be at least 1 chars long"),
    ({"rollout.canary.steps": [{"weight": 5, "pause": {"calls": 0}}]}, {}, "greater than or equal to 1"),
    (
        {"rollout.canary.analysis.maxDuration": "a day"},
        {"rollout.canary.analysis.maxDuration": "24h"},
        "analysis.maxDuration must be a time such as 90s, 10m or 24h",
    ),
    (
        {"rollout.canary.analysis.checks": [{"metric": "SchemaRepair", "maxIncrease": 5}]},
        {"rollout.canary.analysis.checks": [{"metric": "TokensPerTurn", "maxIncrease": 5}, {"metric": "TokensPerTurn", "max": 4000}]},
        "max and maxIncrease of this metric are shares, from 0 to 1",
    ),
    (
        {"rollout.canary.analysis.checks": [{"metric": "TurnFailure", "max": 0.1, "maxIncrease": 0.1}]},
        {"rollout.canary.analysis.checks": [{"metric": "TurnFailure", "max": 0.1}, {"metric": "LatencyP95", "maxIncrease": 0}]},
        "give one of max and maxIncrease",
    ),
    ({"rollout.canary.analysis.checks": [{"metric": "TurnFailure"}]}, {}, "give one of max and maxIncrease"),
    ({"host": "https://assist.example.com"}, {"host": "a-1.example.com"}, "without scheme, port or path"),
    ({"host": "Assist.example.com"}, {"host": "assist.example.com"}, "lower case"),
    ({"host": "assist.example.com:8443"}, {"host": "x.y"}, "such as assist.example.com"),
    ({"host": f"{'a' * 64}.example.com"}, {"host": f"{'a' * 63}.{'b' * 63}.com"}, "more than 63 characters between its dots"),
    ({"pathPrefix": "/assist/"}, {"pathPrefix": "/assist/v1"}, "begin with a slash and not end with one"),
    ({"pathPrefix": "assist"}, {"pathPrefix": "/assist"}, "begin with a slash and not end with one"),
    ({"twilio.edge": "dublin"}, {"twilio.edge": "dublin", "twilio.region": "ie1"}, "edge needs region; set both or neither"),
    ({"twilio.accountSid": "AC123"}, {"twilio.accountSid": "AC" + "a" * 32}, "AC followed by 32 hexadecimal digits"),
    ({"twilio.workspaceSid": "WW" + "0" * 32}, {"twilio.workspaceSid": "WS" + "0" * 32}, "WS followed by 32 hexadecimal digits"),
    ({"twilio.sync.serviceSid": "default"}, {"twilio.sync.serviceSid": "IS" + "0" * 32}, "IS followed by 32 hexadecimal digits"),
    (
        {"twilio.functions.mode": "Existing"},
        {"twilio.functions": {"mode": "Existing", "existing": EXISTING}},
        "functions.existing is required for mode Existing; give the serviceSid and environmentSid",
    ),
    (
        {"twilio.functions.existing": EXISTING},
        {"twilio.functions.mode": "Relay"},
        "functions.existing is for mode Existing only; remove it, or set functions.mode to Existing",
    ),
    (
        {"twilio.functions": {"mode": "Serverless", "existing": EXISTING}},
        {"twilio.functions.mode": "Serverless"},
        "is for mode Existing only",
    ),
    (
        {"twilio.functions": {"mode": "Existing", "existing": {**EXISTING, "serviceSid": "default"}}},
        {},
        "functions.existing.serviceSid must be ZS followed by 32 hexadecimal digits",
    ),
    (
        {"twilio.functions": {"mode": "Existing", "existing": {**EXISTING, "environmentSid": "ZS" + "0" * 32}}},
        {},
        "functions.existing.environmentSid must be ZE followed by 32 hexadecimal digits",
    ),
    (
        {"twilio.functions": {"mode": "Existing", "existing": {"serviceSid": "ZS" + "0" * 32}}},
        {},
        "existing.environmentSid: Required value",
    ),
    ({"twilio.functions.mode": "Worker"}, {}, 'supported values: "Relay", "Existing", "Serverless"'),
    (
        {"twilio.functions.allowedOrigins": ["flex.twilio.com"]},
        {"twilio.functions.allowedOrigins": ["*", "http://localhost:3000"]},
        "an origin is a scheme and a host",
    ),
    (
        {"twilio.flex": {"configure": False, "queues": ["Support"]}},
        {"twilio.flex": {"configure": True, "queues": ["Support", "WQ" + "0" * 32]}},
        "remove flex.queues, or let the operator configure Flex",
    ),
    ({"twilio.flex.queues": ["Support", "Support"]}, {"twilio.flex.configure": False}, "Duplicate value"),
    ({"twilio.flex.queues": [""]}, {"twilio.flex.queues": ["x" * 200]}, "should be at least 1 chars long"),
    (
        {"twilio.flex.queues": [str(n) for n in range(101)]},
        {"twilio.flex.queues": [str(n) for n in range(100)]},
        "must have at most 100 items",
    ),
    ({"twilio.apiUrl": "http://sandbox"}, {"twilio.apiUrl": "http://sandbox/{product}"}, "that contains {product}"),
    ({"twilio.apiUrl": "sandbox/{product}"}, {"twilio.apiUrl": "https://{product}.sandbox"}, "must be an http(s) URL"),
    (
        {"model.provider": "AzureOpenAI"},
        {"model.provider": "AzureOpenAI", "model.url": "https://x.openai.azure.com"},
        "model.url is required for providers AzureOpenAI and Compatible",
    ),
    (
        {"model.url": "ws://models"},
        {"model.url": "ws://models", "model.provider": "Compatible"},
        "plain ws:// is for provider Compatible inside the cluster",
    ),
    ({"model.url": "wss://models/v1?x=1"}, {"model.url": "wss://models/v1"}, "without a query"),
    (
        {"model.turnDetection.eagerness": "Low"},
        {"model.turnDetection": {"type": "SemanticVAD", "eagerness": "Low"}},
        "is for type SemanticVAD",
    ),
    (
        {"model.turnDetection": {"type": "SemanticVAD", "silenceDurationMs": 500}},
        {"model.turnDetection": {"type": "ServerVAD", "silenceDurationMs": 500}},
        "are for type ServerVAD",
    ),
    (
        {"model.turnDetection": {"type": "SemanticVAD", "eager": {}}},
        {"model.turnDetection": {"type": "SemanticVAD", "eagerness": "High"}},
        "eager is for type ServerVAD",
    ),
    (
        {"model.turnDetection": {"silenceDurationMs": 150, "eager": {}}},
        {"model.turnDetection": {"silenceDurationMs": 300, "eager": {}}},
        "eager.silenceMs must be below silenceDurationMs",
    ),
    ({"prompt": {}}, {"prompt": {"instructions": "x"}}, "exactly one of prompt.instructions and prompt.instructionsFrom"),
    (
        {"prompt.instructionsFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}},
        {"prompt": {"instructionsFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}},
        "exactly one of prompt.instructions and prompt.instructionsFrom",
    ),
    ({"relay.podLabels": {"voiceassist.dev/name": "x"}}, {"relay.podLabels": {"team": "x"}}, "those are the operator's"),
    ({"relay.podLabels": {"app.kubernetes.io/name": "x"}}, {}, "podLabels must not begin with"),
    ({"relay.podAnnotations": {"voiceassist.dev/x": "x"}}, {"relay.podAnnotations": {"example.com/x": "x"}}, "those are the operator's"),
    (
        {"model.headers": [{"name": "x-portkey-provider"}]},
        {"model.headers": [{"name": "x-portkey-provider", "value": "openai"}]},
        "give each of model.headers exactly one of value and valueFrom",
    ),
    (
        {"model.headers": [{"name": "Authorization", "value": "Bearer x"}]},
        {"model.headers": [{"name": "X-Team", "valueFrom": {"secretKeyRef": {"name": "model", "key": "team"}}}]},
        "model.headers cannot have a header that the relay sends itself",
    ),
    (
        {"model.query": {"intent": "transcription"}},
        {"model.query": {"guardrails": "pii"}},
        "model.query takes plain names, and neither model nor intent nor deployment",
    ),
    # Bounds, enumerations and what is required: the API server's own messages.
    ({"host": ABSENT}, {}, "spec.host: Required value"),
    ({"model.apiKeySecretRef": ABSENT}, {}, "spec.model.apiKeySecretRef: Required value"),
    ({"twilio.credentialsSecretRef": ABSENT}, {}, "spec.twilio.credentialsSecretRef: Required value"),
    ({"prompt.instructions": "x" * 32769}, {"prompt.instructions": "\u20ac" * 32768}, "32768"),
    ({"relay.replicas": -1}, {"relay.replicas": 0}, "greater than or equal to 0"),
    ({"relay.drainTimeoutSeconds": 14401}, {"relay.drainTimeoutSeconds": 14400}, "less than or equal to 14400"),
    ({"audio.tracks": "Agent"}, {"audio.tracks": "Customer"}, 'supported values: "Both", "Customer"'),
    ({"model.truncation.retentionRatio": 0}, {"model.truncation.retentionRatio": 0.001}, "should be greater than 0"),
    ({"rollout.canary.steps": []}, {"rollout.canary.steps": [{"weight": 100}]}, "should have at least 1 items"),
    ({"rollout.canary.steps": [{"weight": 0}]}, {"rollout.canary.steps": [{"weight": 1}]}, "greater than or equal to 1"),
    ({"monitoring.interval": "fast"}, {"monitoring.interval": "1m"}, "interval"),
]


def spec(changes: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = made
        for part in parents:
            place = place.setdefault(part, {})
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    return made


def create(lab: Lab, body: dict[str, Any], namespace: str, *, dry: bool = True, name: str = "x") -> dict[str, Any]:
    document = {"apiVersion": "voiceassist.dev/v1alpha1", "kind": "VoiceAssist", "metadata": {"name": name}, "spec": body}
    options = ["--dry-run=server"] if dry else []
    text = lab.kubectl("create", "-n", namespace, "--validate=strict", "-o", "json", *options, "-f", "-", stdin=json.dumps(document))
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def answers(plane: Lab) -> dict[str, str]:
    """What the API server says to each row of the table: "created", or why not; by "wrong-<number>" and "right-<number>"."""
    items = [
        {"apiVersion": "voiceassist.dev/v1alpha1", "kind": "VoiceAssist", "metadata": {"name": f"{kind}-{number}"}, "spec": spec(changes)}
        for number, (wrong, right, _) in enumerate(RULES)
        for kind, changes in (("wrong", wrong), ("right", right))
    ]
    document = "\n---\n".join(map(json.dumps, items))  # a List would be validated by kubectl, in other words
    options = ("--dry-run=server", "--validate=strict", "-o", "name", "-n", "default")
    with pytest.raises(CommandError) as refused:
        plane.kubectl("create", *options, "-f", "-", stdin=document)
    created = {line.rpartition("/")[2]: "created" for line in refused.value.stdout.split()}
    # One refusal after the other; what each says may be of several lines.
    parts = re.split(r"(?m)^(?=Error from server|The VoiceAssist )", refused.value.stderr)
    return created | {found[0]: part for part in parts if (found := re.search(r"\b(?:wrong|right)-[0-9]+\b", part))}


@pytest.mark.parametrize("number", range(len(RULES)), ids=[f"{next(iter(rule[0]))}-{number}" for number, rule in enumerate(RULES)])
def test_a_rule_refuses_and_accepts(answers: dict[str, str], number: int) -> None:
    assert RULES[number][2] in answers[f"wrong-{number}"]
    assert answers[f"right-{number}"] == "created"


def test_every_rule_of_the_crd_is_in_the_table() -> None:
    rules = re.findall(r'message: "(.+)"', CRD.read_text())
    assert len(rules) > 15
    others = ("cannot be changed", "metadata.name")
    unseen = [message for message in rules if not any(words in message for words in (*(words for *_, words in RULES), *others))]
    assert unseen == []


def test_the_account_cannot_be_changed(plane: Lab, cluster: Cluster) -> None:
    create(plane, MINIMAL, cluster.namespace, dry=False)

    def change(account: str) -> None:
        patch = json.dumps({"spec": {"twilio": {"accountSid": account}}})
        plane.kubectl("patch", "va", "x", "-n", cluster.namespace, "--type=merge", "-p", patch)

    with pytest.raises(CommandError, match="create another VoiceAssist for the other account"):
        change("AC" + "1" * 32)
    change(ACCOUNT)


def test_names_that_cannot_be_are_refused(plane: Lab, cluster: Cluster) -> None:
    """An object that was there before the rule can be changed, and loses its finalizer when it is deleted."""
    with pytest.raises(CommandError, match=r"metadata\.name must begin with a letter"):
        create(plane, MINIMAL, "default", name="1st-line")
    create(plane, MINIMAL, "default", name="st.1-line")
    strict = yaml.safe_load(CRD.read_text())
    older = copy.deepcopy(strict)
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["x-kubernetes-validations"], schema["properties"]["spec"]["properties"]["host"]["x-kubernetes-validations"]
    long = {**MINIMAL, "host": f"{'a' * 64}.example.com"}
    whose = ("-n", cluster.namespace)

    def created() -> bool:
        try:
            create(plane, long, cluster.namespace, dry=False, name="1st-line")
        except CommandError:
            return False
        return True

    def refused() -> bool:
        try:
            create(plane, MINIMAL, "default", name="2nd-line")
        except CommandError:
            return True
        return False

    def patch(spec: dict[str, Any]) -> None:
        plane.kubectl("patch", "va", "1st-line", *whose, "--type=merge", "-p", json.dumps(spec))

    try:
        plane.kubectl("replace", "-f", "-", stdin=json.dumps(older))
        eventually("an object of the time before the rule", created)
    finally:
        plane.kubectl("replace", "-f", "-", stdin=json.dumps(strict))
    eventually("the rule", refused)
    for change in ({"metadata": {"finalizers": ["example.com/x"]}}, {"spec": {"paused": True}}):
        patch(change)
    with pytest.raises(CommandError, match="63 characters"):
        patch({"spec": {"host": f"{'b' * 64}.example.com"}})
    plane.kubectl("delete", "va", "1st-line", *whose, "--wait=false")
    plane.kubectl("patch", "va", "1st-line", *whose, "--type=merge", "-p", json.dumps({"metadata": {"finalizers": None}}))
    assert plane.kubectl("get", "va", *whose, "-o", "name").strip() == ""


def test_a_long_name_is_refused(plane: Lab) -> None:
    with pytest.raises(CommandError, match="52"):
        create(plane, MINIMAL, "default", name="x" * 53)
    create(plane, MINIMAL, "default", name="x" * 52)


def test_defaults_are_those_of_the_mirror(plane: Lab) -> None:
    made = create(plane, MINIMAL, "default")["spec"]
    assert VoiceAssistSpec.read(made) == VoiceAssistSpec.read(MINIMAL)
    mirrored = VoiceAssistSpec.read(MINIMAL).model_dump(mode="json", by_alias=True, exclude_none=True)

    def differences(server: Any, mirror: Any, path: str) -> list[str]:
        if isinstance(server, dict) and isinstance(mirror, dict):
            empty = {key for key, value in mirror.items() if value in ({}, []) and key not in server}
            found = [f"{path}.{key}" for key in set(server) ^ (set(mirror) - empty)]
            return found + [line for key in set(server) & set(mirror) for line in differences(server[key], mirror[key], f"{path}.{key}")]
        return [] if server == mirror else [path]

    assert differences(made, mirrored, "spec") == []


def examples() -> list[Path]:
    return sorted(path for path in (ROOT / "examples").glob("*.yaml") if "kind: VoiceAssist\n" in path.read_text())


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.name)
def test_examples_apply(plane: Lab, cluster: Cluster, path: Path) -> None:
    mine = [body for body in yaml.safe_load_all(path.read_text()) if body and body["kind"] == "VoiceAssist"]
    assert mine
    for body in mine:
        body["metadata"].pop("namespace", None)
        plane.kubectl("apply", "-n", cluster.namespace, "--validate=strict", "-f", "-", stdin=json.dumps(body))


def test_it_is_found_by_its_short_name_and_category(plane: Lab, cluster: Cluster) -> None:
    create(plane, MINIMAL, cluster.namespace, dry=False)
    assert "voiceassist.voiceassist.dev/x" in plane.kubectl("get", "all", "-n", cluster.namespace, "-o", "name")
    assert plane.kubectl("get", "va", "-n", cluster.namespace, "-o", "name").strip() == "voiceassist.voiceassist.dev/x"


@pytest.mark.parametrize("path", ["spec", "spec.model.turnDetection", "spec.prompt.instructionsFrom.configMapKeyRef", "status.prompt"])
def test_explain_says_what_fields_are(plane: Lab, path: str) -> None:
    text = plane.kubectl("explain", f"voiceassists.{path}")
    assert "<no description>" not in text
