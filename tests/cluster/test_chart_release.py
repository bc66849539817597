"""The chart in the hands of the real helm command: installed, upgraded, rolled back, uninstalled, installed again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.calling import frames_added, play
from cluster.lab import Lab
from cluster.lab.errors import CommandError
from cluster.lab.sandbox import authority_secret
from cluster.standing import CHART, VALUES, fetch, host_of, relay_pods, released, standing, starts, status_urls, wait_ready
from cluster.waiting import eventually
from voiceassist_demo.report import complaints, document

KIND = "customresourcedefinition/voiceassists.voiceassist.dev"


def _helm(lab: Lab, command: str, namespace: str, *more: str) -> str:
    given = () if command in {"rollback", "uninstall"} else (str(CHART), "--values", str(VALUES), "--set=endpoint.caSecret=endpoint-ca")
    return lab.helm(command, "voiceassist", *given, "-n", namespace, "--wait", "--timeout=300s", *more)


def _operator(lab: Lab, namespace: str) -> list[dict[str, Any]]:
    selector = "app.kubernetes.io/name=voiceassist-operator"
    pods = lab.get("pods", "-n", namespace, "-l", selector)["items"]
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _arguments(lab: Lab, namespace: str) -> list[str]:
    """The one operator's arguments; nothing while there are two."""
    pods = _operator(lab, namespace)
    return list(pods[0]["spec"]["containers"][0]["args"]) if len(pods) == 1 else []


@pytest.mark.timeout(900, func_only=True)
def test_a_release_s_life(lab: Lab, namespace: str) -> None:
    lab.apply(authority_secret(lab), namespace=namespace)
    notes = _helm(lab, "install", namespace, "--take-ownership", "--force-conflicts")
    assert "wait --for=condition=Ready voiceassist/support" in notes
    crd = lab.get(KIND)["metadata"]["uid"]
    place = standing(lab, namespace)
    pods = starts(relay_pods(lab, namespace))

    _helm(lab, "upgrade", namespace, "--set=logLevel=debug")
    assert "--log-level=debug" in eventually(
        "one operator", lambda: _arguments(lab, namespace) if len(_operator(lab, namespace)) == 1 else []
    )
    _helm(lab, "rollback", namespace)
    assert "--log-level=info" in eventually(
        "one operator", lambda: _arguments(lab, namespace) if len(_operator(lab, namespace)) == 1 else []
    )
    wait_ready(lab, namespace)
    with pytest.raises(CommandError, match="logLevel"):
        _helm(lab, "upgrade", namespace, "--set=logLevel=loud")

    _helm(lab, "uninstall", namespace)
    eventually("no operator", lambda: not _operator(lab, namespace))
    assert lab.get(KIND)["metadata"]["uid"] == crd
    facts = play(lab, place, host_of(namespace), ["card-charge.wav"])
    assert complaints(document(facts, **frames_added(lab, namespace))) == [], "relays go on serving without an operator"
    assert starts(relay_pods(lab, namespace)) == pods

    _helm(lab, "install", namespace)
    (url,) = status_urls(lab, namespace).values()
    old = fetch(url)["configRevision"]
    text = json.dumps({"spec": {"prompt": {"instructions": "Write one short sentence."}}})
    lab.kubectl("patch", "voiceassist", "support", "-n", namespace, "--type=merge", "-p", text)
    eventually("the new prompt", lambda: fetch(url)["configRevision"] != old)
    assert starts(relay_pods(lab, namespace)) == pods, "an operator that comes back takes over what is there"

    # Uninstalled with an object left: nothing lets go of it, until its finalizers are taken away as docs/install.md says.
    _helm(lab, "uninstall", namespace)
    eventually("no operator", lambda: not _operator(lab, namespace))
    lab.kubectl("delete", "voiceassist", "support", "-n", namespace, "--wait=false")
    assert "deletionTimestamp" in lab.get("voiceassist", "support", "-n", namespace)["metadata"]
    removal = '[{"op": "remove", "path": "/metadata/finalizers"}]'
    lab.kubectl("patch", "voiceassist", "support", "-n", namespace, "--type=json", "--patch", removal)
    eventually(
        "nothing left",
        lambda: not lab.get("deployments,configmaps,services,ingresses", "-n", namespace, "-l", "voiceassist.dev/name=support")["items"],
        60,
    )
    eventually("no relay", lambda: not relay_pods(lab, namespace))


@pytest.mark.timeout(900, func_only=True)
def test_a_second_release_in_another_namespace(lab: Lab, namespace: str) -> None:
    body = {
        "apiVersion": "voiceassist.dev/v1alpha1",
        "kind": "VoiceAssist",
        "metadata": {"name": "support"},
        "spec": {
            "host": "second.voiceassist.test",
            "twilio": {"accountSid": "AC" + "0" * 32, "credentialsSecretRef": {"name": "twilio"}, "sync": {"serviceSid": "IS" + "0" * 32}},
            "model": {"apiKeySecretRef": {"name": "model"}},
            "prompt": {"instructions": "Write what the agent can say next."},
        },
    }

    def told(where: str) -> bool:
        conditions = lab.get("voiceassist", "support", "-n", where).get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["reason"] == "SecretNotFound" for one in conditions)

    with lab.namespace("second-release") as second, released(lab, namespace), released(lab, second, crds__install=False):
        manifest = lab.helm("get", "manifest", "voiceassist", "-n", second)
        assert "CustomResourceDefinition" not in manifest
        assert "ClusterRole" not in manifest
        for number, where in enumerate((namespace, second)):
            body["spec"]["host"] = f"second-{number}.voiceassist.test"  # type: ignore[index]
            lab.apply(body, namespace=where)
        for where in (namespace, second):
            eventually(f"a word of the operator of {where}", lambda where=where: told(where))
        lab.helm("uninstall", "voiceassist", "-n", second, "--wait")
        assert lab.get(KIND)["status"]["conditions"]
        assert told(namespace)
        lab.kubectl("patch", "voiceassist", "support", "-n", second, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
