"""For tests of faults on the whole line: recordings full of questions, what the model finished, and what Sync holds of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
import wave
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from integration.end_to_end_rig import CALLS, sessions
from support.eventually import eventually
from voiceassist_crds import names
from voiceassist_demo.stage import HOST, RelayProcess, Stage
from voiceassist_sim.twilio.streams.signature import sign

QUESTIONS = (
    ("card-charge", "c4"),
    ("insurance-deductible", "c3"),
    ("card-charge", "c5"),
    ("insurance-deductible", "c5"),
    ("lost-parcel", "c4"),
)
"""Short questions of the customer, 1.5 to 2.1 s each."""
PAUSE_MS = 2000
"""Silence behind each: the turn ends, and the answer is written."""

SELDOM = 0.3
"""Seconds between two looks at all that Sync holds: what many calls have stored is much, and the stand-in has calls to serve."""

Call = Mapping[str, Any]


def asking(folder: Path, seconds: float) -> Path:
    """A recording of at least so many seconds in which the customer asks one question after the other, some 4 s each."""
    path = folder / f"asking-{seconds:g}.wav"
    if path.exists():
        return path
    parts: list[bytes] = []
    frames = 0
    with wave.open(str(path), "wb") as target:
        while frames < seconds * 8000:
            call, utterance = QUESTIONS[len(parts) % len(QUESTIONS)]
            told = {one["id"]: one for one in json.loads((CALLS / f"{call}.json").read_text())["utterances"]}[utterance]
            with wave.open(str(CALLS / f"{call}.wav")) as source:
                if not parts:
                    target.setparams(source.getparams())
                source.setpos((told["startMs"] - 200) * 8)
                length = (told["endMs"] - told["startMs"] + 200) * 8
                silence = bytes(PAUSE_MS * 8 * source.getsampwidth() * source.getnchannels())
                parts.append(source.readframes(length) + silence)
            frames += length + PAUSE_MS * 8
        target.writeframes(b"".join(parts))
    return path


@dataclass(frozen=True)
class Answered:
    """A suggestion, as the model finished it or as the Map holds it."""

    item: str
    question: str
    answer: str


async def finished(stage: Stage) -> list[list[Answered]]:
    """What the model finished that is relevant, by its own account: one list for each conversation, in order."""
    found = []
    for session in await sessions(stage, "realtime"):
        said = []
        for response in session["responses"]:
            if response["status"] != "completed":
                continue
            told = json.loads(response["arguments"])
            if told["relevant"]:
                said.append(Answered(response["outputItems"][-1], told["question"], told["answer"]))
        found.append(said)
    return found


@dataclass(frozen=True)
class Kept:
    """What Sync holds of one call."""

    items: list[dict[str, Any]]
    """The Map's suggestions by their keys."""
    status: dict[str, Any] | None
    readers: set[str]
    document: dict[str, Any] | None

    def of(self, generation: int | None = None) -> list[Answered]:
        """The suggestions of one generation, or of all, in the order of their keys."""
        told = [(*one["id"].split("-", 1), one["question"], one["answer"]) for one in self.items]
        return [Answered(*rest) for prefix, *rest in told if generation is None or prefix == f"g{generation}"]


async def kept(stage: Stage, calls: Iterable[Call]) -> list[Kept]:
    """What Sync holds of these calls."""
    told = (await stage.get(f"{stage.twilio_url}/_sim/sync"))["objects"]
    by_name = {one["uniqueName"]: one for one in told}
    found = []
    for call in calls:
        held = by_name.get(names.suggestions_map(call["callSid"]), {"items": [], "permissions": []})
        items = sorted((one["key"], one["data"]) for one in held["items"] if one["key"] != names.STATUS_KEY)
        for key, data in items:
            assert int(key) == data["seq"]
        status = next((one["data"] for one in held["items"] if one["key"] == names.STATUS_KEY), None)
        document = by_name.get(names.call_document(call["callSid"]), {}).get("data")
        readers = {one["identity"] for one in held["permissions"] if one["read"]}
        found.append(Kept([data for _, data in items], status, readers, document))
    return found


def assert_nothing_lost(said: list[list[Answered]], held: list[Kept]) -> int:
    """Every suggestion that the model finished is in the Map of one call: once, in order, and nothing else is. How many there are."""
    for one in held:
        assert [item["seq"] for item in one.items] == list(range(1, len(one.items) + 1)), "numbers without a gap"
    stored = sorted([one.of() for one in held if one.items], key=repr)
    wanted = sorted([one for one in said if one], key=repr)
    missing = [one for one in wanted if one not in stored]
    assert stored == wanted, f"{len(missing)} of {len(wanted)} conversations differ; the first: {missing[:1]}"
    return sum(len(one) for one in stored)


def strays(said: list[list[Answered]], held: list[Kept]) -> list[list[Answered]]:
    """Conversations of which nothing was stored: of streams that were made, heard, and found not wanted before they were live."""
    stored = {one.item for call in held for one in call.of()}
    return [one for one in said if one and not any(answered.item in stored for answered in one)]


async def all_over(stage: Stage, calls: list[Call], seconds: float) -> None:
    """Waits until each call's Document and status say how it ended, which comes behind its last suggestion."""
    over = {"stopped", "lost"}

    async def ended() -> bool:
        await asyncio.sleep(SELDOM)
        held = await kept(stage, calls)
        return all(one.document and one.status and {one.document["state"], one.status["state"]} <= over for one in held)

    await eventually(ended, seconds=seconds, what="the end of every call")


async def hang_up(stage: Stage, calls: Iterable[Call]) -> None:
    """Both sides of these calls go on talking, and then the calls are over: however slow the machine, not earlier."""
    for call in calls:
        status, _ = await stage.send("POST", f"{stage.twilio_url}/_sim/calls/{call['callSid']}/complete", {})
        assert status == 200


async def all_flushed(stage: Stage, seconds: float, relay: RelayProcess | None = None) -> None:
    """Waits until no call is left at a relay: each has ended, and what it had for Sync is stored or given up."""

    async def idle() -> bool:
        await asyncio.sleep(SELDOM)
        return value(await stage.metrics(relay), "active_calls") == 0

    await eventually(idle, seconds=seconds, what="the end of every flush")


async def set_faults(stage: Stage, *rules: Mapping[str, Any], seed: int = 0) -> None:
    """Puts faults of the Twilio stand-in into force, instead of those before."""
    status, told = await stage.send("PUT", f"{stage.twilio_url}/_sim/faults", {"rules": list(rules), "seed": seed})
    assert status == 200, told


async def struck(stage: Stage) -> int:
    """How often the faults in force have struck."""
    return sum(rule["fired"] for rule in (await stage.get(f"{stage.twilio_url}/_sim/faults"))["rules"])


async def lead_to(stage: Stage, *relays: RelayProcess) -> None:
    """Lets the public name lead to one of these relays, by chance, from now on: new streams and callbacks; sockets that are open stay."""
    addresses = ",".join(f"127.0.0.1:{relay.port}" for relay in relays)
    await stage.send("PUT", f"{stage.twilio_url}/_sim/settings", {"connectTo": {HOST: addresses}})


async def states(stage: Stage, calls: list[Call]) -> list[str]:
    """The state in each call's Document; empty where there is none."""
    return ["" if one.document is None else one.document["state"] for one in await kept(stage, calls)]


async def all_live(stage: Stage, calls: list[Call], seconds: float = 45.0) -> None:
    """Waits until the Documents of all these calls say live."""

    async def live() -> bool:
        await asyncio.sleep(SELDOM)
        return set(await states(stage, calls)) == {"live"}

    await eventually(live, seconds=seconds, what="every call live")


async def callback(stage: Stage, relay: RelayProcess, call: Call, stream: Mapping[str, Any], event: str, **more: str) -> int:
    """A stream status callback as Twilio signs it, sent to one relay; gives the answer's status."""
    form = {
        "AccountSid": stage.account.account_sid,
        "CallSid": call["callSid"],
        "StreamSid": stream["streamSid"],
        "StreamName": stream["name"],
        "StreamEvent": event,
        "Timestamp": "2026-11-23T12:00:00.000Z",
        **more,
    }
    url = stage.config().public_url(names.CALLBACK_PATH)
    headers = {"X-Twilio-Signature": sign(stage.account.auth_token, url, form)}
    async with stage.http.post(f"{relay.public}{names.CALLBACK_PATH}", data=form, headers=headers) as answer:
        return answer.status


def value(metrics: Mapping[str, float], name: str, **labels: str) -> float:
    """The sum over a metric's series that have these labels, whatever others they have; 0 if there is none."""
    found = 0.0
    for series, number in metrics.items():
        family, _, rest = series.partition("{")
        if family == name and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', rest)).items():
            found += number
    return found


class Polls:
    """Asks a relay's private port again and again until it is gone: what was answered, and when (seconds, monotonic)."""

    def __init__(self, relay: RelayProcess) -> None:
        self._relay = relay
        self.metrics_at: list[float] = []
        self.unready_at: float | None = None
        self.calls_at_unready: float | None = None
        self.failed: list[tuple[float, str]] = []

    async def run(self) -> None:
        """Until the process has ended."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while self._relay.child.running:
                began = time.monotonic()
                try:
                    async with http.get(f"{self._relay.private}/readyz") as ready, http.get(f"{self._relay.private}/metrics") as metrics:
                        text = await metrics.text()
                        self.metrics_at.append(time.monotonic())
                        if ready.status == 503 and self.unready_at is None:
                            self.unready_at = time.monotonic()
                            found = re.search(r"^voiceassist_relay_active_calls(?:{[^}]*})? (\S+)$", text, re.MULTILINE)
                            self.calls_at_unready = float(found[1]) if found else None
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self.failed.append((began, repr(error)))
                await asyncio.sleep(0.1)
