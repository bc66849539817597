"""What comes between a pass's look and its write: whatever a write is answered with and the pass did not know causes another look.

No watch tells of it any more: the store has the answer, of which the events are no news. The API server is the played one of
`test_reconciler_requests`.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from unit.operator.test_reconciler_requests import FOREIGN, Bench, merged
from voiceassist_operator.errors import Contended, Retryable
from voiceassist_operator.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, INGRESS, POD, SECRET, SERVICE, VOICEASSIST, Kind, Manifest

WRITES = {"apply", "patch", "delete", "create"}


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.settle()
    made.a_pod()
    await made.settle()
    await made.settle()
    return made


def just_before(bench: Bench, verb: str, kind: Kind, act: Callable[[], Any], *, sub: str = "") -> list[bool]:
    """Somebody does something just before the next such request of ours arrives. Returns what is no longer empty once it is done."""
    real: Callable[..., Awaitable[Any]] = getattr(bench.api, verb)
    done: list[bool] = []

    async def request(*given: Any, **more: Any) -> Any:
        of = given[0] if isinstance(given[0], Kind) else None
        if not done and (of is kind or (of is None and given[0]["kind"] == kind.name)) and more.get("sub", "") == sub:
            done.append(True)
            act()
        return await real(*given, **more)

    setattr(bench.api, verb, request)
    return done


def edit(bench: Bench) -> None:
    """Causes writes of every kind in the next pass."""
    spec = {"prompt": {"instructions": "You help more."}, "relay": {"replicas": 3}}
    bench.api.somebody_sets(VOICEASSIST, "support", spec=spec)
    bench.tell()
    bench.reconciler.wake()


async def passes(bench: Bench) -> None:
    """As many as are due at once, and no watch says anything new."""
    for _ in range(20):
        if not bench.reconciler._stale:
            return
        assert await bench.reconciler._pass() is not None
    raise AssertionError("it never comes to rest")


async def test_unforeseen_answers_our_own_writes_alone_cause_no_other_look(bench: Bench) -> None:
    edit(bench)
    assert await bench.reconciler._pass() is not None
    assert {("patch", "VoiceAssist/status"), ("patch", "Pod"), ("apply", "Deployment")} <= {*bench.api.asked}
    assert not bench.reconciler._stale


CHANGES: dict[str, Manifest] = {
    "edited": {"spec": {"relay": {"replicas": 5}}},
    "ordered": {"metadata": {"annotations": {"voiceassist.dev/promote": "now"}}},
    "deleted": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    "let go of": {"metadata": {"finalizers": []}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_unforeseen_answers_what_people_do_while_a_status_is_written_is_looked_at(bench: Bench, change: Manifest) -> None:
    edit(bench)
    done = just_before(bench, "patch", VOICEASSIST, lambda: bench.api.somebody_sets(VOICEASSIST, "support", **change), sub="status")
    assert await bench.reconciler._pass() is not None
    assert done
    assert not bench.store.shelf(VOICEASSIST).take(copy.deepcopy(bench.api.there[VOICEASSIST, "support"])), "kopf's delivery is no news"
    assert bench.reconciler._stale
    if "spec" in change:
        await passes(bench)
        assert bench.api.there[DEPLOYMENT, "support-relay"]["spec"]["replicas"] == 5


async def test_unforeseen_answers_a_status_of_an_object_that_cannot_be_read_hides_no_edit() -> None:
    bench = Bench()
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"relay": {"replicas": "many"}})
    bench.tell()
    repair = {"relay": {"replicas": 5}}
    done = just_before(bench, "patch", VOICEASSIST, lambda: bench.api.somebody_sets(VOICEASSIST, "support", spec=repair), sub="status")
    await passes(bench)
    assert done
    assert bench.api.there[DEPLOYMENT, "support-relay"]["spec"]["replicas"] == 5


async def test_unforeseen_answers_a_pod_that_is_no_longer_ready_is_seen(bench: Bench) -> None:
    edit(bench)
    lost = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    assert just_before(bench, "patch", POD, lambda: bench.api.put(POD, merged(bench.api.there[POD, "pod-1"], lost))) == []
    assert await bench.reconciler._pass() is not None
    assert bench.reconciler._stale
    await passes(bench)
    assert bench.reconciler._seen is not None and [pod.ready for pod in bench.reconciler._seen.pods] == [False]


async def test_unforeseen_answers_a_pod_that_is_gone_is_forgotten(bench: Bench) -> None:
    edit(bench)
    just_before(bench, "patch", POD, lambda: bench.api.there.pop((POD, "pod-1")))
    assert await bench.reconciler._pass() is not None
    assert bench.reconciler._stale
    await passes(bench)
    assert bench.reconciler._seen is not None and bench.reconciler._seen.pods == ()


async def test_unforeseen_answers_a_deployment_that_has_lost_its_pods_is_seen(bench: Bench) -> None:
    edit(bench)
    lost = {"status": {"readyReplicas": 0}}
    just_before(bench, "apply", DEPLOYMENT, lambda: bench.api.put(DEPLOYMENT, merged(bench.api.there[DEPLOYMENT, "support-relay"], lost)))
    assert await bench.reconciler._pass() is not None
    assert bench.reconciler._stale
    await passes(bench)
    assert bench.reconciler._seen is not None and bench.reconciler._seen.deployment is not None
    assert bench.reconciler._seen.deployment.ready == 0


@pytest.mark.parametrize("kind", [POD, CONFIG_MAP, SERVICE, DEPLOYMENT], ids=lambda kind: kind.name)
async def test_unforeseen_answers_nothing_is_decided_without_a_listing_of_what_is_ours(bench: Bench, kind: Kind) -> None:
    bench.start(kind)
    bench.api.asked.clear()
    assert await bench.reconciler._pass() is not None
    assert not [one for one in bench.api.asked if one[0] in WRITES]
    bench.tell(listed=True)
    bench.store.shelf(kind).end_listing()
    assert not [one for one in await bench.settle() if one[0] in WRITES]


async def test_unforeseen_answers_a_kind_that_the_object_does_not_need_need_not_be_listed(bench: Bench) -> None:
    bench.start(INGRESS)
    assert await bench.reconciler._pass() is not None
    assert bench.reconciler._seen is None
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"ingress": {"enabled": False}})
    bench.tell(INGRESS)
    bench.api.asked.clear()
    bench.reconciler.wake()
    assert await bench.reconciler._pass() is not None
    assert bench.reconciler._seen is not None
    assert ("get", "VoiceAssist") not in bench.api.asked, "the object itself is in no doubt"


@pytest.mark.parametrize("kind", [SECRET], ids=lambda kind: kind.name)
async def test_unforeseen_answers_what_is_read_in_any_case_need_not_be_listed(bench: Bench, kind: Kind) -> None:
    bench.start(kind)
    await bench.settle()
    assert bench.reconciler._seen is not None and bench.reconciler._seen.credentials.found


@pytest.mark.parametrize("anew", [False, True], ids=["gone", "made anew"])
async def test_unforeseen_answers_an_object_whose_deletion_was_never_heard_of_is_made_anew(bench: Bench, anew: bool) -> None:
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"relay": {"replicas": 5}})
    bench.tell()
    dead = bench.api.there.pop((DEPLOYMENT, "support-relay"))
    if anew:
        metadata = {key: value for key, value in dead["metadata"].items() if key != "uid"}
        bench.api.put(DEPLOYMENT, {**dead, "metadata": metadata})
    for _ in range(4):
        bench.reconciler.wake()
        assert await bench.reconciler._pass() is not None
    assert bench.api.there[DEPLOYMENT, "support-relay"]["spec"]["replicas"] == 5
    assert bench.api.there[DEPLOYMENT, "support-relay"]["metadata"]["uid"] != dead["metadata"]["uid"]


async def test_unforeseen_answers_what_cannot_be_read_anew_stays_known(bench: Bench) -> None:
    edit(bench)
    held = bench.store.entry(DEPLOYMENT, "support-relay", "team")

    async def contended(*_: object, **__: object) -> None:
        raise Contended("another uid", 0.2)

    async def away(*_: object, **__: object) -> None:
        raise Retryable("the API server is away", 1.0)

    cast(Any, bench.api).apply, cast(Any, bench.api).find = contended, away
    assert await bench.reconciler._pass() is not None
    assert bench.reconciler._seen is None, "all is looked at anew"
    assert bench.store.entry(DEPLOYMENT, "support-relay", "team") is held


async def test_unforeseen_answers_nothing_is_made_for_an_object_that_went_without_our_finalizer() -> None:
    bench = Bench()
    just_before(bench, "patch", VOICEASSIST, lambda: bench.api.there.pop((VOICEASSIST, "support")))
    wanted_at_twilio: list[object] = []
    cast(Any, bench.reconciler._twilio).set_desired = lambda *given: wanted_at_twilio.append(given)
    assert await bench.reconciler._pass() is not None
    assert ([one for one in bench.api.asked if one[0] == "apply"], wanted_at_twilio) == ([], [])
    assert await bench.reconciler._pass() is None, "gone, by a read"


async def test_unforeseen_answers_of_a_cluster_that_was_put_back_the_object_itself_counts(bench: Bench) -> None:
    bench.api._version = 50
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"relay": {"replicas": 5}})
    assert not bench.tell()
    bench.reconciler.wake(read=True)
    assert await bench.reconciler._pass() is not None
    assert bench.api.there[DEPLOYMENT, "support-relay"]["spec"]["replicas"] == 5
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"relay": {"replicas": 6}})
    assert bench.store.shelf(VOICEASSIST).take(copy.deepcopy(bench.api.there[VOICEASSIST, "support"])), "and the next edit is news"


async def test_unforeseen_answers_a_name_that_is_freed_during_a_look_is_not_waited_for() -> None:
    bench = Bench()
    bench.api.put(SERVICE, copy.deepcopy(FOREIGN))
    bench.tell()

    def freed() -> None:
        del bench.api.there[SERVICE, "support-relay"]
        bench.tell()  # nobody waits for the name yet, so nobody is woken

    assert just_before(bench, "get", SECRET, freed) == []
    await passes(bench)
    assert (SERVICE, "support-relay") in bench.api.there
    assert bench.reconciler.waits_for_name == ""
