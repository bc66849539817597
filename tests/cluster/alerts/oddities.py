"""Everything that is counted, made to happen: so that a panel without data, or with zeros alone, asks for the wrong thing.

Nothing is left to chance: each oddity is caused, and waited for until the relay has counted it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from integration.faults_rig import value

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
    revision = stage.config().prompts[0].revision
    for verdict in ("up", "down"):
        body = {"Token": call["flexToken"], "callSid": call["callSid"], "id": "1:item", "revision": revision, "verdict": verdict}
        await counted(lane, ("feedback_total",), lambda body=body: stage.send("POST", f"{relay.public}/feedback", body), verdict=verdict)

    async def say(**more: object) -> object:
        return await stage.send("POST", f"{relay.public}/feedback", body | more)

    await counted(lane, ("feedback_reasons_total",), lambda: say(reason="wrong"), reason="wrong")
    await counted(lane, ("other_version_total",), lambda: say(later=1), what="request_field")
    finished = {"at": int(time.time() * 1000) - 300, "latencyMs": 700, "agoMs": 100}
    for _ in range(3):  # a rate needs a series that was there before
        await counted(lane, ("suggestion_painted_seconds_count",), lambda: say(verdict="painted", **finished))
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
