"""Facts for the tables: a VoiceAssist that is well, to be changed by each row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_crds.status import PeerStatus, RelayStatus
from voiceassist_operator.policy.observed import DeploymentFact, Endpoint, EndpointFact, Observed, PodFact, PromptFact, SecretFact
from voiceassist_operator.policy.relay_config import relay_config
from voiceassist_operator.policy.resources.metadata import Owner

ACCOUNT, SYNC = "AC" + "0" * 32, "IS" + "0" * 32
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"
WELL = PeerStatus(ok=True, since=1.0)

TWILIO: dict[str, Any] = {"accountSid": ACCOUNT, "credentialsSecretRef": {"name": "twilio"}, "sync": {"serviceSid": SYNC}}


def spec(**changes: Any) -> VoiceAssistSpec:
    base: dict[str, Any] = {
        "host": "assist.example.com",
        "twilio": TWILIO,
        "model": {"apiKeySecretRef": {"name": "model"}},
        "prompt": {"instructions": "You help."},
    }
    return VoiceAssistSpec.read({**base, **changes})


def owner(name: str = "support", **changes: Any) -> Owner:
    return Owner("team", name, "uid-1", spec(**changes), "registry.example/relay:1")


def config(seen: Observed) -> RelayConfig:
    one = seen.owner
    return relay_config(one.namespace, one.name, one.spec, seen.prompt.instructions or "", one.spec.twilio.sync.service_sid or "")


def status(revision: str, **changes: Any) -> RelayStatus:
    base = RelayStatus(
        version="1",
        pod="",
        config_revision=revision,
        prompt_revisions={},
        active_calls=0,
        max_calls=60,
        draining=False,
        ready=True,
        model=WELL,
        sync=WELL,
    )
    return base.model_copy(update=changes)


def well(**changes: Any) -> Observed:
    """Two relays that report the configuration in force; nothing is missing."""
    made = owner(**changes)
    seen = Observed(
        owner=made,
        generation=3,
        credentials=SecretFact("twilio", True, frozenset({"authToken", "apiKeySid", "apiKeySecret"}), "11"),
        model_key=SecretFact("model", True, frozenset({"apiKey"}), "12"),
        prompt=PromptFact("You help.", manager="kubectl", cause="first"),
        deployment=DeploymentFact(2, 2, 2, 2, True),
        endpoint=EndpointFact(Endpoint.OK),
    )
    revision = config(seen).config_revision
    return replace(seen, pods=tuple(PodFact(f"pod-{n}", f"10.0.0.{n}", ready=True, begun=True, status=status(revision)) for n in (1, 2)))


def pods(seen: Observed, *changes: dict[str, Any]) -> Observed:
    """The same, with the first pods changed; `status` changes of what they report."""
    made = list(seen.pods)
    for number, change in enumerate(changes):
        told = change.pop("told", None)
        made[number] = replace(made[number], **change)
        if told is not None:
            made[number] = replace(made[number], status=status(config(seen).config_revision, **told))
    return replace(seen, pods=tuple(made))
