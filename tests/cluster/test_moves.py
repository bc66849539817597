"""Twenty calls through the ingress controller while their relays are replaced, drained, scaled down, killed, and lost with their node."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from cluster.lab import Lab
from cluster.lab.node_loss import vanished
from cluster.moves_rig import cluster_stage, customer_on_a_line, kill, sandbox_with, served_first, until
from cluster.scene import GOES, STAYS, Scene, back, on
from cluster.standing import Json, Sandbox, events, put, released, tls_secret, voiceassist, wait_ready
from integration.end_to_end_rig import Watch, sessions
from integration.moves_rig import unanswered
from support.eventually import eventually
from support.load import slowdown
from voiceassist_demo.stage import Stage

CALLS = 20
SECONDS = 300.0
"""Of each recording: longer than either half takes on a busy machine."""


@pytest.fixture(scope="module")
def release(lab: Lab) -> Iterator[str]:
    """The operator, on the node that stays."""
    lab.kubectl("cordon", GOES)
    try:
        with lab.namespace("voiceassist-system") as home, released(lab, home, watch__allNamespaces=True):
            lab.kubectl("uncordon", GOES)
            yield home
    finally:
        lab.kubectl("uncordon", GOES)


async def roll_out_drain_and_scale_down(scene: Scene) -> None:
    """What is planned: nobody hears or sees anything of it."""
    cluster = scene.cluster

    async def step(what: str, moved: int) -> None:
        took = time.monotonic() - began
        await scene.goes_on(counts)
        told = len([line for line in cluster.told("call moved") if line["outcome"] == "moved"])
        scene.rows.append(f"{what}: {told - moved} calls moved, {took:.0f} s")

    def moves() -> int:
        return len(cluster.told("call moved"))

    before, moved, counts, began = await asyncio.to_thread(scene.names), moves(), scene.counts(), time.monotonic()
    await scene.change(podAnnotations={"roll-out": "another image"})
    await scene.are_ready(2, *before)
    await step("image roll-out", moved)

    before, moved, counts, began = await asyncio.to_thread(scene.names), moves(), scene.counts(), time.monotonic()
    await scene.kubectl("drain", GOES, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
    await scene.are_ready(2, node=STAYS)
    await step("kubectl drain", moved)

    moved, counts, began = moves(), scene.counts(), time.monotonic()
    await scene.change(replicas=1)
    await scene.are_ready(1)
    await step("scale-down", moved)

    again = await scene.end()
    for call, asked in zip(scene.calls, await scene.asked(), strict=True):
        told = {state for state, _ in scene.watch.states(call)}
        assert told <= {"starting", "live", "stopped"}, f"the agent sees nothing of it: {told}"
        assert unanswered(asked) <= scene.broken(call), f"each question once, in order: {asked}"
    frames = len(await sessions(scene.stage))
    print(f"\n{CALLS} calls, 0 ended, no frame heard by nobody, {again} again, {frames} sessions\n" + "\n".join(scene.rows))


async def kill_and_lose(scene: Scene) -> None:
    """What is not planned: seconds are lost, and counted, and no call."""
    lab, cluster, watch = scene.lab, scene.cluster, scene.watch

    async def strike(what: str, at: float, bound: float) -> None:
        def away() -> list[tuple[str, object]]:
            return [(call["callSid"], watch.states(call)[-3:]) for call in hit if not back(watch, call, since[call["callSid"]])]

        # Not at every turn of the loop: so many events are looked through that the feed would not be read meanwhile.
        with suppress(AssertionError):
            await eventually(lambda: not away(), seconds=120, every=0.5)
        assert not away(), what
        times = sorted((back(watch, call, since[call["callSid"]]) or at) - at for call in hit)
        worst = times[max(0, round(len(times) * 0.95) - 1)]
        scene.rows.append(f"{what}: {len(hit)} calls live again after {times[0]:.1f} to {times[-1]:.1f} s (p95 {worst:.1f} s)")
        assert worst < bound * slowdown(), scene.rows
        await scene.goes_on(scene.counts())

    await scene.kubectl("cordon", STAYS)
    await scene.kubectl("uncordon", GOES)
    await scene.change(replicas=2)
    await scene.are_ready(2)
    [doomed] = on(STAYS, await asyncio.to_thread(cluster.ready))
    hit, since = await scene.at_relay(doomed), await scene.generations()
    assert len(hit) == CALLS
    await asyncio.sleep(6)  # until the operator has told the relays of each other
    at = time.time()
    await asyncio.to_thread(kill, doomed)
    await strike("SIGKILL of a relay", at, 5.0)

    await scene.kubectl("uncordon", STAYS)
    await scene.are_ready(2)
    [doomed] = on(GOES, await asyncio.to_thread(cluster.ready))
    hit, since = await scene.at_relay(doomed), await scene.generations()
    assert hit, "calls on the node that is lost"
    await asyncio.sleep(8)
    at = time.time()
    with vanished(lab, next(node for node in lab.nodes if node.name == GOES)):
        await strike("a node that vanishes", at, 20.0)
        assert "RelayVanished" in {event.reason for event in await asyncio.to_thread(events, lab, cluster.place.namespace)}
        missing: Counter[tuple[str, str]] = Counter()
        again = await scene.end(missing)

    def ended() -> bool:
        return cluster.ended_at(doomed) >= len(hit)

    await until("the relay that was away to let go of calls that are another's", ended, 60)
    unheard = [missing[recording.name, "customer"] / 50 for recording in scene.recordings]
    for asked, seconds in zip(await scene.asked(), unheard, strict=True):
        # A question takes some 4 s, and three gaps may each cut one in two. One that were answered twice would look like four unanswered.
        assert unanswered(asked) <= seconds / 4 + 3, f"in {seconds:.1f} s that nobody heard: {asked}"
    rows = [f"{CALLS} calls, 0 ended, {again} frames heard again; nobody heard {min(unheard):.1f} to {max(unheard):.1f} s of a call"]
    print("\n" + "\n".join(rows + scene.rows))


async def _tell(lab: Lab, place: Sandbox, body: Json, recordings: Sequence[Path], folder: Path) -> None:
    async with cluster_stage(lab, place, folder) as stage, Watch(cast(Stage, stage)) as watch:
        for act in (roll_out_drain_and_scale_down, kill_and_lose):
            scene = Scene(lab, stage, watch, body, recordings)
            await asyncio.to_thread(stage.pods)
            await scene.begin()
            await act(scene)


@pytest.mark.usefixtures("release")
@pytest.mark.timeout(1200, func_only=True)
def test_calls_outlive_whatever_becomes_of_their_relays(lab: Lab, namespace: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        recordings = list(pool.map(lambda number: customer_on_a_line(tmp_path, SECONDS, number), range(CALLS)))
    place = sandbox_with(lab, namespace, STAYS, recordings)
    lab.apply(tls_secret(lab), namespace=namespace)
    body = voiceassist(place, replicas=2, drainTimeoutSeconds=300)
    body["spec"]["audio"] = {"tracks": "Customer"}
    body["spec"]["relay"]["resources"]["requests"]["cpu"] = "200m"  # a share of the machine, which other work has too
    put(lab, body)
    wait_ready(lab, namespace)
    try:
        with served_first(lab):
            asyncio.run(_tell(lab, place, body, recordings, tmp_path / "logs"))
    finally:
        for node in (STAYS, GOES):
            lab.kubectl("uncordon", node)
            lab.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=180s")  # for the tests behind this one
