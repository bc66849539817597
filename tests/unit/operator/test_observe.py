"""What is observed: kinds that the cluster may not know, of which a failed answer says nothing; Secrets, whose values are not kept."""

from __future__ import annotations

import base64
from typing import cast

import pytest

from voiceassist_operator.controller import observe, references
from voiceassist_operator.controller.references import References
from voiceassist_operator.controller.watches import OptionalKinds
from voiceassist_operator.errors import Forbidden, NotThere, OperatorError, Retryable, UnknownKind
from voiceassist_operator.kubernetes.client import Cluster
from voiceassist_operator.kubernetes.kinds import CONFIG_MAP, OPTIONAL, SECRET, Kind, Manifest, Ref
from voiceassist_operator.kubernetes.store import Store
from voiceassist_operator.kubernetes.watch import Receiver
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.policy.observed import RelayAnswer, pod_fact
from voiceassist_operator.twilio.client import TwilioPool
from voiceassist_operator.twilio.credentials import NoCredentials, open_account
from voiceassist_operator.twilio.model.address import Address
from voiceassist_operator.twilio.model.desired import Credentials

TOKEN = "sk-planted-0123456789"
WELL = None
SAID_NOTHING = Retryable("list PodMonitor: HTTP 502", 5.0)
UNKNOWN, AWAY = UnknownKind("404", 30.0), NotThere("404", 30.0)
NO_RIGHT = Forbidden("403", 30.0)


class Answering:
    """The cluster's client, which answers each question for a kind like this."""

    def __init__(self) -> None:
        self.answer: OperatorError | None = None

    async def list(self, *_: object) -> list[object]:
        if self.answer is not None:
            raise self.answer
        return []


@pytest.mark.parametrize(
    ("answers", "known", "undecided"),
    [
        ([WELL], True, False),
        ([UNKNOWN], False, False),
        ([AWAY], False, False),
        ([SAID_NOTHING], False, True),
        ([NO_RIGHT], False, False),
        ([WELL, SAID_NOTHING], True, False),
        ([WELL, NO_RIGHT], True, False),
        ([WELL, UNKNOWN], False, False),
        ([UNKNOWN, SAID_NOTHING], False, False),
        ([SAID_NOTHING, UNKNOWN, WELL], True, False),
    ],
)
async def test_observe_only_the_api_server_says_that_a_kind_is_unknown(
    answers: list[OperatorError | None], known: bool, undecided: bool
) -> None:
    cluster = Answering()
    kinds = OptionalKinds(cast(Cluster, cluster), "*", Store())
    nobody = Receiver(lambda _: None, lambda _: None, lambda: None, lambda _: None, lambda: None)
    for answer in answers:
        cluster.answer = answer
        for kind in OPTIONAL:
            await kinds.ask(kind, nobody)
    assert (kinds.known == frozenset(OPTIONAL), bool(kinds.known)) == (known, known)
    assert kinds.undecided == (frozenset(OPTIONAL) if undecided else frozenset())


class Holding:
    """The cluster's client, with one Secret."""

    def __init__(self, **data: bytes) -> None:
        self.asked, self.version = 0, "7"
        self.data = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}

    async def get(self, kind: Kind, name: str, namespace: str) -> Manifest:
        self.asked += 1
        metadata = {"name": name, "namespace": namespace, "resourceVersion": self.version}
        return {"metadata": metadata, "data": self.data}

    async def credentials(self, name: str, namespace: str) -> Manifest:
        return await self.get(SECRET, name, namespace)


async def test_observe_a_secret_is_read_as_the_relays_read_it_and_no_value_is_kept() -> None:
    values = {
        "plain": TOKEN.encode(),
        "editor": f"\ufeff{TOKEN}\u200b\r\n".encode(),
        "spoilt": f"{TOKEN[:3]}\u2014{TOKEN}".encode(),
        "latin": TOKEN.encode() + b"\xe9",
        "blank": "\ufeff \n".encode(),
        "empty": b"",
    }
    secrets = cast(Cluster, Holding(**values))
    fact = await References(secrets, Store()).secret("default", "twilio")
    assert fact.keys == {"plain", "editor", "spoilt", "latin"}
    assert set(fact.spoilt) == {"spoilt", "latin"} and "character 4 is a dash" in fact.spoilt["spoilt"]
    assert TOKEN not in repr(fact)


async def test_observe_an_account_is_opened_by_what_the_relays_use() -> None:
    pool = TwilioPool(OperatorMetrics(), lambda: None)
    credentials = Credentials("AC" + "0" * 32, Address(), "twilio")
    good = {"authToken": f"\ufeff{TOKEN}".encode(), "apiKeySid": b"SK1\n", "apiKeySecret": f"{TOKEN}\u200b".encode()}
    access = await open_account(cast(Cluster, Holding(**good)), pool, "default", credentials)
    assert (access.account.login.password, access.key.login.username, access.key.login.password) == (TOKEN, "SK1", TOKEN)
    with pytest.raises(NoCredentials, match="character 2 is a dash") as caught:
        await open_account(cast(Cluster, Holding(**{**good, "authToken": f"s\u2014{TOKEN}".encode()})), pool, "default", credentials)
    assert TOKEN not in str(caught.value)


HOLD, REASON = "voiceassist.dev/hold-rollout", "voiceassist.dev/rollout-reason"


def annotated(**by: tuple[str, ...]) -> Manifest:
    """An object's metadata, its annotations written by these managers."""
    owned = [
        {
            "manager": manager,
            "time": "2026-01-01T00:00:00Z",
            "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{name}": {} for name in names}}},
        }
        for manager, names in by.items()
    ]
    return {
        "annotations": {HOLD: "true", REASON: "lunch"},
        "managedFields": [{**one, "manager": one["manager"].replace("_", "-")} for one in owned],
    }


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ({"kubectl_annotate": (HOLD, REASON)}, "kubectl-annotate: lunch"),
        ({"kubectl_voiceassist": (HOLD, REASON)}, "lunch"),  # the plugin has written who into it
        ({"flux": (HOLD,), "kubectl_annotate": (REASON,)}, "flux"),
        ({"kubectl_voiceassist": (HOLD,)}, "kubectl-voiceassist"),
        ({}, "lunch"),
    ],
)
def test_observe_who_asks_for_something_and_why(by: dict[str, tuple[str, ...]], said: str) -> None:
    orders = observe._orders(annotated(**by))
    assert orders.hold
    assert orders.by["hold"] == said


async def test_observe_what_is_referred_to_is_read_once_for_each_version() -> None:
    holding, store = Holding(token=b"x", prompt=b"y"), Store()
    references = References(cast(Cluster, holding), store)

    async def reads(times: int = 3) -> int:
        before = holding.asked
        for _ in range(times):
            await references.secret("n", "twilio")
            await references.text("n", "prompts", "prompt")
        return holding.asked - before

    def told(version: str) -> None:
        for kind, name in ((SECRET, "twilio"), (CONFIG_MAP, "prompts")):
            store.take({"metadata": {"namespace": "n", "name": name, "resourceVersion": version}}, kind)

    assert await reads() == 6, "no watch tells of it: each time"
    told("7")
    assert await reads() == 0
    holding.version = "9"
    told("8")
    assert await reads() == 2, "the watch has a newer one; the answer is newer still"
    told("9")
    assert await reads() == 0
    for kind, name in ((SECRET, "twilio"), (CONFIG_MAP, "prompts")):
        store.forget(Ref(kind, name), "n")
    assert await reads() == 6, "gone, or not released any more: the API server says what there is"


async def test_observe_huge_config_maps_take_no_more_memory_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MOST_CHARACTERS", 100)
    holding, store = Holding(prompt=b"x" * 25), Store()
    facts = References(cast(Cluster, holding), store)

    async def reads(*names: str) -> int:
        before = holding.asked
        for name in names:
            await facts.text("n", name, "prompt")
        return holding.asked - before

    for name in ("a", "b", "c"):
        store.take({"metadata": {"namespace": "n", "name": name, "resourceVersion": "7"}}, CONFIG_MAP)
    assert await reads("a", "b", "c") == 3
    assert await reads("b", "c") == 0, "two have room"
    assert await reads("a") == 1
    assert await reads("c", "a") == 0
    assert facts._characters == 72, "as base64 has them"


@pytest.mark.parametrize(
    ("conditions", "containers", "begun"),
    [
        ([], [], False),
        ([], [{"started": False}], False),
        ([], [{"started": True}], True),  # unready since, or not ready yet: by its probe it has begun
        ([{"type": "Ready", "status": "False"}], [{"started": True}], True),
        ([{"type": "Ready", "status": "True"}], [], True),
    ],
)
def test_observe_a_pod_whose_relay_has_begun(conditions: list[dict[str, str]], containers: list[dict[str, bool]], *, begun: bool) -> None:
    pod: Manifest = {"metadata": {"name": "a"}, "status": {"conditions": conditions, "containerStatuses": containers}}
    assert pod_fact(pod, RelayAnswer()).begun is begun
