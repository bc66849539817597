"""What the panel costs an agent's browser: script time per frame under drafts, and memory over calls. Prints a table, or JSON with --json.

Chromium draws the gallery's bench page: the plugin's core and components, without Flex and twilio-sync, fed as Sync would feed them.
Script time is what Chromium's own trace says of the page's main thread, summed between one frame's beginning and the next's. Memory is
the JavaScript heap after a collection, after each of 12 calls of 5 minutes that are played as fast as they go: an hour of calls, not an
hour of time. Before them come 24 short ones and a whole one: as long as V8 still compiles what it runs, the heap grows by that, and what
React drew last it holds until it draws again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.async_api import CDPSession, Page, async_playwright

from panel import packages
from voiceassist_demo.errors import DemoError
from voiceassist_demo.flex import chromium

SUGGESTIONS = 200
DRAFTS_PER_SECOND = 8
CALLS, MINUTES = 12, 5
FIRST_CALLS, FIRST_MINUTES = 24, 0.5
SCRIPT_EVENTS = {"FunctionCall", "EvaluateScript", "TimerFire", "FireAnimationFrame", "FireIdleCallback", "EventDispatch", "RunMicrotasks"}
CATEGORIES = ("devtools.timeline", "disabled-by-default-devtools.timeline", "disabled-by-default-devtools.timeline.frame", "v8.execute")


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def script_per_frame(events: list[dict[str, Any]], clock: str) -> list[float]:
    """Milliseconds of script between the beginnings of the main thread's frames, for frames in which a draft came (a timer fired).

    `clock`: "dur", as time passed, with what the machine's other work took of it; "tdur", as the thread ran.
    """
    spans = [e for e in events if e.get("ph") == "X" and e["name"] in SCRIPT_EVENTS]
    threads = [(e["pid"], e["tid"]) for e in spans]
    main = max(set(threads), key=threads.count)
    frames = sorted(e["ts"] for e in events if e["name"] == "BeginMainThreadFrame" and (e["pid"], e["tid"]) == main)
    found, drafted = [0.0] * (len(frames) + 1), [False] * (len(frames) + 1)
    at, covered = 0, 0.0
    for span in sorted((e for e in spans if (e["pid"], e["tid"]) == main), key=lambda e: (e["ts"], -e.get("dur", 0))):
        begin, end = float(span["ts"]), float(span["ts"] + span.get("dur", 0))
        if end <= covered:
            continue  # within one that is counted
        covered = end
        while at < len(frames) and frames[at] <= begin:
            at += 1
        found[at] += span.get(clock, 0) / 1000
        drafted[at] |= span["name"] == "TimerFire"
    return [ms for ms, came in zip(found[1:-1], drafted[1:-1], strict=True) if came]


async def traced(session: CDPSession, job: Any) -> tuple[Any, list[dict[str, Any]]]:
    """What a job returns, and the browser's trace of it."""
    events: list[dict[str, Any]] = []
    done = asyncio.Event()
    session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    session.on("Tracing.tracingComplete", lambda _: done.set())
    await session.send("Tracing.start", {"traceConfig": {"includedCategories": list(CATEGORIES)}})
    result = await job
    await session.send("Tracing.end")
    async with asyncio.timeout(60):
        await done.wait()
    return result, events


async def heap(session: CDPSession) -> dict[str, float]:
    """After a collection: the heap in MB, and how many nodes and listeners the page holds."""
    for _ in range(2):
        await session.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in (await session.send("Performance.getMetrics"))["metrics"]}
    return {"heapMb": round(found["JSHeapUsedSize"] / 1e6, 2), "nodes": found["Nodes"], "listeners": found["JSEventListeners"]}


async def measure(seconds: float, calls: int) -> dict[str, Any]:
    """Both, in one browser. Raises DemoError if the gallery cannot be made."""
    with tempfile.TemporaryDirectory(prefix="voiceassist-panel-") as folder:
        made = await packages.gallery(Path(folder))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium.program(), args=["--no-sandbox", "--disable-gpu"])
            page = await browser.new_page(viewport={"width": 480, "height": 800})
            await page.goto(made.with_name("bench.html").as_uri())
            session = await page.context.new_cdp_session(page)
            root = await browser.new_browser_cdp_session()
            result = {**await frames(page, root, seconds), **await memory(page, session, calls), "browser": browser.version}
            await browser.close()
            return result


async def frames(page: Page, root: CDPSession, seconds: float) -> dict[str, Any]:
    """Script time per frame while drafts come."""
    await page.evaluate(f"async () => {{ window.call = await bench.open({SUGGESTIONS}); }}")
    await page.evaluate(f"() => bench.run(window.call, 5, {DRAFTS_PER_SECOND})")  # the compiler has seen everything
    drafts, events = await traced(root, page.evaluate(f"() => bench.run(window.call, {seconds}, {DRAFTS_PER_SECOND})"))
    shares = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    passed, ran = (script_per_frame(events, clock) for clock in ("dur", "tdur"))
    return {
        "suggestions": SUGGESTIONS,
        "drafts": drafts,
        "draftsPerSecond": round(drafts / seconds, 1),
        "frames": len(passed),
        "scriptMs": {name: round(quantile(passed, share), 2) for name, share in shares},
        "scriptCpuMs": {name: round(quantile(ran, share), 2) for name, share in shares},
    }


async def memory(page: Page, session: CDPSession, calls: int) -> dict[str, Any]:
    """The heap before and after each call, when everything is compiled; and how many calls the page still holds (one is right)."""
    await session.send("Performance.enable")
    for number in range(FIRST_CALLS):
        await page.evaluate(f"() => bench.whole({number}, {FIRST_MINUTES})")
    found = []
    for number in range(calls + 1):
        await page.evaluate(f"() => bench.whole({FIRST_CALLS + number}, {MINUTES})")
        found.append(await heap(session))
    growth = round(found[-1]["heapMb"] - found[0]["heapMb"], 2)
    kept = await page.evaluate("() => bench.kept()")
    return {"calls": calls, "minutesOfCalls": calls * MINUTES, "afterCalls": found, "growthMb": growth, "callsKept": kept}


def text(result: dict[str, Any]) -> str:
    """The result for people."""
    script, cpu, first, last = result["scriptMs"], result["scriptCpuMs"], result["afterCalls"][0], result["afterCalls"][-1]
    return "\n".join(
        (
            f"The panel in Chromium {result['browser']}, without Flex and twilio-sync:",
            f"  script time per frame with {result['suggestions']} suggestions and {result['draftsPerSecond']} drafts a second: p50 "
            f"{script['p50']} ms, p95 {script['p95']} ms, p99 {script['p99']} ms, longest {script['max']} ms "
            f"({result['frames']} frames with drafts)",
            f"    of that the thread ran p50 {cpu['p50']} ms, p95 {cpu['p95']} ms, p99 {cpu['p99']} ms, longest {cpu['max']} ms: the rest "
            "is what the machine did meanwhile",
            f"  before and after {result['calls']} calls ({result['minutesOfCalls']} minutes of calls, played as fast as they go):",
            f"    heap {first['heapMb']} and {last['heapMb']} MB ({result['growthMb']:+}), nodes {first['nodes']:.0f} and "
            f"{last['nodes']:.0f}, listeners {first['listeners']:.0f} and {last['listeners']:.0f}; "
            f"{result['callsKept']} of the calls kept",
        )
    )


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="tools/bench.py panel_cost", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    parser.add_argument("--quick", action="store_true", help="a tenth of it, and no more than a hint")
    options = parser.parse_args()
    if not chromium.program():
        print("The panel: NOT RUN, Debian's chromium is not installed")
        return 0
    try:
        result = asyncio.run(measure(6 if options.quick else 60, 2 if options.quick else CALLS))
    except DemoError as error:
        print(f"The panel: NOT RUN, {error}")
        return 0
    print(json.dumps(result, indent=1) if options.json else text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
