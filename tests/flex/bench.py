"""Latency to the pixel: how long after the customer's last audio frame a draft is painted in Flex, and what of it is the relay's.

    tools/bench.py flex [--quick] [--json]

Every draft that was painted counts. The relay's part ends when Sync has accepted the draft; Sync's socket, the panel and the painting are
what comes on top. All clocks are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from voiceassist_crds import names
from voiceassist_demo.errors import DemoError
from voiceassist_demo.feed import Event, follow
from voiceassist_demo.flex import chromium
from voiceassist_demo.flex.preparing import prepare
from voiceassist_demo.flex.progress import Progress
from voiceassist_demo.stage import Stage, sample_calls

from .rig import Desk, control

BOUND_MS = 60.0
"""What Sync's socket and the painting may add at the 95th percentile."""
PAINTED = """() => {
  window.painted = {};
  const channel = new MessageChannel();
  let waiting = [];
  channel.port1.onmessage = () => {
    const now = performance.timeOrigin + performance.now();
    for (const key of waiting) window.painted[key] ??= now;
    waiting = [];
  };
  const look = () => requestAnimationFrame(() => {
    for (const card of document.querySelectorAll('[data-testid=voice-assist-suggestion][aria-busy]')) {
      waiting.push(`${card.dataset.id}|${card.querySelector('p').textContent}`);
    }
    channel.port2.postMessage(0);
  });
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
"""The frame after a change, and the first task after it, when its pixels have been handed over."""


@dataclass(frozen=True, slots=True)
class Painted:
    """One draft; milliseconds after the customer's last audio frame."""

    accepted: float
    painted: float

    @property
    def added(self) -> float:
        """What the relay has no part in."""
        return self.painted - self.accepted


def share(values: list[float], part: float) -> float:
    """A percentile of measured values (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


async def one_call(desk: Desk, recording: Path, events: list[Event]) -> list[Painted]:
    """Plays a call and gives its drafts."""
    stage = desk.stage
    ends = sorted(
        one["endMs"] for one in json.loads(recording.with_suffix(".json").read_text())["utterances"] if one["speaker"] == "customer"
    )
    mark = len(events)
    call = await desk.take(recording, hangUp="recording")
    await desk.page.evaluate(PAINTED)
    await desk.start_button.click()
    await desk.is_in("listening")
    await desk.is_in("off", 120)
    painted: dict[str, float] = await desk.page.evaluate("window.painted")
    await desk.clear()
    stream = names.sync_stream(call["callSid"], "")
    began = next(
        one["at"] for one in events[mark:] if one["type"] == "call" and one["event"] == "playing" and one["callSid"] == call["callSid"]
    )
    found = []
    for event in events[mark:]:
        if event["type"] != "sync" or event["event"] != "message" or not str(event["uniqueName"]).startswith(stream):
            continue
        data = event["data"]
        seen = painted.get(f"{data['id']}|{data['answer']}") if data["type"] == "draft" else None
        before = [end for end in ends if began + end / 1000 < event["at"]]
        if seen is not None and before:
            spoken = 1000 * began + before[-1]
            found.append(Painted(1000 * event["at"] - spoken, seen - spoken))
    await control(stage, "PUT", "browser/notification-faults", {"rules": []})
    return found


async def measure(calls: int) -> list[Painted]:
    """Plays so many calls, one after the other. Raises DemoError where something is missing."""
    progress = Progress()
    files = await prepare(progress)
    progress.end()
    found: list[Painted] = []
    with tempfile.TemporaryDirectory(prefix="voiceassist-bench-") as folder:
        async with Stage(Path(folder), calls=sample_calls(), flex=files) as stage, async_playwright() as playwright:
            await stage.configure_flex()
            events: list[Event] = []
            ready = asyncio.Event()
            feed = asyncio.create_task(follow(stage.http, f"{stage.twilio_url}/_sim/events", events.append, ready))
            await asyncio.wait_for(ready.wait(), 10)
            arguments = [*stage.browser["chromiumArguments"], *chromium.arguments(), "--disable-gpu"]
            browser = await playwright.chromium.launch(executable_path=chromium.program(), args=arguments)
            try:
                desk = await Desk.open(stage, browser)
                for recording in itertools.islice(itertools.cycle(sorted(sample_calls().glob("*.wav"))), calls):
                    found += await one_call(desk, recording, events)
            finally:
                feed.cancel()
                await asyncio.gather(feed, return_exceptions=True)
                await browser.close()
    return found


def result_of(found: list[Painted]) -> dict[str, Any]:
    """Percentiles in milliseconds."""
    columns = {"relay": [one.accepted for one in found], "painted": [one.painted for one in found], "added": [one.added for one in found]}
    shown = {name: {"p50": round(share(values, 0.5), 1), "p95": round(share(values, 0.95), 1)} for name, values in columns.items()}
    return {"drafts": len(found), "boundMs": BOUND_MS, **shown}


def main() -> int:
    """Exit 0 if it was measured, whatever came out; 2 if it could not be."""
    parser = argparse.ArgumentParser(prog="tools/bench.py flex", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one call in place of six")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    options = parser.parse_args()
    try:
        found = asyncio.run(measure(1 if options.quick else 6))
    except DemoError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if not found:
        print("bench: no draft was painted", file=sys.stderr)
        return 2
    result = result_of(found)
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"From the customer's last audio frame to the draft, {result['drafts']} drafts, ms       p50     p95")
    for name, words in (
        ("relay", "accepted by Sync (the relay's part)"),
        ("painted", "painted in Flex"),
        ("added", "what the socket and painting add"),
    ):
        print(f"  {words:72}{result[name]['p50']:8.1f}{result[name]['p95']:8.1f}")
    print(f"  aim: at most {BOUND_MS:.0f} ms are added at p95: {'kept' if result['added']['p95'] < BOUND_MS else 'NOT kept here'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
