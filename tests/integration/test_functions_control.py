"""Stop, pause and resume: what counts, what reaches the relay with the audio, and what is said when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace

import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI

from integration.functions_rig import QUICK, HeldCall, Relay, Rig, rigged
from support.eventually import eventually
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import PEER_HEADER, PEER_PROOF_HEADER
from voiceassist_relay.auth import mint_peer, mint_peer_for
from voiceassist_relay.call.peer_relays import peer_router
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.faults import FaultKind, FaultRule

STOP = r"/Streams/[^/]+\.json$"


async def live(rig: Rig, relay: Relay) -> tuple[CreatedCall, HeldCall]:
    """A call whose audio is at this relay."""
    rig.route_to(relay)
    call = rig.call()
    await relay.stream("start", call)
    held = await eventually(lambda: relay.held.find(call.call_sid))
    await rig.idle()
    return call, held


def point_at(rig: Rig, call: CreatedCall, owner: str) -> None:
    document = rig.document(call.call_sid)
    assert document is not None
    rig.store(call.call_sid, document.model_copy(update={"owner": owner}))


async def test_a_stop_stops_the_stream_from_any_relay() -> None:
    async with rigged(2) as rig:
        call, _ = await live(rig, rig.relays[0])
        status, answer = await rig.relays[1].stream("stop", call)
        assert (status, answer) == (200, {"state": "stopped", "callSid": call.call_sid, "generation": 1})
        assert rig.streams(call.call_sid) == []
        await eventually(lambda: rig.relays[0].held.find(call.call_sid) is None)
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.STOPPED


async def test_the_stop_of_what_does_not_run_is_no_error() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        assert await relay.stream("stop", call) == (200, {"state": "stopped", "callSid": call.call_sid})
        await relay.stream("start", call)
        for _ in range(3):
            status, answer = await relay.stream("stop", call)
            assert (status, answer["state"]) == (200, "stopped")
        rig.twilio.complete_call(call.call_sid)
        assert (await relay.stream("stop", call))[1]["state"] == "stopped"


async def test_a_stop_needs_no_task() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, _ = await live(rig, relay)
        assert (await relay.stream("stop", call, taskSid=None))[1]["state"] == "stopped"


async def test_a_stop_that_fails_says_so_and_can_be_repeated() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, _ = await live(rig, relay)
        rig.twilio.set_faults(FaultRule(FaultKind.SERVER_ERROR, STOP, method="POST"))
        status, answer = await relay.stream("stop", call)
        assert (status, answer["error"]["code"]) == (502, "twilio_unclear")
        assert "STILL" in answer["error"]["message"]
        assert rig.streams(call.call_sid) != []
        rig.twilio.set_faults()
        assert (await relay.stream("stop", call))[1]["state"] == "stopped"
        assert rig.streams(call.call_sid) == []


async def test_a_stop_before_any_audio_is_told_to_the_agent() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.connect_to.clear()  # the stream reaches nobody, and neither does its callback
        await relay.stream("start", call)
        await rig.idle()
        await relay.stream("stop", call)
        await rig.idle()
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"]) == ("stopped", "AgentRequest")
        (message,) = rig.twilio.messages(item["stream"])
        assert message.data == item


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_pause_and_resume_reach_the_relay_with_the_audio(where: str) -> None:
    async with rigged(2) as rig:
        call, held = await live(rig, rig.relays[0])
        asked = rig.relays[0] if where == "here" else rig.relays[1]
        status, answer = await asked.stream("pause", call)
        assert (status, answer) == (200, {"state": "paused", "callSid": call.call_sid, "generation": 1, "confirmed": True})
        assert held.told == ["pause"]
        document = rig.document(call.call_sid)
        assert document is not None and document.paused
        assert (await asked.stream("start", call))[1]["state"] == "paused"
        assert (await asked.stream("pause", call))[1]["state"] == "paused"  # asked again, told again
        assert (await asked.stream("resume", call))[1]["state"] == "live"
        assert held.told == ["pause", "pause", "resume"]
        document = rig.document(call.call_sid)
        assert document is not None and not document.paused


async def test_a_pause_before_the_audio_waits_in_the_document() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        gate = relay.hold_streams()
        await relay.stream("start", call)
        status, answer = await relay.stream("pause", call)
        assert (status, answer["state"], answer["confirmed"]) == (200, "paused", False)
        gate.set()
        held = await eventually(lambda: relay.held.find(call.call_sid))
        assert held.claims.paused is False  # the token was signed before
        assert held.document.paused is True


async def test_a_resume_before_the_audio_waits_in_the_document_too() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, _ = await live(rig, relay)
        await relay.stream("pause", call)
        await relay.cut_all()
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LOST)
        gate = relay.hold_streams()
        assert (await relay.stream("start", call))[1]["state"] == "paused"
        status, answer = await relay.stream("resume", call)
        assert (status, answer["confirmed"]) == (200, False)
        gate.set()
        again = await eventually(lambda: relay.held.find(call.call_sid))
        assert again.claims.paused is True  # the token was signed before
        assert again.document.paused is False


async def test_a_paused_call_is_started_again_paused() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, held = await live(rig, relay)
        await relay.stream("pause", call)
        await relay.cut_all()  # the stream is lost
        await eventually(lambda: relay.held.find(call.call_sid) is None)
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LOST)
        assert (await relay.stream("start", call))[1]["state"] == "paused"
        again = await eventually(lambda: relay.held.find(call.call_sid))
        assert again is not held and again.claims.paused is True


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_nothing_to_pause(action: str) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        assert (await relay.stream(action, call))[1]["error"]["code"] == "not_running"
        await relay.stream("start", call)
        await relay.stream("stop", call)
        status, answer = await relay.stream(action, call)
        assert (status, answer["error"]["code"]) == (409, "not_running")


async def test_only_the_worker_in_the_call_pauses_it() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, held = await live(rig, relay)
        other = rig.call()
        status, answer = await relay.stream("pause", call, Token=other.flex_token, taskSid=other.task_sid)
        assert (status, answer["error"]["code"]) == (403, "not_in_the_call")
        assert held.told == []
        document = rig.document(call.call_sid)
        assert document is not None and not document.paused


async def test_a_pause_that_reaches_nobody_says_that_the_audio_still_flows() -> None:
    async with rigged(2) as rig:
        call, held = await live(rig, rig.relays[0])
        point_at(rig, call, "127.0.0.1:1")
        status, answer = await rig.relays[1].stream("pause", call)
        assert (status, answer["error"]["code"]) == (503, "pause_failed")
        assert "STILL being sent" in answer["error"]["message"]
        assert held.told == []
        point_at(rig, call, rig.relays[0].owner)
        assert (await rig.relays[1].stream("pause", call))[1]["state"] == "paused"
        assert held.told == ["pause"]
        status, answer = await rig.relays[0].stream("resume", call)
        assert status == 200


@pytest.mark.parametrize(
    "owner",
    [
        "",
        "relay.internal:9090",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        "169.254.169.254:80",
        "0.0.0.0:80",
        "a@127.0.0.1:80",
        "::1:80",
    ],
)
async def test_only_an_address_and_a_port_are_asked(owner: str) -> None:
    async with rigged(2) as rig:
        call, _ = await live(rig, rig.relays[0])
        point_at(rig, call, owner)
        status, answer = await rig.relays[1].stream("pause", call)
        assert (status, answer["error"]["code"]) == (503, "pause_failed")


async def test_a_relay_that_redirects_is_not_followed() -> None:
    seen: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        raise web.HTTPTemporaryRedirect(f"http://127.0.0.1:{rig.relays[0].private_port}{request.path}")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", redirect)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with rigged(2) as rig:
            call, held = await live(rig, rig.relays[0])
            point_at(rig, call, f"127.0.0.1:{port}")
            assert (await rig.relays[1].stream("pause", call))[0] == 503
            assert seen == [f"/calls/{call.call_sid}/pause"]
            assert held.told == []
    finally:
        await runner.cleanup()


class Silent:
    """Takes connections and says nothing: a relay whose port nothing comes back from."""

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def _hold(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)


async def test_a_relay_that_does_not_answer_is_not_gone_and_its_stream_goes_on() -> None:
    async with rigged(2, timing=replace(QUICK, peer_seconds=0.3)) as rig, Silent() as owner:
        call, held = await live(rig, rig.relays[0])
        point_at(rig, call, owner)
        status, answer = await rig.relays[1].stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "running", 1)
        await rig.idle()
        assert rig.streams(call.call_sid) == [f"assist_{call.call_sid}"] and held.told == []
        unreached = rig.relays[1].deps.unreached
        assert (unreached.suspected, unreached.addresses) == ((owner,), ())  # one lost answer is no news
        assert (await rig.relays[1].stream("start", call))[0] == 200
        assert unreached.addresses == (owner,)


async def test_a_relay_whose_port_refuses_is_gone() -> None:
    async with rigged(2) as rig:
        call, _ = await live(rig, rig.relays[0])
        point_at(rig, call, "127.0.0.1:1")
        status, answer = await rig.relays[1].stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "restarted", 2)
        assert rig.relays[1].deps.unreached.suspected == ()


async def test_a_proof_is_for_one_relay_and_for_once() -> None:
    async with rigged(2) as rig:
        relay, other = rig.relays
        call, held = await live(rig, relay)
        path, secret = f"/calls/{call.call_sid}/pause", relay.snapshot.secrets.auth_token

        async def ask(target: Relay, headers: dict[str, str]) -> int:
            async with relay.http.post(f"http://{target.owner}{path}", headers=headers) as response:
                return response.status

        def proof(target: str, nonce: str) -> str:
            return mint_peer_for(secret, target, "POST", path, rig.clock(), nonce)

        old = mint_peer(secret, "POST", path, rig.clock())
        both = {PEER_PROOF_HEADER: proof(relay.owner, "n" * 16), PEER_HEADER: old}
        assert await ask(relay, both) == 200
        assert await ask(relay, both) == 403  # again
        assert await ask(relay, {PEER_HEADER: old}) == 403  # without the better proof
        assert await ask(other, {PEER_PROOF_HEADER: proof(relay.owner, "m" * 16)}) == 403  # for another relay
        assert await ask(relay, {PEER_PROOF_HEADER: proof(other.owner, "k" * 16)}) == 403
        assert held.told == ["pause"]
        # a relay of version 0.1.0 knows no better: once
        rig.clock.ahead += 1
        older = {PEER_HEADER: mint_peer(secret, "POST", path, rig.clock())}
        assert [await ask(relay, older), await ask(relay, older)] == [200, 403]
        assert relay.counted("other_version_total", what="peer_proof") == 1


async def test_relays_reach_each_other_by_ipv6() -> None:
    async with rigged(2) as rig:
        relay, asking = rig.relays
        call, held = await live(rig, relay)
        app = FastAPI()
        sock = socket.create_server(("::1", 0), family=socket.AF_INET6)
        owner = f"[::1]:{sock.getsockname()[1]}"
        app.include_router(peer_router(replace(relay.deps, address=owner)))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        task = asyncio.create_task(server.serve(sockets=[sock]))
        await eventually(lambda: server.started)
        try:
            point_at(rig, call, owner)
            assert (await asking.stream("pause", call))[1]["state"] == "paused"
            assert held.told == ["pause"]
        finally:
            server.should_exit = True
            await task
            sock.close()


@pytest.mark.parametrize(
    ("method", "path", "signed", "skew", "key", "status"),
    [
        ("POST", "/calls/{call}/pause", None, 0, None, 200),
        ("POST", "/calls/{call}/resume", None, 0, None, 200),
        ("GET", "/calls/{call}", None, 0, None, 200),
        ("POST", "/calls/{call}/pause", None, -29, None, 200),
        ("POST", "/calls/{call}/pause", None, -100, None, 403),
        ("POST", "/calls/{call}/pause", None, 100, None, 403),
        ("POST", "/calls/{call}/pause", "/calls/{call}/resume", 0, None, 403),
        ("POST", "/calls/{call}/pause", None, 0, "another", 403),
        ("POST", "/calls/{call}/pause", "", 0, None, 403),
        ("POST", "/calls/{call}/hang-up", None, 0, None, 404),
        ("POST", "/calls/CA00000000000000000000000000000000/pause", None, 0, None, 404),
        ("GET", "/calls/CA00000000000000000000000000000000", None, 0, None, 404),
        ("GET", "/calls/nonsense", None, 0, None, 404),
    ],
)
async def test_only_relays_of_this_installation_are_heard(
    method: str, path: str, signed: str | None, skew: float, key: str | None, status: int
) -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, held = await live(rig, relay)
        path = path.format(call=call.call_sid)
        signed = path if signed is None else signed.format(call=call.call_sid)
        headers = {}
        if signed:
            secret = key or relay.snapshot.secrets.auth_token
            headers[PEER_HEADER] = mint_peer(secret, method, signed, rig.clock() + skew)
        async with relay.http.request(method, f"http://{relay.owner}{path}", headers=headers) as response:
            body = await response.json()
        assert response.status == status
        assert held.told == ([path.rpartition("/")[2]] if status == 200 and method == "POST" else [])
        assert status == 200 or body["error"]["code"]


async def test_the_public_port_does_not_know_the_relays_own_routes() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, held = await live(rig, relay)
        path = f"/calls/{call.call_sid}/pause"
        headers = {PEER_HEADER: mint_peer(relay.snapshot.secrets.auth_token, "POST", path, rig.clock())}
        async with relay.http.post(f"http://127.0.0.1:{relay.port}{path}", headers=headers) as response:
            assert response.status == 404
        assert held.told == []


async def test_a_document_changed_by_others_all_the_time_is_an_error_not_a_loop() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call, _ = await live(rig, relay)
        write = relay.sync.update_document

        async def overtaken(*args: object, **options: object) -> object:
            found = rig.raw_document(call.call_sid)
            found.touch(rig.clock())
            return await write(*args, **options)  # type: ignore[arg-type]

        relay.sync.update_document = overtaken  # type: ignore[assignment,method-assign]
        rig.twilio.settings.sync.reads = rig.twilio.settings.sync.writes = type(rig.twilio.settings.sync.reads)(1000, burst_seconds=10)
        status, answer = await relay.stream("pause", call)
        assert (status, answer["error"]["code"]) == (503, "contended")
        document = rig.document(call.call_sid)
        assert isinstance(document, CallDocument) and not document.paused
