"""Everything that is counted, made to happen once: so that a panel without data is a panel that asks for the wrong thing."""

from __future__ import annotations

import asyncio

from .lane import Lane


async def everything_once(lane: Lane) -> None:
    """Odd messages, gaps, breaks, refusals, a bad configuration and an agent's verdict, while the lane's calls go on."""
    stage, relay = lane.stage, lane.stage.relay
    await lane.streams(skip=[20, 21], unknown_events_every=30)
    await stage.send("POST", f"{stage.model_url}/_sim/drop", {"kind": "realtime"})
    whole = relay.config.read_text()
    relay.config.write_text("{")
    await asyncio.sleep(2)
    relay.config.write_text(whole)
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"GET /token HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n")
    await reader.read()
    writer.close()
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    await stage.send("GET", f"{relay.public}/ws/CA{'0' * 32}", headers=upgrade)
    await lane.streams(signature="wrong")
    await asyncio.sleep(5)
    await lane.streams(signature="true", skip=[], unknown_events_every=0)
    call = await lane.begin(lane.recording)
    assert call is not None
    revision = stage.config().prompts[0].revision
    for verdict in ("up", "down", "up"):  # a series that begins at 1 has not grown yet
        body = {"Token": call["flexToken"], "callSid": call["callSid"], "id": "1:item", "revision": revision, "verdict": verdict}
        status, answer = await stage.send("POST", f"{relay.public}/feedback", body)
        assert status == 200, answer
        await asyncio.sleep(2.5)
