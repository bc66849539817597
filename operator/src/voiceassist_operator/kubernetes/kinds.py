"""The kinds of objects that the operator reads and writes: one row for each, with all that follows from a kind. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voiceassist_crds import names

Manifest = dict[str, Any]
"""An object as the API has it."""

MANAGER = "voiceassist-operator"
"""Field manager, and value of the label `app.kubernetes.io/managed-by`."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_APP = "app.kubernetes.io/name"
LABEL_NAME = f"{names.GROUP}/name"
"""Names the VoiceAssist that an object belongs to."""
RELAY_APP = "voiceassist-relay"


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects that are watched, as the API server selects them; all of a kind where neither is given."""

    labels: str = ""
    fields: str = ""
    whole: bool = False
    """More than the metadata is used: the watch brings the whole objects."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, and what the operator does with its objects."""

    group: str
    version: str
    name: str
    plural: str
    rights: tuple[str, ...] = ()
    """Verbs that the operator needs in the namespaces that it watches."""
    owned: bool = False
    """Made for a VoiceAssist, with an owner reference and our labels."""
    removable: bool = False
    """An owned object may become unwanted while its VoiceAssist is there; of other kinds nothing is deleted then."""
    optional: bool = False
    """The cluster may not know the kind."""
    watched: tuple[Selection, ...] = ()
    """The objects whose events are followed."""
    own_rights: tuple[str, ...] = ()
    """Verbs that the operator needs in its own namespace, to lead."""
    subresources: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Rights to parts of the kind."""

    @property
    def api_version(self) -> str:
        """As a manifest has it."""
        return f"{self.group}/{self.version}" if self.group else self.version


_OTHERS = Selection(f"{LABEL_MANAGED_BY}!={MANAGER}")
"""Of these the names that we may need are noted, and no more."""
_OURS = (Selection(f"{LABEL_MANAGED_BY}={MANAGER}"), _OTHERS)
_OURS_WHOLE = (Selection(f"{LABEL_MANAGED_BY}={MANAGER}", whole=True), _OTHERS)
_MADE = ("list", "watch", "create", "patch")

VOICEASSIST = Kind(
    names.GROUP,
    names.VERSION,
    names.KIND,
    names.PLURAL,
    ("get", "list", "watch", "patch"),
    watched=(Selection(),),
    subresources=(("status", ("patch",)), ("finalizers", ("update",))),
)
SECRET = Kind("", "v1", "Secret", "secrets", ("get", "list", "watch"), watched=(Selection(),))  # fewer: see secrets.RELEASED
POD = Kind(
    "",
    "v1",
    "Pod",
    "pods",
    ("list", "watch", "patch"),
    watched=(Selection(f"{LABEL_APP}={RELAY_APP},{LABEL_MANAGED_BY}={MANAGER}", whole=True),),
    subresources=(("status", ("patch",)),),
)
CONFIG_MAP = Kind(
    "",
    "v1",
    "ConfigMap",
    "configmaps",
    ("get", *_MADE, "delete"),
    owned=True,
    removable=True,
    watched=_OURS_WHOLE,
)
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts", _MADE, owned=True, watched=_OURS)
SERVICE = Kind("", "v1", "Service", "services", _MADE, owned=True, watched=_OURS)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", (*_MADE, "delete"), owned=True, watched=_OURS_WHOLE)
DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", _MADE, owned=True, watched=_OURS)
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses", (*_MADE, "delete"), owned=True, removable=True, watched=_OURS)
NETWORK_POLICY = Kind(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", (*_MADE, "delete"), owned=True, removable=True, watched=_OURS
)
POD_MONITOR = Kind(
    "monitoring.coreos.com",
    "v1",
    "PodMonitor",
    "podmonitors",
    ("list", "create", "patch", "delete"),
    owned=True,
    removable=True,
    optional=True,
)
HTTP_ROUTE = Kind(
    "gateway.networking.k8s.io",
    "v1",
    "HTTPRoute",
    "httproutes",
    ("list", "create", "patch", "delete"),
    owned=True,
    removable=True,
    optional=True,
)
BACKEND_CONFIG = Kind(
    "cloud.google.com",
    "v1",
    "BackendConfig",
    "backendconfigs",
    ("list", "create", "patch", "delete"),
    owned=True,
    removable=True,
    optional=True,
)
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases", own_rights=("create", "get", "update"))
EVENT = Kind("events.k8s.io", "v1", "Event", "events", ("create",))

KINDS = (
    VOICEASSIST,
    SECRET,
    POD,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    SERVICE,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    INGRESS,
    NETWORK_POLICY,
    POD_MONITOR,
    HTTP_ROUTE,
    BACKEND_CONFIG,
    LEASE,
    EVENT,
)
OWNED = tuple(kind for kind in KINDS if kind.owned)
OPTIONAL = tuple(kind for kind in KINDS if kind.optional)

_BY_NAME = {(kind.api_version, kind.name): kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Ref:
    """One object of a VoiceAssist, in its namespace."""

    kind: Kind
    name: str


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """Returns a manifest's kind. Raises KeyError for one without a row here."""
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]


def ref(manifest: Mapping[str, Any]) -> Ref:
    """Returns which object a manifest describes. Raises KeyError for a kind without a row here."""
    return Ref(kind_of(manifest), manifest["metadata"]["name"])


def owned_by(item: Mapping[str, Any], uid: str) -> bool:
    """Returns whether an object has an owner with this uid."""
    return any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or [])
