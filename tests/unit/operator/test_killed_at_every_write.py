"""An operator that ends at each of its writes, before and after it landed, and one that misses each event once: the next one, and the
next listing, bring the same state.

The API server is the played one of `test_reconciler_requests`; an operator that ends is one of which nothing is left but what it wrote.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from unit.operator.test_reconciler_requests import Bench
from voiceassist_operator.kubernetes.kinds import DEPLOYMENT, KINDS, POD, SERVICE, VOICEASSIST, Kind, Manifest
from voiceassist_operator.kubernetes.store import Shelf

WRITES = ("apply", "patch", "delete", "create")
OF_THE_RUN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")
MOST = 60


class Killed(BaseException):
    """The process ends: nothing of it is left."""


def end_at(bench: Bench, number: int, *, landed: bool) -> Callable[[], bool]:
    """The operator ends at its write of that number, counted from now. Returns what tells whether it did."""
    count, real = 0, {verb: getattr(bench.api, verb) for verb in WRITES}

    def ending(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def once(*given: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == number and not landed:
                raise Killed
            made = await write(*given, **more)
            if count == number:
                raise Killed
            return made

        return once

    for verb, write in real.items():
        setattr(bench.api, verb, ending(write))
    return lambda: count >= number


async def unfold(bench: Bench) -> None:
    """Passes and the cluster's own controllers take turns until nothing changes."""
    await bench.settle()
    if (DEPLOYMENT, "support-relay") in bench.api.there and (POD, "pod-1") not in bench.api.there:
        bench.a_pod()
    await bench.settle()
    await bench.settle()


async def unfold_killed(bench: Bench) -> None:
    try:
        await unfold(bench)
    except Killed:
        bench.start()
        await unfold(bench)


def state(bench: Bench) -> dict[tuple[Kind, str], Any]:
    """All that is there, without what differs from run to run."""

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: told(one) for key, one in value.items() if key not in OF_THE_RUN and not key.endswith(("Time", "time"))}
        return [told(one) for one in value] if isinstance(value, list) else value

    return {key: told(item) for key, item in bench.api.there.items()}


async def new() -> Bench:
    return Bench()


async def edited() -> Bench:
    bench = Bench()
    await unfold(bench)
    spec = {"prompt": {"instructions": "You help more."}, "relay": {"networkPolicy": {"enabled": False}, "maxCallsPerPod": 7}}
    bench.api.somebody_sets(VOICEASSIST, "support", spec=spec)
    return bench


MAKERS = {"new": new, "edited, and one object unwanted": edited}


@pytest.mark.parametrize("landed", [False, True], ids=["before it landed", "after it landed"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
async def test_killed_at_every_write_it_converges_to_the_same_state(make: Callable[[], Awaitable[Bench]], landed: bool) -> None:
    undisturbed = await make()
    await unfold(undisturbed)
    wanted, number = state(undisturbed), 0
    while True:
        number += 1
        bench = await make()
        ended = end_at(bench, number, landed=landed)
        await unfold_killed(bench)
        if not ended():
            break
        assert state(bench) == wanted, f"killed at write {number}"
        assert number < MOST
    assert number > 6, "it wrote"


def listing(bench: Bench) -> None:
    """What the watches do every ten minutes."""
    for kind in KINDS:
        shelf = bench.store.shelf(kind)
        shelf.begin_listing()
        for (of, _), item in bench.api.there.items():
            if of is kind:
                shelf.take(copy.deepcopy(item), listed=True)
        shelf.end_listing()


def lose(monkeypatch: pytest.MonkeyPatch, number: int) -> list[tuple[Kind, str, str]]:
    """The event of that number, counted from now, never comes, until the next listing. Returns which that was, once it should have come."""
    lost: list[tuple[Kind, str, str]] = []
    news, take = 0, Shelf.take

    def losing(shelf: Shelf, item: Manifest, *, listed: bool = False) -> bool:
        nonlocal news
        one = (shelf.kind, item["metadata"]["name"], item["metadata"]["resourceVersion"])
        if listed:
            return take(shelf, item, listed=True)
        if one in lost:
            return False
        before = copy.copy(shelf.held.get((item["metadata"]["namespace"], item["metadata"]["name"])))
        if before is None or before.entry.version != one[2]:
            news += 1
            if news == number:
                lost.append(one)
                return False
        return take(shelf, item)

    monkeypatch.setattr(Shelf, "take", losing)
    return lost


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
async def test_killed_at_every_write_nor_is_anything_lost_by_an_event_that_never_came(
    make: Callable[[], Awaitable[Bench]], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = await make()
    await unfold(undisturbed)
    wanted, number, take = state(undisturbed), 0, Shelf.take
    while True:
        number += 1
        bench = await make()
        lost = lose(monkeypatch, number)
        await unfold(bench)
        listing(bench)
        await unfold(bench)
        monkeypatch.setattr(Shelf, "take", take)
        if not lost:
            break
        assert state(bench) == wanted, f"never heard: {lost}"
        assert number < 200
    assert number > 6, "there were events"


async def test_killed_at_every_write_a_deletion_that_was_never_told_is_found_by_the_next_listing() -> None:
    bench = Bench()
    await unfold(bench)
    wanted = state(bench)
    del bench.api.there[SERVICE, "support-relay"]
    tell, bench.tell = bench.tell, lambda **_: False  # type: ignore[method-assign]
    await bench.settle()
    assert (SERVICE, "support-relay") not in bench.api.there
    bench.tell = tell  # type: ignore[method-assign]
    listing(bench)
    await bench.settle()
    assert state(bench) == wanted
