"""Calls through the ingress controller while everything that may happen to a cluster happens to this one, and what it costs them.

    make faults           the whole set with fifty calls; prints the table that docs/reliability.md has

Run only where VOICEASSIST_FAULTS asks for it; VOICEASSIST_FAULTS_CALLS says how many calls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from cluster import faults
from cluster.faults_rig import QUIET, FaultScene, Row, table
from cluster.lab import Lab
from cluster.moves_rig import cluster_stage, customer_on_a_line, sandbox_with, served_first, with_a_silence
from cluster.scene import GOES, STAYS
from cluster.standing import Json, Sandbox, put, released, tls_secret, voiceassist, wait_ready
from integration.end_to_end_rig import Watch
from voiceassist_demo.stage import Stage

FAULTS = bool(os.environ.get("VOICEASSIST_FAULTS"))
CALLS = int(os.environ.get("VOICEASSIST_FAULTS_CALLS", "50"))
SECONDS = 420.0
"""Of each recording: longer than an act takes on a busy machine."""
Fault = Callable[[FaultScene], Awaitable[None]]
ACTS: dict[str, tuple[Fault, ...]] = {
    "parts": (
        *(faults.rotate_secrets, faults.kill_operator, faults.kill_api_server, faults.kill_dns, faults.kill_kubelet),
        *(faults.roll_out, faults.scale_by_hand, faults.drain),
    ),
    # A call whose streams die three times within a minute of their beginnings is given up: two for each act, or a move in between.
    "deaths": (faults.kill_relay, faults.kill_ingress),
    "resources": (faults.out_of_memory, faults.roll_out, faults.full_disk),
    "clock": (faults.another_clock, faults.lose_node),
}
pytestmark = [
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.skipif(not FAULTS, reason="asked for by VOICEASSIST_FAULTS: see the file's beginning"),
]


@dataclass
class Ground:
    """What all acts stand on."""

    lab: Lab
    place: Sandbox
    body: Json
    recordings: Sequence[Path]
    quiet: Sequence[Path]
    folder: Path
    rows: list[Row]


@pytest.fixture(scope="module")
def ground(lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(2) as pool:
        recordings = list(pool.map(lambda number: customer_on_a_line(folder, SECONDS, number), range(CALLS + 3)))
    quiet = [with_a_silence(recordings.pop(), *QUIET) for _ in range(2)]
    lab.kubectl("cordon", GOES)
    try:
        with (
            lab.namespace("voiceassist-system") as home,
            lab.namespace("faults") as namespace,
            released(lab, home, watch__allNamespaces=True),
        ):
            lab.kubectl("uncordon", GOES)
            place = sandbox_with(lab, namespace, STAYS, [*recordings, *quiet])
            lab.apply(tls_secret(lab), namespace=namespace)
            body = voiceassist(place, replicas=2, drainTimeoutSeconds=300)
            body["spec"]["audio"] = {"tracks": "Customer"}
            body["spec"]["relay"]["resources"]["requests"]["cpu"] = "200m"  # a share of the machine, which other work has too
            put(lab, body)
            wait_ready(lab, namespace)
            made = Ground(lab, place, body, recordings[: CALLS + 1], quiet, folder, [])
            with served_first(lab):
                yield made
            for node in (STAYS, GOES):
                lab.kubectl("uncordon", node)
                lab.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=180s")  # for the tests behind these
    finally:
        lab.kubectl("uncordon", GOES)
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{table(made.rows)}")


def play(ground: Ground, act: str) -> None:
    asyncio.run(_play(ground, act))


async def _play(ground: Ground, act: str) -> None:
    async with cluster_stage(ground.lab, ground.place, ground.folder / act) as stage, Watch(cast(Stage, stage)) as watch:
        status, told = await stage.send("DELETE", f"{stage.model_url}/_sim/sessions")
        assert status == 200, told
        scene = FaultScene(ground.lab, stage, watch, ground.body, ground.recordings[:-1])
        await faults.spread(scene)
        await scene.first(ground.rows, ground.recordings[-1])
        quiet = ground.quiet if act == "parts" else ()
        try:
            async with asyncio.TaskGroup() as group:
                for number, recording in enumerate(quiet):
                    group.create_task(scene.quiet_call(recording, paused=bool(number)))
                for fault in ACTS[act]:
                    await fault(scene)
            await scene.last()
            scene.check()
        finally:
            await scene.hang_up()  # else the next act has these calls too


def test_faults_that_are_planned_or_in_parts_that_no_call_needs_cost_nothing(ground: Ground) -> None:
    play(ground, "parts")


def test_faults_by_which_streams_end_cost_seconds_and_no_call(ground: Ground) -> None:
    play(ground, "deaths")


def test_faults_of_memory_and_disk_cost_seconds_and_no_call(ground: Ground) -> None:
    play(ground, "resources")


def test_faults_of_a_clock_and_of_a_node_cost_seconds_and_no_call(ground: Ground) -> None:
    play(ground, "clock")
