"""Twenty calls through the ingress controller while their relays are replaced, drained, scaled down, killed, and lost with their node."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from cluster.lab import Lab
from cluster.lab.node_loss import vanished
from cluster.moves_rig import Call, ClusterStage, cluster_stage, customer_on_a_line, kill, sandbox_with, served_first, until
from cluster.standing import Json, Sandbox, events, put, released, tls_secret, voiceassist, wait_ready
from integration.end_to_end_rig import Watch, sessions
from integration.faults_rig import all_live, hang_up, kept
from integration.moves_rig import accounted, unanswered
from support.eventually import eventually
from support.load import slowdown
from voiceassist_crds import names
from voiceassist_demo.stage import Stage
from voiceassist_relay.logs import call_hash

CALLS = 20
SECONDS = 300.0
"""Of each recording: longer than either half takes on a busy machine."""
STAYS, GOES = "node0", "node1"
"""The nodes with the stand-ins and the operator, and the one that is drained and lost."""


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


def on(node: str, pods: Sequence[Json]) -> list[Json]:
    return [pod for pod in pods if pod["spec"].get("nodeName") == node]


class Scene:
    """Twenty calls, and what is done to their relays."""

    def __init__(self, lab: Lab, stage: ClusterStage, watch: Watch, body: Json, recordings: Sequence[Path]) -> None:
        self.lab, self.watch, self.body, self.recordings = lab, watch, body, recordings
        self.cluster, self.stage = stage, cast(Stage, stage)
        self.calls: list[Call] = []
        self.before: set[str] = set()
        self.rows: list[str] = []

    async def begin(self) -> None:
        self.before = {one["id"] for one in await sessions(self.stage)}
        self.calls = [await self.cluster.start(recording) for recording in self.recordings]
        await self.goes_on({})

    async def goes_on(self, counts: dict[str, int]) -> None:
        """Waits until every call has a live stream and one more suggestion."""
        await all_live(self.stage, self.calls, 120)
        before = counts or {call["callSid"]: 0 for call in self.calls}
        await eventually(
            lambda: all(len(self.watch.items(call)) > before[call["callSid"]] for call in self.calls),
            seconds=120,
            what="a suggestion in every call",
        )

    def counts(self) -> dict[str, int]:
        return {call["callSid"]: len(self.watch.items(call)) for call in self.calls}

    async def change(self, **relay: Any) -> None:
        self.body["spec"]["relay"].update(relay)
        await asyncio.to_thread(put, self.lab, self.body)

    async def kubectl(self, *arguments: str) -> None:
        await asyncio.to_thread(self.lab.kubectl, *arguments)

    async def are_ready(self, count: int, *others: str, node: str = "") -> None:
        """Waits for so many relays, of other names, at the node if one is given, and none that ends."""

        def look() -> bool:
            ready = self.cluster.settled(count)
            if not ready or (node and len(on(node, ready)) < count):
                return False
            return not {pod["metadata"]["name"] for pod in ready} & set(others)

        await until(f"{count} relays", look)

    def names(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.cluster.ready()]

    async def end(self, missing: Counter[tuple[str, str]] | None = None) -> dict[str, int]:
        """Hangs up, and gives the account of what was heard again."""
        await hang_up(self.stage, self.calls)
        await until("the relays' last words", lambda: self.cluster.has_told_all(self.calls))
        heard = [one for one in await sessions(self.stage) if one["id"] not in self.before]
        calls = {call_hash(call["callSid"]) for call in self.calls}
        return await accounted(self.stage, self.recordings, heard, missing=missing, tracks=("customer",), calls=calls)

    def broken(self, call: Call) -> int:
        """Questions of a call in whose middle the stand-in for Twilio came to a halt, on a busy machine: no answer is known to them."""
        told = [line for line in self.cluster.told("call over") if line["call"] == call_hash(call["callSid"])]
        return sum(line["turns"].get("not_relevant", 0) for line in told)

    async def asked(self) -> list[list[str]]:
        """What was asked and answered in each call, whose suggestions are numbered without a gap."""
        found = []
        for held in await kept(self.stage, self.calls):
            assert [item["seq"] for item in held.items] == list(range(1, len(held.items) + 1))
            found.append([question for item in held.items for question in item["question"].split(" / ")])
        return found


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


def back(watch: Watch, call: Call, since: int) -> float | None:
    """When (epoch seconds) the agent read that the call is live again."""
    name = names.suggestions_map(call["callSid"])
    found = [e for e in watch.events if e["type"] == "sync" and e["uniqueName"] == name and e.get("key") == names.STATUS_KEY]
    return next((float(e["at"]) for e in found if e["data"]["state"] == "live" and e["data"]["generation"] > since), None)


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

    async def at_relay(pod: Json) -> list[Call]:
        return [
            call
            for call, held in zip(scene.calls, await kept(scene.stage, scene.calls), strict=True)
            if held.document and held.document["owner"].startswith(f"{pod['status']['podIP']}:")
        ]

    async def generations() -> dict[str, int]:
        held = await kept(scene.stage, scene.calls)
        return {call["callSid"]: one.document["generation"] if one.document else 0 for call, one in zip(scene.calls, held, strict=True)}

    await scene.kubectl("cordon", STAYS)
    await scene.kubectl("uncordon", GOES)
    await scene.change(replicas=2)
    await scene.are_ready(2)
    [doomed] = on(STAYS, await asyncio.to_thread(cluster.ready))
    hit, since = await at_relay(doomed), await generations()
    assert len(hit) == CALLS
    await asyncio.sleep(6)  # until the operator has told the relays of each other
    at = time.time()
    await asyncio.to_thread(kill, doomed)
    await strike("SIGKILL of a relay", at, 5.0)

    await scene.kubectl("uncordon", STAYS)
    await scene.are_ready(2)
    [doomed] = on(GOES, await asyncio.to_thread(cluster.ready))
    hit, since = await at_relay(doomed), await generations()
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
