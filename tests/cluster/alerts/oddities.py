"""Everything that is counted, made to happen: so that a panel without data, or with zeros alone, asks for the wrong thing.

Nothing is left to chance: each oddity is caused, and waited for until the relay has counted it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable

from integration.faults_rig import value
from support.suggestions import publish

from .lane import Lane

PATIENCE = 180.0
"""Seconds for one oddity to be counted: ample, a machine may be busy."""
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def everything_once(lane: Lane) -> None:
    """Odd messages, gaps, drops, breaks, refusals, a bad configuration, an agent's verdicts and a paint, while the lane's calls go on."""
    stage, relay = lane.stage, lane.stage.relay
    await lane.streams(skip=[20, 21], unknown_events_every=30)
    await lane.twilio({"kind": "refuse", "path": "^/sync/.*/Messages$", "method": "POST", "status": 400, "times": 30})
    await counted(lane, ("media_gaps_total", "unknown_messages_total", "queue_drops_total"), lambda: lane.begin(lane.recording))
    await counted(
        lane, ("realtime_reconnects_total",), lambda: stage.send("POST", f"{stage.model_url}/_sim/drop", {"kind": "realtime"}), again=1.0
    )
    whole = relay.config.read_text()
    await counted(lane, ("config_refused_total",), lambda: asyncio.to_thread(relay.config.write_text, "{"))
    await asyncio.to_thread(relay.config.write_text, json.dumps(json.loads(whole) | {"totalLimits": {"maxCalls": 1}}))
    await counted(lane, ("starts_over_limit_total",), lambda: lane.begin(lane.recording), again=1.0)
    await asyncio.to_thread(relay.config.write_text, whole)
    await counted(lane, ("http_refused_total",), lambda: _long_head(relay.port))
    await counted(
        lane, ("upgrades_total",), lambda: stage.send("GET", f"{relay.public}/ws/CA{'0' * 32}", headers=UPGRADE), outcome="no_signature"
    )
    await lane.streams(skip=[], unknown_events_every=0, signature="wrong")
    await counted(lane, ("stream_restarts_total",), lambda: lane.begin(lane.recording))
    await lane.streams(signature="true")
    call = await lane.begin(lane.recording)
    assert call is not None
    numbers = itertools.count(100_000)
    revision = stage.config().prompts[0].revision

    async def say(verdict: str, **more: object) -> object:
        """Of another suggestion each time: each has one verdict, and one paint."""
        about = await publish(stage, call["callSid"], next(numbers), revision)
        return await stage.send("POST", f"{relay.public}/feedback", about | {"Token": call["flexToken"], "verdict": verdict} | more)

    async def change_one() -> None:
        about = await publish(stage, call["callSid"], next(numbers), revision)
        for verdict in ({"verdict": "down", "reason": "wrong"}, {"verdict": "up"}):
            await stage.send("POST", f"{relay.public}/feedback", about | {"Token": call["flexToken"]} | verdict)

    for verdict in ("up", "down"):
        await counted(lane, ("feedback_total",), lambda verdict=verdict: say(verdict), verdict=verdict)
    await counted(lane, ("feedback_reasons_total",), lambda: say("down", reason="wrong"), reason="wrong")
    await counted(lane, ("feedback_replaced_total",), change_one, verdict="down")
    await counted(lane, ("feedback_reasons_replaced_total",), change_one, reason="wrong")
    await counted(lane, ("other_version_total",), lambda: say("up", later=1), what="request_field")
    for _ in range(3):  # a rate needs a series that was there before
        await counted(lane, ("suggestion_painted_seconds_count",), lambda: say("painted", agoMs=100))
        await asyncio.sleep(1)


async def counted(lane: Lane, names: tuple[str, ...], cause: Callable[[], Awaitable[object]], again: float = 10.0, **labels: str) -> None:
    """Does something, every `again` seconds, until the relay has counted it under each of the names."""
    before, begin, done = await lane.stage.metrics(), time.monotonic(), 0.0
    missing = list(names)
    while missing:
        assert time.monotonic() - begin < PATIENCE, f"{missing} {labels} did not grow within {PATIENCE:.0f} s"
        if not done or time.monotonic() - done >= again:
            done = time.monotonic()
            await cause()
        await asyncio.sleep(0.2)
        now = await lane.stage.metrics()
        missing = [name for name in missing if value(now, name, **labels) <= value(before, name, **labels)]


async def _long_head(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /token HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n")
    await reader.read()
    writer.close()
