"""What all objects of a VoiceAssist have in common: names, labels, owner."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from voiceassist_crds import names
from voiceassist_crds.resource import VoiceAssistSpec

from ...kubernetes.kinds import LABEL_APP, LABEL_MANAGED_BY, LABEL_NAME, MANAGER, RELAY_APP, VOICEASSIST, Kind, Manifest

CONFIG_ANNOTATION = f"{names.GROUP}/config-revision"
SECRETS_ANNOTATION = f"{names.GROUP}/secrets-version"
CAUSE_ANNOTATION = f"{names.GROUP}/change-cause"
PROMOTE_ANNOTATION = f"{names.GROUP}/promote"
ABORT_ANNOTATION = f"{names.GROUP}/abort"
RETRY_ANNOTATION = f"{names.GROUP}/retry-revision"
HOLD_ANNOTATION = f"{names.GROUP}/hold-rollout"
REASON_ANNOTATION = f"{names.GROUP}/rollout-reason"
PLUGIN_MANAGER = "kubectl-voiceassist"
"""The field manager by which our plugin of kubectl writes them."""
"""Who asks for one of those before, and why; for the history."""
MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class Installation:
    """What holds for every object of this operator."""

    namespace: str = "voiceassist"
    """Where the operator runs."""
    metrics_namespaces: tuple[str, ...] = ()
    """Where Prometheus runs."""
    custom_network: bool = False
    """Whether an object may say how its relays reach the outside."""
    proxy: str | None = None
    no_proxy: tuple[str, ...] = ()
    ca_bundle: str = field(default="", repr=False)
    """The operator's own way out, which relays take too unless their object says another: authorities in PEM."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Which VoiceAssist."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Owner:
    """The VoiceAssist that objects are made for."""

    namespace: str
    name: str
    uid: str
    spec: VoiceAssistSpec
    default_image: str
    named_as_before: bool = False
    """Its objects bear the names that version 0.1 gave them, and keep them."""
    any_user_id: bool = False
    """The platform chooses the users that pods run as."""

    @property
    def reference(self) -> Reference:
        """Which VoiceAssist it is."""
        return Reference(self.namespace, self.name, self.uid)

    @property
    def relay(self) -> str:
        """Name of the relay's Deployment, Service, Ingress and so on."""
        return relay_name(self.name, as_before=self.named_as_before)

    def history(self, revision: str) -> str:
        """Returns the name of the ConfigMap that keeps one revision of the prompt."""
        return history_name(self.name, revision, as_before=self.named_as_before)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that pick this object's relay pods; never changed, as a Deployment's selector cannot be."""
        return {LABEL_APP: RELAY_APP, "app.kubernetes.io/instance": label_value(self.name)}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every object that is made."""
        return {
            **self.selector,
            "app.kubernetes.io/component": "relay",
            "app.kubernetes.io/part-of": "voiceassist",
            LABEL_MANAGED_BY: MANAGER,
            LABEL_NAME: label_value(self.name),
        }


def limited(text: str, limit: int = MAX_NAME) -> str:
    """Returns `text`, or a shortened form of it with a digest of the whole; `limit` characters at most."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - 9].rstrip('-.')}-{digest_of(text)}"


def label_value(name: str) -> str:
    """Returns an object's name as a label's value (at most 63 characters)."""
    return limited(name)


def stem(name: str, limit: int, *, as_before: bool = False) -> str:
    """Returns what the names of an object's parts begin with: its own name, or with a digest of it where anything had to be changed.

    `as_before`: as version 0.1 did, in which `a.b` and `a-b` began alike.
    """
    plain = name.replace(".", "-")
    if as_before:
        return limited(plain, limit)
    return limited(name, limit) if plain == name else f"{plain[: limit - 9].rstrip('-')}-{digest_of(name)}"


def digest_of(name: str) -> str:
    """Returns what tells an object's name from others that look alike once they are changed."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def relay_name(name: str, *, as_before: bool = False) -> str:
    """Returns the name of the relay's Deployment, Service, Ingress and so on."""
    return stem(name, MAX_NAME - 6, as_before=as_before) + "-relay"


def history_name(name: str, revision: str, *, as_before: bool = False) -> str:
    """Returns the name of the ConfigMap that keeps one revision of the prompt."""
    return stem(name, MAX_NAME - 8 - len(revision), as_before=as_before) + f"-prompt-{revision}"


def manifest(kind: Kind, owner: Owner, name: str, body: Manifest, annotations: dict[str, str] | None = None) -> Manifest:
    """Returns an object owned by the VoiceAssist, with our labels."""
    metadata: Manifest = {
        "name": name,
        "namespace": owner.namespace,
        "labels": owner.labels,
        "ownerReferences": [
            {
                "apiVersion": VOICEASSIST.api_version,
                "kind": VOICEASSIST.name,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **body}
