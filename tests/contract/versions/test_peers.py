"""Relay and relay of two versions, by their calls to each other, by stream tokens and by the proof for the operator's probe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from fastapi import FastAPI

from contract.versions.shapes import recorded
from integration.functions_rig import HeldCall, rigged, serving
from voiceassist_crds.messages import CallDocument
from voiceassist_crds.names import KEY_INFO_STREAM, PEER_HEADER, CallSid
from voiceassist_crds.proof import probe_answer, proof
from voiceassist_relay.auth import mint_stream_token, read_stream_token, verify_peer
from voiceassist_relay.call.dependencies import FunctionDependencies
from voiceassist_relay.call.peer_relays import Asked, PeerRelays, peer_router
from voiceassist_relay.config.snapshot import Secrets
from voiceassist_relay.interfaces import StreamClaims

PEERS, PROOFS = recorded("peers"), recorded("proofs")
TOKEN, NOW = PEERS["authToken"], float(PEERS["now"])
HERE, OVER = "CA" + "1" * 32, "CA" + "2" * 32
MEANS = {200: Asked.DONE, "no_such_call": Asked.NEVER, "call_over": Asked.OVER}


@asynccontextmanager
async def a_relay() -> AsyncIterator[FunctionDependencies]:
    async with rigged() as rig:
        relay = rig.relays[0]
        relay.snapshot = replace(relay.snapshot, secrets=Secrets(auth_token=TOKEN, model_key="k"))
        yield replace(relay.deps, now=lambda: NOW, timing=replace(relay.deps.timing, peer_seconds=20.0))  # none of these is about time


async def test_this_relay_answers_what_the_relay_before_asks() -> None:
    async with a_relay() as deps:
        held: Any = deps.calls
        document = CallDocument.model_validate(recorded("documents")["live"])
        call = held.calls[HERE] = HeldCall(StreamClaims(CallSid(HERE), "AC", 1, 0, False), "MZ1", document)
        held.over.add(OVER)
        app = FastAPI()
        app.include_router(peer_router(deps))
        async with serving(app) as (port,):
            for one in PEERS["calls"]:
                url = f"http://127.0.0.1:{port}{one['path']}"
                async with deps.http.request(one["method"], url, headers={PEER_HEADER: one["header"]}) as answer:
                    assert (answer.status, await answer.text()) == (one["status"], one["body"])
        assert call.told == ["pause", "resume"]


async def test_this_relay_asks_as_the_relay_before_expects_and_understands_its_answers() -> None:
    by_request = {(one["method"], one["path"]): one for one in PEERS["calls"]}
    wrong: list[str] = []

    async def before(request: web.Request) -> web.Response:
        one = by_request.get((request.method, request.path))
        if one is None or not verify_peer([TOKEN], request.headers.get(PEER_HEADER, ""), request.method, request.path, NOW):
            wrong.append(f"{request.method} {request.path}")
            return web.Response(status=403)
        if request.headers[PEER_HEADER] != one["header"]:
            wrong.append("another header than the version before makes")
        return web.Response(status=one["status"], text=one["body"], content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", before)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with a_relay() as deps:
            peers = PeerRelays(deps)
            document = CallDocument.model_validate({**recorded("documents")["live"], "owner": f"127.0.0.1:{port}"})
            for (_, path), one in by_request.items():
                _, _, call_sid, *action = path.split("/")
                asked = await (peers.tell(call_sid, document, action[0]) if action else peers.has(call_sid, document))
                code = one["status"] if one["status"] == 200 else json.loads(one["body"])["error"]["code"]
                assert asked is MEANS[code]
    finally:
        await runner.cleanup()
    assert wrong == []


def test_stream_tokens_and_proofs_are_those_of_the_version_before() -> None:
    claims = StreamClaims(**PROOFS["streamClaims"])
    assert read_stream_token([TOKEN], PROOFS["streamToken"], NOW) == claims
    assert mint_stream_token(TOKEN, claims) == PROOFS["streamToken"]
    assert probe_answer(TOKEN, PROOFS["probe"]["nonce"]) == PROOFS["probe"]["answer"]


def test_a_later_versions_stream_token_lets_its_stream_in() -> None:
    import base64

    body = msgspec.json.encode([*PROOFS["streamClaims"].values(), {"purpose": "move"}])
    message = "v1." + base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    token = f"{message}.{proof(TOKEN, KEY_INFO_STREAM, message)}"
    assert read_stream_token([TOKEN], token, NOW) == StreamClaims(**PROOFS["streamClaims"])


@pytest.mark.parametrize("answer", ['{"error": {"code": "moving"}}', "[]", ""])
async def test_what_a_later_relay_answers_and_nobody_here_knows_changes_nothing(answer: str) -> None:
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=409, text=answer)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", later)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with a_relay() as deps:
            owner = f"127.0.0.1:{runner.addresses[0][1]}"
            document = CallDocument.model_validate({**recorded("documents")["live"], "owner": owner})
            async with asyncio.timeout(30):
                assert await PeerRelays(deps).has(HERE, document) is Asked.UNKNOWN
    finally:
        await runner.cleanup()
