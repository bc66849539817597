"""Plays calls on a stage, as agents with the plugin would, and gathers what became of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from voiceassist_crds import names
from voiceassist_relay.logs import call_hash
from voiceassist_sim.audio import CallRecording, load_call

from .attribution import KINDS, Track, claim_parts, claim_whole
from .chain import as_sent
from .errors import DemoError
from .feed import Event, follow
from .report import CallFacts
from .stage import Stage

AFTER_SECONDS = 30.0
"""How long a call's suggestions may take to be stored after its end."""
LATE_SECONDS = 60.0
"""How much longer than its recording a call may take; its report then shows what is missing."""


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
        elif event["type"] == "sync" and event.get("key") == names.STATUS_KEY:
            facts = self.calls.get(str(event["uniqueName"]).removeprefix(names.suggestions_map("")))
            if facts is not None:
                facts.trouble = str(event["data"]["message"]) if event["data"]["state"] == "failed" else facts.trouble


def summaries(log: Path) -> dict[str, dict[str, Any]]:
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
    """Plays all recordings at once, one call each, to their ends. Raises DemoError."""
    gathering, ready = Gathering(), asyncio.Event()
    loaded = {path: load_call(path) for path in recordings}
    feed = asyncio.create_task(follow(stage.http, f"{stage.twilio_url}/_sim/events", gathering.take, ready))
    try:
        await asyncio.wait_for(ready.wait(), 10)
        calls = [await stage.new_call(recording.resolve(), hangUp="recording") for recording in recordings]
        for call in calls:
            gathering.add(call["callSid"])
        for call in calls:
            status, answer = await stage.act("start", call)
            if status != 200:
                raise DemoError(f"/stream start answered {status}: {json.dumps(answer)}")
        longest = max(recording.duration_ms for recording in loaded.values()) / 1000
        ends = asyncio.create_task(_all(gathering.ended.values()))
        await asyncio.wait({feed, ends}, timeout=longest + LATE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ends.cancel()
        if feed.done():
            raise DemoError(f"the Twilio stand-in went away: {stage.last_words('twilio')}")
        facts = [gathering.calls[call["callSid"]] for call in calls]
        await _stored(stage, facts)
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
    streams = (await stage.get(f"{stage.twilio_url}/_sim/streams"))["streams"]
    for one in facts:
        one.streams = [stream for stream in streams if stream["callSid"] == one.call_sid]
    if stage.model_url:
        for one, path in zip(facts, recordings, strict=True):
            one.tracks = sent(one, loaded[path])
        await _listen(stage, [track for one in facts for track in one.tracks.values()])
    return facts


async def _all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


def sent(call: CallFacts, recording: CallRecording) -> dict[str, Track]:
    """What Twilio sent of a call, by track. Its audio is left open where it is not the recording's, as with a second stream."""
    tracks: dict[str, Track] = {}
    for stream in call.streams:
        for name, ledger in stream["tracks"].items():
            audio = as_sent(recording.customer if name == "inbound" else recording.agent, ledger["bytes"])
            known = hashlib.sha256(audio).hexdigest() == ledger["sha256"] and name not in tracks
            size = ledger["bytes"] + (tracks[name].size if name in tracks else 0)
            tracks[name] = Track(KINDS[name], ledger["sha256"], size, audio if known else None)
    return tracks


async def _listen(stage: Stage, tracks: Sequence[Track]) -> None:
    """Gives each track the sessions that heard it."""
    left = claim_whole(tracks, (await stage.get(f"{stage.model_url}/_sim/sessions"))["sessions"])
    claim_parts(tracks, [(one, await stage.get_bytes(f"{stage.model_url}/_sim/sessions/{one['id']}/audio")) for one in left])


async def _stored(stage: Stage, facts: Sequence[CallFacts]) -> None:
    """Waits for the relay's last word on every call; a call without one was never bridged, which the report shows."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AFTER_SECONDS
    while True:
        told = summaries(stage.relay.child.log)
        if all(call_hash(one.call_sid) in told for one in facts) or loop.time() > deadline:
            break
        await asyncio.sleep(0.1)
    for one in facts:
        one.summary = told.get(call_hash(one.call_sid), {})
