"""Facts: what was observed of a VoiceAssist and its surroundings at one moment. Pure data; `controller/observe.py` gathers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voiceassist_crds.reasons import Reason
from voiceassist_crds.status import RelayStatus

from ..kubernetes.kinds import Kind, Manifest, Ref
from ..twilio.model.observed import TwilioFact
from .allowed import Allowed
from .ownership import Taken
from .resources.config_map import KeptPrompt
from .resources.metadata import Installation, Owner


@dataclass(frozen=True, slots=True)
class SecretFact:
    """A referenced Secret: which keys have a value, never the values."""

    name: str
    found: bool = False
    keys: frozenset[str] = frozenset()
    version: str = ""
    spoilt: Mapping[str, str] = field(default_factory=dict)
    """Keys whose value cannot be used, and why: by place, never by value."""
    released: bool = True
    """Whether it says, by label or type, that it is for this."""


@dataclass(frozen=True, slots=True)
class PromptFact:
    """The prompt's text, or why there is none."""

    instructions: str | None
    reason: Reason | None = None
    message: str = ""
    manager: str = ""
    """Field manager that last wrote the text."""
    cause: str = ""
    """Why it was changed, as the writer says by annotation."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What people ask of a roll-out by annotation. Each names the revision that it is about, so that it is obeyed once."""

    promote: str = ""
    abort: str = ""
    retry: str = ""
    hold: bool = False
    """No step is taken; a canary that does harm is rejected all the same."""
    by: Mapping[str, str] = field(default_factory=dict)
    """Who asks for it, and why, as far as they say: by promote, abort, retry and hold."""


@dataclass(frozen=True, slots=True)
class CaBundleFact:
    """The authorities that the object names, or why they cannot be had."""

    text: str = field(default="", repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """What a relay answered when it was asked for its status."""

    status: RelayStatus | None = None
    unreadable: bool = False
    """It answers, but not in a form that this version can read."""
    late: bool = False
    """The status is that of an earlier answer: it gives none now."""


@dataclass(frozen=True, slots=True)
class PodFact:
    """A relay pod, and what it said of itself at `/status`."""

    name: str
    ip: str = ""
    ready: bool = False
    terminating: bool = False
    waiting_reason: str = ""
    waiting_message: str = ""
    unschedulable: str = ""
    restarts: int = 0
    annotations: dict[str, str] = field(default_factory=dict)
    status: RelayStatus | None = None
    unreadable: bool = False
    """It answers for its status, but not in a form that this version can read."""
    late: bool = False
    """The status is that of an earlier answer: it gives none now."""
    begun: bool = False
    """Its relay has begun by the cluster's word, so that it may have calls."""


def pod_fact(pod: Manifest, answer: RelayAnswer) -> PodFact:
    """Returns what is known of a pod, by the cluster and by its relay."""
    state = pod.get("status") or {}
    conditions = {one["type"]: one for one in state.get("conditions") or []}
    container: Manifest = next(iter(state.get("containerStatuses") or []), {})
    waiting = (container.get("state") or {}).get("waiting") or {}
    scheduled = conditions.get("PodScheduled", {})
    return PodFact(
        name=pod["metadata"]["name"],
        ip=state.get("podIP") or "",
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in pod["metadata"] or state.get("phase") in {"Failed", "Succeeded"},
        waiting_reason=waiting.get("reason") or "",
        waiting_message=(waiting.get("message") or "")[:300],
        unschedulable=(scheduled.get("message") or "")[:300] if scheduled.get("status") == "False" else "",
        restarts=container.get("restartCount") or 0,
        annotations=dict(pod["metadata"].get("annotations") or {}),
        status=answer.status,
        unreadable=answer.unreadable,
        late=answer.late,
        begun=container.get("started") is True or conditions.get("Ready", {}).get("status") == "True",
    )


@dataclass(frozen=True, slots=True)
class DeploymentFact:
    """The relay Deployment's state."""

    replicas: int
    ready: int
    updated: int
    total: int
    observed: bool
    """Whether its controller has seen the newest spec."""
    failure: str = ""


class Endpoint(StrEnum):
    """What the operator's own dial of the public address found."""

    OK = "ok"
    DNS = "dns"
    CERTIFICATE = "certificate"
    CONNECTION = "connection"
    PATH = "path"
    """Something answers that is not our relay."""
    UPGRADE = "upgrade"
    """A relay of ours was asked without an upgrade."""
    ALTERED = "altered"
    """A relay of ours was asked for something else than was dialled."""
    UNTRIED = "untried"
    """No dial could be made."""


@dataclass(frozen=True, slots=True)
class EndpointFact:
    """The last dial."""

    result: Endpoint
    message: str = ""
    cause: str = ""
    """The word by which a relay refused it; empty where none did."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many relays there are to be, as it was decided last, and since when fewer would do."""

    replicas: int
    needed: int = 0
    """By calls alone: before the bounds."""
    calls: int = 0
    fewer_for: float = 0.0
    """Seconds in which fewer would have been enough, as far as somebody looked."""
    fewer_at_most: int = 0
    """The most that were needed in that time; 0 where as many are needed as there are."""
    looked: float = 0.0
    """Epoch seconds of the last look."""
    short_told: float | None = None
    """Epoch seconds at which it was told last that more are needed than are allowed."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What was spent at the model: tokens, their cost by the prices of the time, and responses whose tokens nobody told."""

    tokens: int = 0
    cost: float | None = None
    """None: there were no prices."""
    untold: int = 0

    def plus(self, other: Amount) -> Amount:
        """Both together; without a cost where tokens of either have none."""
        priced = [one.cost for one in (self, other) if one.tokens]
        cost = None if None in priced else sum(one or 0.0 for one in priced) if priced else None
        return Amount(self.tokens + other.tokens, cost, self.untold + other.untold)


@dataclass(frozen=True, slots=True)
class Tally:
    """What the relays of an object spent in a day or a month (UTC)."""

    span: str
    """Its date, such as 2026-11-30 or 2026-11."""
    ended: Amount = Amount()
    """By processes that are not kept apart any more."""
    relays: Mapping[str, Amount] = field(default_factory=dict)
    """By process, as each said last; who was heard of last is last."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What the relays of an object spent, as they said it."""

    day: Tally
    month: Tally
    """That of the day. A relay that tells the day alone has an entry for each day."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a plan is made of."""

    owner: Owner
    generation: int
    credentials: SecretFact
    model_key: SecretFact
    prompt: PromptFact
    kept_prompts: Mapping[str, KeptPrompt] = field(default_factory=dict)
    """By revision, of those that are kept."""
    orders: Orders = Orders()
    deployment: DeploymentFact | None = None
    pods: tuple[PodFact, ...] = ()
    existing: dict[Ref, str] = field(default_factory=dict)
    """Objects of ours that are there, with their resourceVersion."""
    uids: Mapping[Ref, str] = field(default_factory=dict)
    """Their uids: what is written is meant for them, not for what may have come in their place."""
    taken: tuple[Taken, ...] = ()
    """Objects of others that have names that this object needs."""
    optional_kinds: frozenset[Kind] = frozenset()
    """The optional kinds that the cluster knows."""
    undecided_kinds: frozenset[Kind] = frozenset()
    """The optional kinds of which it is not known yet whether the cluster knows them."""
    pod_monitor_labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels that PodMonitors are to bear."""
    conflicting: str = ""
    """An older VoiceAssist with this host and prefix, as namespace/name."""
    endpoint: EndpointFact | None = None
    route_problem: str = ""
    """Why no Gateway leads to the relays by the HTTPRoute, as the Gateways say; empty where one does, or none is wanted."""
    twilio: TwilioFact = field(default_factory=TwilioFact)
    created: str = ""
    """When the object was created, RFC 3339."""
    custom_endpoints: bool = False
    """Whether `apiUrl` is allowed here, and with it models at any host."""
    allowed: Allowed = field(default_factory=Allowed)
    installation: Installation = field(default_factory=Installation)
    scaling: Scaling | None = None
    """What was decided last of the number of relays, where calls decide."""
    spending: Spending | None = None
    """What was known last of the spending, where it is limited."""
    ca_bundle: CaBundleFact = CaBundleFact()
    status: dict[str, Any] = field(default_factory=dict)
    """The status that is there."""
    apply_error: str = ""
    """What went wrong in the last attempt to write."""
