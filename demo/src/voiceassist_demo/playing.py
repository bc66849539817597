"""Plays calls on a stage, as agents with the plugin would, and gathers what became of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceassist_crds import names
from voiceassist_relay.logs import call_hash

from .errors import DemoError
from .feed import Event, follow
from .report import CallFacts, assign_sessions
from .stage import Stage

AFTER_SECONDS = 30.0
"""How long a call's suggestions may take to be stored after its end."""


class Gathering:
    """Takes the feed's events and sorts them by call."""

    def __init__(self) -> None:
        self.calls: dict[str, CallFacts] = {}
        self.ended: dict[str, asyncio.Event] = {}

    def add(self, call_sid: str) -> None:
        """A call to watch."""
        self.calls[call_sid] = CallFacts(call_sid)
        self.ended[call_sid] = asyncio.Event()

    def take(self, event: Event) -> None:
        """One event of the feed."""
        if event["type"] == "call":
            facts = self.calls.get(event["callSid"])
            if facts is not None and event["event"] == "playing":
                facts.playing_at = event["at"]
            if facts is not None and event["event"] == "ended":
                self.ended[event["callSid"]].set()
        elif event["type"] == "sync" and event["event"] == "item_added" and event.get("key") != names.STATUS_KEY:
            facts = self.calls.get(str(event["uniqueName"]).removeprefix(names.suggestions_map("")))
            if facts is not None:
                facts.items.append((event["at"], event["data"]))


def stories(log: Path) -> dict[str, dict[str, Any]]:
    """The relay's last line about each call, by the call's hash."""
    found = {}
    for line in log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("event") == "call over":
            found[entry["call"]] = entry
    return found


async def play(stage: Stage, recordings: Sequence[Path]) -> list[CallFacts]:
    """Plays all recordings at once, one call each, to their ends."""
    gathering, ready = Gathering(), asyncio.Event()
    feed = asyncio.create_task(follow(stage.http, f"{stage.twilio_url}/_sim/events", gathering.take, ready))
    try:
        await asyncio.wait_for(ready.wait(), 10)
        calls = [await stage.new_call(recording, hangUp="recording") for recording in recordings]
        for call in calls:
            gathering.add(call["callSid"])
        for call in calls:
            status, answer = await stage.act("start", call)
            if status != 200:
                raise DemoError(f"/stream start answered {status}: {json.dumps(answer)}")
        await asyncio.gather(*(gathering.ended[call["callSid"]].wait() for call in calls))
        facts = [gathering.calls[call["callSid"]] for call in calls]
        await _stored(stage, facts)
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
    streams = (await stage.get(f"{stage.twilio_url}/_sim/streams"))["streams"]
    for one in facts:
        one.streams = [stream for stream in streams if stream["callSid"] == one.call_sid]
    if stage.model_url:
        assign_sessions(facts, (await stage.get(f"{stage.model_url}/_sim/sessions"))["sessions"])
    return facts


async def _stored(stage: Stage, facts: Sequence[CallFacts]) -> None:
    """Waits for the relay's last word on every call; a call without one was never bridged, which the report shows."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AFTER_SECONDS
    while True:
        told = stories(stage.relay.child.log)
        if all(call_hash(one.call_sid) in told for one in facts) or loop.time() > deadline:
            break
        await asyncio.sleep(0.1)
    for one in facts:
        one.story = told.get(call_hash(one.call_sid), {})
