"""Which names a VoiceAssist needs in its namespace, and what stands in their way: what is not ours is never taken. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from ..kubernetes.kinds import (
    BACKEND_CONFIG,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    POD_MONITOR,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Ref,
)
from .resources.metadata import Owner, relay_name


@dataclass(frozen=True, slots=True)
class Taken:
    """An object of somebody else that has a name that we need."""

    kind: str
    name: str
    holder: str
    """Whose it is, as far as it says."""


def needed_kinds(owner: Owner, optional: frozenset[Kind]) -> tuple[Kind, ...]:
    """Returns the kinds of which an object needs one by the name `owner.relay`. `optional`: those that the cluster knows."""
    spec = owner.spec
    needed = {
        SERVICE_ACCOUNT: True,
        CONFIG_MAP: True,
        DEPLOYMENT: True,
        SERVICE: True,
        DISRUPTION_BUDGET: True,
        INGRESS: spec.ingress.enabled,
        NETWORK_POLICY: spec.relay.network_policy.enabled,
        HTTP_ROUTE: spec.http_route is not None,
        BACKEND_CONFIG: spec.ingress.flavour == "GKE",
        POD_MONITOR: spec.monitoring.pod_monitor,
    }
    return tuple(kind for kind, wanted in needed.items() if wanted and (not kind.optional or kind in optional))


def named_as_before(name: str, ours: Iterable[Ref]) -> bool:
    """Returns whether the objects that are there, all of them ours, have the names that version 0.1 gave: they keep them."""
    before = relay_name(name, as_before=True)
    return before != relay_name(name) and any(one.name == before for one in ours)


def taken(kind: Kind, name: str, owners: Container[str], holder: str, uid: str) -> Taken | None:
    """Returns that an object is somebody else's; None where it is owned by the VoiceAssist with this uid.

    `owners` are the uids of its owners, `holder` says whose it is.
    """
    return None if uid in owners else Taken(kind.name, name, holder)
