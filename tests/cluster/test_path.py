"""The whole path on a real cluster: chart, object, relay pods, calls through the ingress controller with TLS, suggestions in Sync."""

from __future__ import annotations

import base64
import json
import statistics
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cluster.calling import begin, frames_added, knock, play
from cluster.lab import Lab
from cluster.lab.sandbox import ACCOUNT
from cluster.standing import (
    Sandbox,
    condition,
    events,
    fetch,
    host_of,
    operator_log,
    put,
    relay_pods,
    released,
    sandbox,
    standing,
    starts,
    status_urls,
    tls_secret,
    voiceassist,
    wait_ready,
)
from cluster.waiting import PATIENCE, eventually
from support.load import slowdown
from voiceassist_demo.report import complaints, document

CALLS = 20
EDITS = 20
BOUND_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""How old a new object is before what is only not there yet may be a Warning."""
RECORDINGS = ("lost-parcel.wav", "card-charge.wav", "insurance-deductible.wav")


@pytest.fixture(scope="module")
def release(lab: Lab) -> Iterator[str]:
    """The operator, for every namespace: each test has its objects in its own."""
    with lab.namespace("voiceassist-system") as home, released(lab, home, watch__allNamespaces=True):
        yield home


@pytest.mark.usefixtures("release")
@pytest.mark.timeout(900, func_only=True)
def test_twenty_calls_through_the_ingress(lab: Lab, namespace: str) -> None:
    place = standing(lab, namespace, replicas=2)
    facts = play(lab, place, host_of(namespace), [RECORDINGS[n % len(RECORDINGS)] for n in range(CALLS)])
    report = document(facts, **frames_added(lab, namespace))
    assert "\n".join(complaints(report)) == ""
    assert len(report["calls"]) == CALLS
    for call in report["calls"]:
        assert call["suggestions"], f"call {call['callSid']} has no suggestion in Sync"
        assert all(suggestion["answer"] for suggestion in call["suggestions"])
    frames = sum(call["framesSent"] for call in report["calls"])
    print(f"\n{CALLS} calls at once, {frames} frames, each heard once and in order; {report['totals']}")
    assert_a_start_in_a_handful_of_events(lab, namespace)


def assert_a_start_in_a_handful_of_events(lab: Lab, namespace: str) -> None:
    """What a new object's events tell of its first minute; they come a moment after the condition that they tell of."""
    eventually("the event of its being ready", lambda: "Ready" in {event.reason for event in events(lab, namespace)})
    start = [event for event in events(lab, namespace) if event.seconds < PATIENCE_SECONDS]
    told = "\n".join(f"{event.seconds:.1f} s: {event.type} {event.reason}: {event.note}" for event in start)
    print(told)
    assert [event for event in start if event.type == "Warning"] == [], told
    assert len(start) <= 6, told


def _heard(urls: dict[str, str], pool: ThreadPoolExecutor) -> list[str]:
    return [status["configRevision"] for status in pool.map(fetch, urls.values())]


@pytest.mark.usefixtures("release")
def test_a_prompt_edit_reaches_every_pod_in_time(lab: Lab, namespace: str) -> None:
    place = standing(lab, namespace, replicas=2)
    eventually("two pods", lambda: condition(lab, namespace, "Progressing").get("status") == "False")
    before = starts(relay_pods(lab, namespace))
    urls = status_urls(lab, namespace)
    assert len(urls) == 2
    body = voiceassist(place, replicas=2)
    from_start, from_answer = [], []
    with ThreadPoolExecutor(2) as pool:
        (old,) = set(_heard(urls, pool))
        for edit in range(EDITS):
            body["spec"]["prompt"]["instructions"] = f"Write what the agent can say next, in short sentences. Edition {edit}."
            began = time.monotonic()
            put(lab, body)
            applied = time.monotonic()
            while old in (heard := _heard(urls, pool)) or len(set(heard)) > 1:
                assert time.monotonic() - began < PATIENCE, f"edit {edit}: {heard}\n{operator_log(lab)}"
                time.sleep(0.02)
            done = time.monotonic()
            from_start.append(done - began)
            from_answer.append(done - applied)
            old = heard[0]
    for name, took in (("kubectl apply's start", from_start), ("kubectl apply's end", from_answer)):
        print(f"\nprompt at every pod, from {name}: p50 {statistics.median(took):.2f} s, max {max(took):.2f} s of {EDITS}")
    assert max(from_start) < BOUND_SECONDS * slowdown()
    assert starts(relay_pods(lab, namespace)) == before
    eventually("PromptRolledOut", lambda: condition(lab, namespace, "PromptRolledOut").get("status") == "True")
    status = lab.get("voiceassist", "support", "-n", namespace)["status"]["prompt"]
    assert status["configRevision"] == old
    assert len(status["history"]) == 10


@pytest.mark.usefixtures("release")
@pytest.mark.timeout(900, func_only=True)
def test_scaling_down_takes_idle_pods_first(lab: Lab, namespace: str) -> None:
    place = standing(lab, namespace, replicas=2)
    eventually(
        "two pods", lambda: len(status_urls(lab, namespace)) == 2 and condition(lab, namespace, "Progressing").get("status") == "False"
    )

    def newest() -> str:
        # Without the deletion cost a ReplicaSet prefers the younger pod, or, of about the same age, either.
        def since(pod: dict[str, Any]) -> tuple[str, str]:
            ready = next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")
            return str(ready["lastTransitionTime"]), str(pod["metadata"]["creationTimestamp"])

        return str(max(relay_pods(lab, namespace), key=since)["metadata"]["name"])

    urls = status_urls(lab, namespace)
    wanted = newest()
    for attempt in range(8):
        call = begin(lab, place, host_of(namespace), "lost-parcel.wav", hangUp=None)
        busy = eventually("the call", lambda: [name for name, url in urls.items() if fetch(url)["activeCalls"]])
        if busy == [wanted]:
            break
        fetch(f"{place.twilio}/_sim/calls/{call['callSid']}/complete", {}, method="POST")
        if attempt % 2 == 0:  # a call may take an even number of requests, and with turns taken by two pods come to the same one for ever
            knock(lab, host_of(namespace))
        eventually("the call's end", lambda: not [name for name, url in urls.items() if fetch(url)["activeCalls"]])
    assert busy == [wanted]
    annotation = "controller.kubernetes.io/pod-deletion-cost"

    def cost() -> bool:
        pod = next(one for one in relay_pods(lab, namespace) if one["metadata"]["name"] == wanted)
        return int(pod["metadata"].get("annotations", {}).get(annotation, "0")) > 0

    eventually("the busy pod's cost", cost)
    lab.kubectl("scale", "voiceassist/support", "--replicas=1", "-n", namespace)
    left = eventually("one pod", lambda: pods if len(pods := relay_pods(lab, namespace)) == 1 else None)
    assert left[0]["metadata"]["name"] == wanted
    assert fetch(urls[wanted])["activeCalls"] == 1
    assert lab.get("voiceassist", "support", "-n", namespace)["spec"]["relay"]["replicas"] == 1


def _seen(lab: Lab, namespace: str, kind: str, reason: str, *words: str, seconds: float = PATIENCE) -> dict[str, Any]:
    """Wait for a condition with a reason, whose message says these words to who asks kubectl."""

    def look() -> dict[str, Any] | None:
        found = condition(lab, namespace, kind)
        return found if found.get("reason") == reason else None

    try:
        found = eventually(f"{kind} {reason}", look, seconds)
    except AssertionError as error:
        now = json.dumps(lab.get("voiceassist", "support", "-n", namespace).get("status", {}).get("conditions"), indent=1)
        raise AssertionError(f"{error}\n{now}\n{operator_log(lab)}") from None
    for word in words:
        assert word in found["message"]
    assert reason in lab.kubectl("describe", "voiceassist/support", "-n", namespace)
    return found


@pytest.mark.usefixtures("release")
@pytest.mark.timeout(900, func_only=True)
def test_what_is_wrong_is_told_and_mended(lab: Lab, namespace: str) -> None:
    place = sandbox(lab, namespace, host_of(namespace))
    secrets = {name: lab.get("secret", f"sandbox-{name}", "-n", namespace)["data"] for name in ("twilio", "openai")}
    body = voiceassist(place)
    body["spec"]["twilio"]["credentialsSecretRef"]["name"] = "mine"
    body["spec"]["ingress"]["className"] = "nobody-s"
    lab.apply(tls_secret(lab), namespace=namespace)
    put(lab, body)

    # A Secret that is not there.
    _seen(lab, namespace, "Ready", "SecretNotFound", "Secret mine", "authToken", "create it")
    assert "create it" in lab.kubectl("get", "va", "support", "-n", namespace, "-o", "wide")
    assert relay_pods(lab, namespace) == []

    # A Secret that lacks a key.
    half = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mine", "labels": {"voiceassist.dev/credentials": "true"}},
        "data": {"authToken": secrets["twilio"]["authToken"]},
    }
    lab.apply(half, namespace=namespace)
    _seen(lab, namespace, "Ready", "SecretIncomplete", "apiKeySecret", "apiKeySid")
    lab.apply({**half, "data": secrets["twilio"]}, namespace=namespace)

    # An ingress class that nobody serves.
    _seen(lab, namespace, "EndpointReachable", "PathNotRouted", "404", "ingress.className")
    _seen(lab, namespace, "Ready", "PathNotRouted", "ingress.className")
    body["spec"]["ingress"]["className"] = "traefik"
    pods = starts(relay_pods(lab, namespace))
    put(lab, body)
    wait_ready(lab, namespace)

    # A model key that the model refuses.
    def key(text: str) -> None:
        lab.kubectl("patch", "secret", "sandbox-openai", "-n", namespace, "-p", json.dumps({"stringData": {"apiKey": text}}))

    key("sk-wrong")
    _seen(lab, namespace, "ModelReachable", "ModelRefused", "key")
    _seen(lab, namespace, "Ready", "ModelRefused")
    key("sk-sandbox")
    wait_ready(lab, namespace)
    assert starts(relay_pods(lab, namespace)) == pods, "a pod was restarted or replaced"

    # An image that does not exist: the old pod goes on, the new one says what is wrong.
    body["spec"]["relay"]["image"] = "localhost/no-such-relay:1"
    put(lab, body)
    _seen(lab, namespace, "Degraded", "ImagePullFailed", "no-such-relay", "relay.image")
    assert condition(lab, namespace)["status"] == "True"
    del body["spec"]["relay"]["image"]
    put(lab, body)
    eventually("no trouble left", lambda: condition(lab, namespace, "Degraded").get("status") == "False")
    eventually("the old pod alone", lambda: starts(relay_pods(lab, namespace)) == pods)
    wait_ready(lab, namespace)


class Account:
    """Twilio's side of a namespace, as its administrator sees it."""

    def __init__(self, lab: Lab, place: Sandbox) -> None:
        data = lab.get("secret", "sandbox-twilio", "-n", place.namespace)["data"]
        self._login = base64.b64encode(f"{ACCOUNT}:{base64.b64decode(data['authToken']).decode()}".encode()).decode()
        self._url = place.twilio

    def ask(self, path: str, **form: str) -> Any:
        """A GET, or with a form a POST."""
        data = urllib.parse.urlencode(form).encode() if form else None
        return fetch(f"{self._url}{path}", form=data, headers={"Authorization": f"Basic {self._login}"})

    def made(self) -> list[str]:
        """Names of the Sync services that the operator made."""
        found = self.ask("/sync/v1/Services")["services"]
        return [one["friendly_name"] for one in found if one["friendly_name"].startswith("voiceassist/")]

    def functions(self) -> list[dict[str, Any]]:
        """The Functions services that the operator made, with what runs in them."""
        found: list[dict[str, Any]] = fetch(f"{self._url}/_sim/serverless")["services"]
        return [one for one in found if one["uniqueName"].startswith("voiceassist-")]

    def flex(self) -> dict[str, Any]:
        """Our entries in the Flex configuration."""
        attributes = self.ask("/flex-api/v1/Configuration")["ui_attributes"]
        return dict(attributes.get("custom_data", {}).get("voice_assist", {}).get("instances", {}))


@pytest.mark.usefixtures("release")
@pytest.mark.timeout(900, func_only=True)
def test_all_three_modes_in_turn_with_a_call_up(lab: Lab, namespace: str) -> None:
    """Everything at Twilio comes from the object; the mode changes under a call, which loses nothing; with the object all of it goes."""
    host, key = host_of(namespace), f"{namespace}/support"
    place = sandbox(lab, namespace, host)
    account = Account(lab, place)
    lab.apply(tls_secret(lab), namespace=namespace)
    body = voiceassist(place)
    twilio = body["spec"]["twilio"]
    del twilio["sync"], twilio["flex"]
    put(lab, body)
    wait_ready(lab, namespace)
    [service] = account.made()
    assert service.startswith(f"voiceassist/{key}/")
    eventually("Flex", lambda: account.flex().get(key, {}).get("functionsUrl") == f"https://{host}")
    assert account.flex()[key]["default"] is True
    assert account.functions() == []
    by_hand = account.ask("/serverless/v1/Services", UniqueName="by-hand", FriendlyName="by hand")["sid"]
    environments = f"/serverless/v1/Services/{by_hand}/Environments"
    environment = account.ask(environments, UniqueName="production", DomainSuffix="prod")["sid"]

    def variables() -> dict[str, str]:
        return {one["key"]: one["value"] for one in account.ask(f"{environments}/{environment}/Variables")["variables"]}

    def change() -> None:
        eventually("the call", lambda: any(fetch(url)["activeCalls"] for url in status_urls(lab, namespace).values()))
        twilio["functions"] = {"mode": "Existing", "existing": {"serviceSid": by_hand, "environmentSid": environment}}
        put(lab, body)
        eventually("the variables", lambda: variables().get("STREAM_URL") == f"wss://{host}/ws")
        assert variables()["SYNC_SERVICE_SID"] == lab.get("voiceassist", "support", "-n", namespace)["status"]["sync"]["serviceSid"]
        # Nothing is deployed there, so the plugin is not led to it.
        eventually("a word", lambda: condition(lab, namespace, "FunctionsConfigured").get("reason") == "FunctionsNotFound")
        assert account.flex()[key]["functionsUrl"] == f"https://{host}"
        twilio["functions"] = {"mode": "Serverless"}
        put(lab, body)
        eventually("Flex", lambda: account.flex()[key]["functionsUrl"].endswith(".twil.io"))
        [functions] = account.functions()
        deployed = functions["environments"][0]["deployed"]
        assert sorted(one["path"] for one in deployed["functions"]) == ["/feedback", "/forward", "/stream", "/token"]
        assert deployed["variables"]["STREAM_URL"] == f"wss://{host}/ws"

    report = document(play(lab, place, host, ["lost-parcel.wav"], meanwhile=change), **frames_added(lab, namespace))
    assert "\n".join(complaints(report)) == ""
    assert report["calls"][0]["suggestions"]
    wait_ready(lab, namespace)
    assert account.made() == [service]
    lab.kubectl("delete", "voiceassist", "support", "-n", namespace, "--timeout=300s")
    assert (account.made(), account.functions(), account.flex()) == ([], [], {})
    assert variables()["STREAM_URL"] == f"wss://{host}/ws", "what is the user's stays"
