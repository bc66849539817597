"""From the REST request that Twilio's own package makes to the websocket, the stop and the callbacks."""

import asyncio
import base64

from aiohttp import web
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from voiceassist_sim.audio import CallRecording
from voiceassist_sim.twilio.app import TwilioServer

from .conftest import HOST, TOKEN


async def test_create_stream_stop_and_its_callbacks(relay):
    told, both_told = [], asyncio.Event()

    async def callback(request):
        form = dict(await request.post())
        valid = RequestValidator(TOKEN).validate(
            f"https://{request.headers['Host']}{request.path}", form, request.headers["X-Twilio-Signature"]
        )
        told.append((form["StreamEvent"], form["StreamSid"], valid))
        if len(told) == 2:
            both_told.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/callbacks/stream", callback)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    recording = CallRecording(bytes(index // 160 for index in range(160 * 100)), None)
    connect_to = {HOST: ("127.0.0.1", relay.port), "callbacks.example.com": runner.addresses[0][:2]}

    http = AsyncTwilioHttpClient()
    try:
        async with TwilioServer(auth_token=TOKEN, connect_to=connect_to) as twilio:
            call_sid = twilio.create_call(recording).call_sid
            client = Client(twilio.account_sid, TOKEN, http_client=http)
            client.api.base_url = f"{twilio.url}/api"
            url = f"wss://{HOST}/ws/{call_sid}"
            created = await client.calls(call_sid).streams.create_async(
                url=url,
                track="both_tracks",
                name="assist_1",
                parameter1_name="token",
                parameter1_value="t.1",
                status_callback="https://callbacks.example.com/callbacks/stream",
            )
            await asyncio.wait_for(relay.connected.wait(), 5)
            heard = relay.heard[0]
            await heard.count(12)
            stopped = await client.calls(call_sid).streams(created.sid).update_async(status="stopped")
            await asyncio.wait_for(heard.ended.wait(), 5)
            await asyncio.wait_for(both_told.wait(), 5)
            stats = twilio.streams.get(created.sid).stats
    finally:
        await http.close()
        await runner.cleanup()

    assert RequestValidator(TOKEN).validate(url, {}, heard.headers["x-twilio-signature"])
    assert heard.path == f"/ws/{call_sid}"
    start = heard.events("start")[0]["start"]
    assert (start["callSid"], start["streamSid"], start["accountSid"]) == (call_sid, created.sid, twilio.account_sid)
    assert start["customParameters"] == {"token": "t.1"}
    assert start["tracks"] == ["inbound", "outbound"]
    inbound = [event["media"] for event in heard.events("media") if event["media"]["track"] == "inbound"]
    assert b"".join(base64.b64decode(media["payload"]) for media in inbound) == recording.customer[: 160 * len(inbound)]
    assert heard.events()[-1]["event"] == "stop"
    assert stopped.status == "stopped"
    assert told == [("stream-started", created.sid, True), ("stream-stopped", created.sid, True)]
    assert stats["state"] == "stopped"
    assert stats["framesSent"] == len(heard.events("media"))
