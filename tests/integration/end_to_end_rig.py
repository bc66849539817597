"""All parts as processes, for tests: a stage, short recordings cut from a sample call, and what Sync shows."""

from __future__ import annotations

import asyncio
import json
import wave
from pathlib import Path
from typing import Any

from voiceassist_crds import names
from voiceassist_demo.feed import Event, follow
from voiceassist_demo.stage import Stage

CALLS = Path(__file__).parents[2] / "examples" / "calls"


def cut(folder: Path, *utterances: str, call: str = "lost-parcel", before: int = 300, after: int = 1500) -> Path:
    """A recording from `before` ms ahead of the first of these utterances until `after` ms behind the last."""
    told = {one["id"]: one for one in json.loads((CALLS / f"{call}.json").read_text())["utterances"]}
    begin = told[utterances[0]]["startMs"] - before
    end = told[utterances[-1]]["endMs"] + after
    path = folder / f"{call}-{'-'.join(utterances)}-{before}-{after}.wav"
    with wave.open(str(CALLS / f"{call}.wav")) as source, wave.open(str(path), "wb") as target:
        target.setparams(source.getparams())
        source.setpos(begin * 8)
        target.writeframes(source.readframes((end - begin) * 8))
    return path


class Watch:
    """Follows the Twilio stand-in's feed while in use."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.events: list[Event] = []

    async def __aenter__(self) -> Watch:
        ready = asyncio.Event()
        self._task = asyncio.create_task(follow(self._stage.http, f"{self._stage.twilio_url}/_sim/events", self.events.append, ready))
        await asyncio.wait_for(ready.wait(), 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def messages(self, call: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        """What was published on the call's Stream, of one type."""
        prefix = names.sync_stream(call["callSid"], "")
        return [
            e["data"]
            for e in self.events
            if e["type"] == "sync" and e["event"] == "message" and e["uniqueName"].startswith(prefix) and e["data"]["type"] == kind
        ]

    def items(self, call: dict[str, Any]) -> list[dict[str, Any]]:
        """Finished suggestions in the call's Map, in the order in which they were added."""
        return [data for _, data in self.timed_items(call)]

    def timed_items(self, call: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
        """The same, each with when (epoch seconds) it was added."""
        name = names.suggestions_map(call["callSid"])
        return [
            (float(e["at"]), e["data"])
            for e in self.events
            if e["type"] == "sync" and e["event"] == "item_added" and e["uniqueName"] == name and e["key"] != names.STATUS_KEY
        ]

    def states(self, call: dict[str, Any]) -> list[tuple[str, str]]:
        """The Map's status item as it went: state and reason."""
        name = names.suggestions_map(call["callSid"])
        return [
            (e["data"]["state"], e["data"]["reason"])
            for e in self.events
            if e["type"] == "sync"
            and e["event"] in {"item_added", "item_updated"}
            and e["uniqueName"] == name
            and e.get("key") == names.STATUS_KEY
        ]

    def document(self, call: dict[str, Any]) -> dict[str, Any]:
        """The call's Document as it is."""
        name = names.call_document(call["callSid"])
        return [e["data"] for e in self.events if e["type"] == "sync" and e.get("uniqueName") == name and e.get("data")][-1]

    def ended(self, call: dict[str, Any]) -> bool:
        """Whether the call is over at Twilio."""
        return any(e["type"] == "call" and e["event"] == "ended" and e["callSid"] == call["callSid"] for e in self.events)


async def start(stage: Stage, recording: Path, relay: Any = None, **more: Any) -> dict[str, Any]:
    """A call whose assist is started; ends with the recording."""
    call = await stage.new_call(recording, **{"hangUp": "recording", **more})
    status, answer = await stage.act("start", call, relay)
    assert status == 200, answer
    return {**call, "answer": answer}


async def sessions(stage: Stage, kind: str | None = None) -> list[dict[str, Any]]:
    """The model stand-in's sessions; the relay's own check (no audio) is left out."""
    told = (await stage.get(f"{stage.model_url}/_sim/sessions"))["sessions"]
    return [
        one
        for one in told
        if (kind is None or one["kind"] == kind) and (one["bytesHeard"] or one["received"].get("input_audio_buffer.append"))
    ]


async def streams(stage: Stage, call: dict[str, Any]) -> list[dict[str, Any]]:
    """The media streams of a call, as the Twilio stand-in saw them."""
    told = (await stage.get(f"{stage.twilio_url}/_sim/streams"))["streams"]
    return [one for one in told if one["callSid"] == call["callSid"]]
