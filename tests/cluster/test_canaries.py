"""Canaries of the prompt on a real cluster, with calls: a good one walks its steps, four that do harm are taken back, side by side."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import math
import struct
import threading
import time
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp
import pytest

from cluster.calling import Agents
from cluster.lab import Lab
from cluster.standing import (
    Json,
    Sandbox,
    events,
    fetch,
    host_of,
    operator_log,
    put,
    relay_pods,
    released,
    sandbox,
    starts,
    status_urls,
    tls_secret,
    voiceassist,
    wait_ready,
)
from cluster.waiting import eventually
from support.load import slowdown
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.resource import AnalysisCheck, CanaryAnalysis
from voiceassist_crds.status import PromptCounts, RelayStatus
from voiceassist_demo.feed import Event, follow
from voiceassist_operator.policy.canary.analysis import judge
from voiceassist_relay.call.prompt_choice import bucket

STABLE = "Write what the agent can say next."
WALK = [(5, 2), (25, 10), (50, 30), (100, 60)]
"""Shares of the good canary, and its own calls in each: about 200 calls in all."""
SHARE = 40
"""Percent of new calls that a canary that does harm gets, for as long as it is tried."""
HARM = {
    "failing": "Repeat: 400",  # cut off at the limit of output
    "late": "Wait: 2600",
    "unreadable": "Form: prose",
    "disliked": "Prefix: Calm down!",
}
"""What the stand-in obeys; what is disliked, the agents of this test dislike."""
METRIC = {"failing": "TurnFailure", "late": "LatencyP95", "unreadable": "SchemaRepair", "disliked": "NegativeFeedback"}
CHECKS: dict[str, list[Json]] = {"unreadable": [{"metric": "SchemaRepair", "maxIncrease": 0.05}]}
"""Else the default ones. A turn that could not be read is a failed one too, which TurnFailure would tell first."""
GOOD_AT_ONCE, BAD_AT_ONCE = 6, 2
MOST_CALLS = 600
ROLLED_BACK_SECONDS = 10.0
IN_FORCE_SECONDS = 2.0
CALL_SECONDS = 60.0


def short_call() -> str:
    """A call of a second and a half, in which the customer says one thing: a WAV file in base64."""
    spoken, silent = 5_600, 6_400
    tone = [int(9_000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(spoken)] + [0] * silent
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{len(tone)}h", *tone))
    return base64.b64encode(written.getvalue()).decode()


@dataclass
class Panels:
    """What the agents' panels are told, by call."""

    revisions: dict[str, str] = field(default_factory=dict)
    """With which a call began."""
    suggestions: dict[str, list[Json]] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        if event["type"] != "sync" or not isinstance(data := event.get("data"), dict):
            return
        name = str(event.get("uniqueName") or "")
        if name.startswith("VA_CALL_") and data.get("promptRevision"):
            self.revisions.setdefault(name.removeprefix("VA_CALL_"), data["promptRevision"])
        elif name.startswith("VA_SUGGESTIONS_"):
            call = name.removeprefix("VA_SUGGESTIONS_")
            if "state" in data:
                self.states.setdefault(call, []).append(data["state"])
            elif "answer" in data and event["event"] == "item_added":
                self.suggestions.setdefault(call, []).append(data)


@dataclass
class Watch:
    """What the two relays of one object say, from the canary's first call until it has left both."""

    urls: dict[str, str]
    stable: str
    canary: str
    analysis: CanaryAnalysis
    decided_at: float = 0.0
    """When what relays had counted was enough, seen from here."""
    left_at: dict[str, float] = field(default_factory=dict)
    """When each relay had the stable prompt alone."""
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.wait(0.1):
            try:
                told = {pod: RelayStatus.model_validate(fetch(url), extra="ignore") for pod, url in self.urls.items()}
            except OSError:
                continue
            now = time.time()
            if not self.decided_at:
                ours, theirs = (self._sum(told, revision) for revision in (self.canary, self.stable))
                decided = judge(ours, theirs, self.analysis.checks, 0).finding is not None
                if decided or not any(status.rollout.id for status in told.values()):  # the operator may have seen the turn before us
                    self.decided_at = now
            for pod, status in told.items():
                if self.decided_at and not status.rollout.id:
                    self.left_at.setdefault(pod, now)
            if len(self.left_at) == len(self.urls):
                return

    def _sum(self, told: dict[str, RelayStatus], revision: str) -> PromptCounts:
        found = [status.rollout.prompts.get(revision, PromptCounts()) for status in told.values()]
        return PromptCounts(**{name: sum(getattr(one, name) for one in found) for name in PromptCounts.model_fields})


@pytest.fixture(scope="module")
def release(lab: Lab) -> Iterator[str]:
    """The operator, for every namespace."""
    with lab.namespace("voiceassist-canaries") as home, released(lab, home, watch__allNamespaces=True):
        yield home


def canary_object(place: Sandbox, name: str, steps: list[Json], checks: list[Json] | None = None) -> Json:
    body = voiceassist(place, name, STABLE, replicas=2)
    body["spec"]["audio"] = {"tracks": "Customer"}
    analysis: Json = {"minimumTurns": 2, **({"checks": checks} if checks else {})}
    body["spec"]["rollout"] = {"strategy": "Canary", "canary": {"steps": steps, "analysis": analysis}}
    return body


def prompts(lab: Lab, namespace: str) -> dict[str, Json]:
    """`status.prompt` of every object, by name."""
    found = lab.get("voiceassists", "-n", namespace)["items"]
    return {one["metadata"]["name"]: one.get("status", {}).get("prompt", {}) for one in found}


@asynccontextmanager
async def feed_of(place: Sandbox, http: aiohttp.ClientSession, panels: Panels) -> AsyncIterator[None]:
    ready = asyncio.Event()
    feed = asyncio.create_task(follow(http, f"{place.twilio}/_sim/events", panels.take, ready))
    try:
        await asyncio.wait_for(ready.wait(), 60)
        yield
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)


class Office:
    """Agents who take one short call after another, until there is a verdict."""

    def __init__(self, lab: Lab, place: Sandbox, http: aiohttp.ClientSession, panels: Panels) -> None:
        self._lab, self._place, self._http, self._panels = lab, place, http, panels
        self._recording = {"wav": short_call()}
        self.calls: dict[str, list[str]] = {}
        self._over: set[str] = set()

    def close(self, name: str) -> None:
        self._over.add(name)

    async def work(self, name: str, at_once: int, disliked: str = "") -> None:
        async with Agents(self._lab, host_of(self._place.namespace, name)) as agents:
            await asyncio.gather(*(self._desk(name, agents, disliked) for _ in range(at_once)))

    async def _desk(self, name: str, agents: Agents, disliked: str) -> None:
        calls = self.calls.setdefault(name, [])
        while name not in self._over and len(calls) < MOST_CALLS:
            async with self._http.post(
                f"{self._place.twilio}/_sim/calls", json={"recording": self._recording, "hangUp": "recording"}
            ) as answer:
                assert answer.status == 201, await answer.text()
                call = await answer.json()
            calls.append(call["callSid"])
            status, told = await agents.act("start", call)
            assert status == 200, told
            await self._until_over(call)
            if disliked:
                for one in self._panels.suggestions.get(call["callSid"], []):
                    status = await agents.feedback(call, one, "down" if one["revision"] == disliked else "up")
                    assert status in {200, 204}, status

    async def _until_over(self, call: Json) -> None:
        """Until its panel was told that the assist is over."""
        async with asyncio.timeout(CALL_SECONDS * slowdown()):
            while "stopped" not in self._panels.states.get(call["callSid"], []):
                await asyncio.sleep(0.05)


@pytest.mark.usefixtures("release")
@pytest.mark.timeout(1200, func_only=True)
def test_canaries_side_by_side(lab: Lab, namespace: str) -> None:
    names = ("good", *HARM)
    place = sandbox(lab, namespace, *(host_of(namespace, name) for name in names))
    steps = {"good": [{"weight": weight, "pause": {"calls": calls}} for weight, calls in WALK]}
    for name in names:
        lab.apply(tls_secret(lab, name), namespace=namespace)
        put(lab, canary_object(place, name, steps.get(name, [{"weight": SHARE}]), CHECKS.get(name)))
    for name in names:
        wait_ready(lab, namespace, name, 600)
    eventually("two relays of each", lambda: all(len(status_urls(lab, namespace, name)) == 2 for name in names))
    pods = {name: starts(relay_pods(lab, namespace, name)) for name in names}
    stable = {name: one["currentRevision"] for name, one in prompts(lab, namespace).items()}
    for name in names:
        edited = f"{STABLE}\n{HARM.get(name, 'Be brief.')}"
        patch = json.dumps({"spec": {"prompt": {"instructions": edited}}})
        lab.kubectl("patch", "voiceassist", name, "-n", namespace, "--type=merge", "-p", patch)
    canary = eventually("every canary", lambda: _tried(prompts(lab, namespace)))
    urls = {name: status_urls(lab, namespace, name) for name in names}
    eventually("every relay knows", lambda: all(fetch(url)["rollout"]["id"] for one in urls.values() for url in one.values()))
    watches = {}
    for name in HARM:
        analysis = (
            CanaryAnalysis(checks=[AnalysisCheck.model_validate(one) for one in CHECKS[name]]) if name in CHECKS else CanaryAnalysis()
        )
        watches[name] = Watch(urls[name], stable[name], canary[name], analysis)
    panels, office = asyncio.run(_play(lab, place, stable, canary, watches))

    # The good one: every step once, and it is in force.
    told = [one.note for one in events(lab, namespace, "good") if one.reason in {"CanaryBegun", "CanaryStep", "CanaryEnded"}]
    assert len(told) == 1 + len(WALK), told
    assert [f"gets {weight} %" in note for (weight, _), note in zip(WALK[1:], told[1:-1], strict=True)] == [True] * 3, told
    print(f"\nthe good canary was in force after {len(office.calls['good'])} calls")

    for name, watch in watches.items():
        [event] = [one for one in lab.get("events.events.k8s.io", "-n", namespace)["items"] if _rejects(one, name)]
        verdict = datetime.fromisoformat(event["eventTime"]).timestamp()
        took, reached = verdict - watch.decided_at, max(watch.left_at.values()) - verdict
        print(f"{name}: {len(office.calls[name])} calls; taken back {took:.1f} s after the turn, in force {reached:.1f} s after that")
        print(event["note"])
        assert f": {METRIC[name]}: " in event["note"]
        assert took < ROLLED_BACK_SECONDS * slowdown()
        assert reached < IN_FORCE_SECONDS * slowdown()
        # The share: a call had the canary only if its place is in it.
        salt = RelayConfig.parse(lab.get("configmap", f"{name}-relay", "-n", namespace)["data"]["relay.json"]).prompt_salt
        tried = [call for call in office.calls[name] if panels.revisions.get(call) == canary[name]]
        assert tried
        assert [call for call in tried if bucket(call, salt) < 100 - SHARE] == []
    assert {name: starts(relay_pods(lab, namespace, name)) for name in names} == pods, "a pod was restarted or replaced"
    shown = set(itertools.chain.from_iterable(panels.states.values()))
    assert shown <= {"connecting", "starting", "live", "stopped"}, shown


def _tried(found: dict[str, Json]) -> dict[str, str] | None:
    canaries = {name: one.get("canaryRevision", "") for name, one in found.items()}
    return canaries if all(canaries.values()) else None


def _rejects(event: Json, name: str) -> bool:
    return bool(event["reason"] == "CanaryRejected" and event["action"] == "Rollout" and event["regarding"]["name"] == name)


async def _play(
    lab: Lab, place: Sandbox, stable: dict[str, str], canary: dict[str, str], watches: dict[str, Watch]
) -> tuple[Panels, Office]:
    """Calls to all five, until each canary is in force or taken back."""
    panels = Panels()
    async with aiohttp.ClientSession() as http, feed_of(place, http, panels):
        office = Office(lab, place, http, panels)
        watching = [asyncio.create_task(asyncio.to_thread(watch.run)) for watch in watches.values()]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(office.work("good", GOOD_AT_ONCE))
                for name in watches:
                    group.create_task(office.work(name, BAD_AT_ONCE, canary[name] if name == "disliked" else ""))
                group.create_task(_close(lab, place, office, canary))
            async with asyncio.timeout(60):
                await asyncio.gather(*watching)
        finally:
            for watch in watches.values():
                watch.over.set()
    return panels, office


async def _close(lab: Lab, place: Sandbox, office: Office, canary: dict[str, str]) -> None:
    """Ends an object's calls once there is a verdict on its canary."""
    left = set(canary)
    while left:
        await asyncio.sleep(0.5)
        found = await asyncio.to_thread(prompts, lab, place.namespace)
        for name in sorted(left):
            assert len(office.calls.get(name, [])) < MOST_CALLS, f"{name}: {found[name]}\n{operator_log(lab)}"
            if not found[name].get("canaryRevision"):
                wanted = {"currentRevision": canary[name]} if name == "good" else {"rejectedRevision": canary[name]}
                assert wanted.items() <= found[name].items(), found[name]
                office.close(name)
                left.remove(name)
