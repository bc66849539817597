"""Calls through the ingress controller on two nodes, and what is done to their relays meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from cluster.lab import Lab
from cluster.moves_rig import Call, ClusterStage, until
from cluster.standing import Json, put
from integration.end_to_end_rig import Watch, sessions
from integration.faults_rig import all_live, hang_up, kept
from integration.moves_rig import accounted
from support.eventually import eventually
from voiceassist_crds import names
from voiceassist_demo.stage import Stage
from voiceassist_relay.logs import call_hash

STAYS, GOES = "node0", "node1"
"""The nodes with the stand-ins and the operator, and the one that is drained and lost."""


def on(node: str, pods: Sequence[Json]) -> list[Json]:
    return [pod for pod in pods if pod["spec"].get("nodeName") == node]


class Scene:
    """Calls, and what is done to their relays."""

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

    def status(self, call: Call) -> list[dict[str, Any]]:
        """What the agent's page was told of the call's state, by the feed."""
        name = names.suggestions_map(call["callSid"])
        return [
            dict(one)
            for one in self.watch.events
            if one["type"] == "sync" and one["uniqueName"] == name and one.get("key") == names.STATUS_KEY and one.get("data")
        ]

    async def at_relay(self, pod: Json) -> list[Call]:
        """The calls whose Documents name this relay."""
        return [
            call
            for call, held in zip(self.calls, await kept(self.stage, self.calls), strict=True)
            if held.document and held.document["owner"].startswith(f"{pod['status']['podIP']}:")
        ]

    async def generations(self) -> dict[str, int]:
        """The generation of each call's stream."""
        held = await kept(self.stage, self.calls)
        return {call["callSid"]: one.document["generation"] if one.document else 0 for call, one in zip(self.calls, held, strict=True)}


def back(watch: Watch, call: Call, since: int) -> float | None:
    """When (epoch seconds) the agent read that the call is live again."""
    name = names.suggestions_map(call["callSid"])
    found = [e for e in watch.events if e["type"] == "sync" and e["uniqueName"] == name and e.get("key") == names.STATUS_KEY]
    return next((float(e["at"]) for e in found if e["data"]["state"] == "live" and e["data"]["generation"] > since), None)
