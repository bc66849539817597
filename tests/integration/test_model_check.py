"""The check of the model's key and settings without a call: what each refusal is called, and that it costs nothing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from integration.model_client_rig import ledgers, relay_config, self_signed
from voiceassist_crds.config import AudioFormat, ModelConfig
from voiceassist_crds.status import PeerReason
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.health import model_check
from voiceassist_relay.health.model_check import check_model, try_model
from voiceassist_relay.health.peer_check import Unwell
from voiceassist_relay.realtime.core.trial import Found
from voiceassist_sim.openai import RealtimeServer


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer() as server:
        yield server


def snapshot(server: RealtimeServer, key: str = "sk-test", **changes: object) -> Snapshot:
    return Snapshot(relay_config(server, **changes), Secrets(model_key=key), "")


async def test_a_good_key_is_found_good_without_audio_or_response(server: RealtimeServer) -> None:
    await check_model(snapshot(server))
    (ledger,) = ledgers(server)
    assert dict(ledger.received) == {"session.update": 1}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "unauthorized"}, PeerReason.REFUSED),
        ({"kind": "forbidden"}, PeerReason.REFUSED),
        ({"kind": "refuse", "status": 404}, PeerReason.MISCONFIGURED),
        ({"kind": "refuse", "status": 429, "code": "insufficient_quota"}, PeerReason.QUOTA),
        ({"kind": "refuse", "status": 429}, PeerReason.RATE_LIMITED),
        ({"kind": "refuse", "status": 503}, PeerReason.SERVER_ERROR),
        ({"kind": "error", "when": "update", "code": "insufficient_quota", "type": "insufficient_quota"}, PeerReason.QUOTA),
        ({"kind": "error", "when": "update", "code": "rate_limit_exceeded", "type": "rate_limit_exceeded"}, PeerReason.RATE_LIMITED),
        ({"kind": "error", "when": "update", "code": "server_error", "type": "server_error"}, PeerReason.SERVER_ERROR),
        ({"kind": "close", "when": "update", "code": 3000, "reason": "invalid_request_error.invalid_api_key"}, PeerReason.REFUSED),
        ({"kind": "close", "when": "update", "code": 1011, "reason": ""}, PeerReason.SERVER_ERROR),
    ],
)
async def test_what_a_refusal_is_called(server: RealtimeServer, fault: dict[str, object], reason: PeerReason) -> None:
    server.set_faults(fault)
    with pytest.raises(Unwell) as caught:
        await check_model(snapshot(server))
    assert caught.value.reason is reason, caught.value.message
    assert "sk-test" not in caught.value.message


@asynccontextmanager
async def refusing_in_one_piece(error: dict[str, str], code: int, reason: str) -> AsyncIterator[str]:
    """A server whose 101, error and close arrive in one read; gives its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = re.search(r"(?i)^sec-websocket-key: *(\S+)", head, re.M)
        assert key is not None
        frames = [
            Frame(Opcode.TEXT, json.dumps({"type": "error", "error": error}).encode()),
            Frame(Opcode.CLOSE, Close(code, reason).serialize()),
        ]
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept_key(key[1])}\r\n\r\n".encode()
            + b"".join(frame.serialize(mask=False) for frame in frames)
        )
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_a_refusal_that_is_closed_before_the_settings_are_sent_is_read_all_the_same() -> None:
    """As of a server without a free place."""
    error = {"type": "session_limit_reached", "message": "All 2 session slots are in use."}
    async with refusing_in_one_piece(error, 1008, "All session slots are in use") as url:
        config = relay_config(None, model={"url": url})
        with pytest.raises(Unwell) as caught:
            await check_model(Snapshot(config, Secrets(model_key="sk-test"), ""))
    assert caught.value.reason is PeerReason.RATE_LIMITED, caught.value.message
    assert "slots are in use" in caught.value.message


async def test_a_wrong_key_and_nobody_there(server: RealtimeServer) -> None:
    with pytest.raises(Unwell) as refused:
        await check_model(snapshot(server, key="sk-not-ours"))
    assert refused.value.reason is PeerReason.REFUSED
    assert "sk-not" not in refused.value.message
    with pytest.raises(Unwell) as gone:
        await check_model(snapshot(server, model={"url": "ws://127.0.0.1:9/v1"}))
    assert gone.value.reason is PeerReason.UNREACHABLE


async def test_a_certificate_that_cannot_be_trusted_has_a_name_of_its_own(tmp_path: Path) -> None:
    async with RealtimeServer(tls=self_signed(tmp_path)) as server:
        with pytest.raises(Unwell) as caught:
            await check_model(snapshot(server))
        assert caught.value.reason is PeerReason.MISCONFIGURED
        assert "certificate that cannot be trusted" in caught.value.message
        assert server.sessions == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("header", ["api-key", "Authorization"])
async def test_a_redirection_is_not_followed_and_the_key_goes_nowhere_else(server: RealtimeServer, status: int, header: str) -> None:
    seen: list[tuple[str, str]] = []

    def answering(name: str, location: str) -> Callable[[ServerConnection, Request], Response]:
        def answer(connection: ServerConnection, request: Request) -> Response:
            seen.append((name, request.headers.get(header, "")))
            answered = connection.respond(status if location else 403, "")
            answered.headers["Location"] = location
            return answered

        return answer

    async def nothing(_: ServerConnection) -> None: ...

    async with serve(nothing, "127.0.0.1", 0, process_request=answering("elsewhere", "")) as elsewhere:
        there = f"ws://localhost:{elsewhere.sockets[0].getsockname()[1]}/v1/realtime"
        async with serve(nothing, "127.0.0.1", 0, process_request=answering("model", there)) as model:
            url = f"ws://127.0.0.1:{model.sockets[0].getsockname()[1]}/v1"
            with pytest.raises(Unwell) as caught:
                await check_model(snapshot(server, model={"url": url, "authHeader": header}))
    assert [name for name, _ in seen] == ["model"]
    assert "sk-test" in seen[0][1]
    assert caught.value.reason is PeerReason.MISCONFIGURED
    assert f"HTTP {status}" in caught.value.message


async def test_a_conversation_of_a_second_says_what_the_server_does(server: RealtimeServer) -> None:
    (found,) = await try_model(snapshot(server, model={"audioFormat": "PCMU"}))
    assert (found.turn, found.tool, found.transcribed, found.misread) == (True, True, True, False), found
    assert found.first_output is not None and found.first_output > 0.1
    assert found.told().startswith("PCMU: answers with a tool call, ends turns by itself, writes down what it hears, first piece")
    (ledger,) = ledgers(server)
    assert ledger.received["response.create"] == 1


async def test_a_format_that_is_refused_is_not_the_last_one_that_is_tried(server: RealtimeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may refuse a format in session.update, or take it and hear noise."""
    tried: list[AudioFormat | None] = []

    @asynccontextmanager
    async def session(_: Snapshot, model: ModelConfig, *__: object) -> AsyncIterator[tuple[None, str]]:
        tried.append(model.audio_format)
        if model.audio_format in refused:
            raise Unwell(PeerReason.MISCONFIGURED, f"refused {model.audio_format}")
        yield None, "host"

    async def converse(_: object, __: ModelConfig, form: AudioFormat, ___: float) -> Found:
        return Found(form, text=True)

    monkeypatch.setattr(model_check, "_session", session)
    monkeypatch.setattr(model_check, "_converse", converse)
    one = snapshot(server)
    refused = {AudioFormat.PCMU}
    assert [found.audio_format for found in await try_model(one)] == [AudioFormat.PCM16K]
    assert tried == [AudioFormat.PCMU, AudioFormat.PCM16K]
    refused = set(AudioFormat)
    with pytest.raises(Unwell, match="refused PCMU"):
        await try_model(one)


@pytest.mark.parametrize(
    ("moment", "reason"),
    [("error", PeerReason.RATE_LIMITED), ("close", PeerReason.RATE_LIMITED), ("silence", PeerReason.SERVER_ERROR)],
)
async def test_a_bad_moment_in_a_conversation_is_no_wrong_setting(server: RealtimeServer, moment: str, reason: PeerReason) -> None:
    async def session(socket: ServerConnection) -> None:
        async for message in socket:
            kind = json.loads(message)["type"]
            if kind == "session.update":
                await socket.send('{"type":"session.updated"}')
            elif kind == "input_audio_buffer.append" and moment == "close":
                await socket.close(1013, "try again later")
            elif kind == "input_audio_buffer.append" and moment == "error":
                await socket.send('{"type":"error","error":{"code":"rate_limit_exceeded","message":"Please try again in 6m0s."}}')

    async with serve(session, "127.0.0.1", 0) as model:
        url = f"ws://127.0.0.1:{model.sockets[0].getsockname()[1]}/v1"
        with pytest.raises(Unwell) as caught:
            await try_model(snapshot(server, model={"url": url, "audioFormat": "PCMU"}), patience=0.3)
    assert caught.value.reason is reason, caught.value.message


async def test_a_short_silence_between_turns_does_not_cut_the_phrase(server: RealtimeServer) -> None:
    model = {"audioFormat": "PCMU", "turnDetection": {"type": "ServerVAD", "silenceDurationMs": 100}}
    (found,) = await try_model(snapshot(server, model=model))
    assert not found.misread, found
    assert ledgers(server)[0].received["response.create"] == 1


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        ({"type": "invalid_request_error", "message": "No deployment of x left"}, PeerReason.MISCONFIGURED, "“No deployment of x left”"),
        ({"type": "guardrail_error", "message": "429: {'error': 'sk-abc12345 has too many'}"}, PeerReason.RATE_LIMITED, "has too many"),
        ({"code": "session_limit_reached", "message": "All 4 sessions are in use"}, PeerReason.RATE_LIMITED, "All 4 sessions are in use"),
        ({"code": "credit_balance_exhausted"}, PeerReason.QUOTA, "credit_balance_exhausted"),
    ],
)
async def test_a_gateway_that_accepts_and_then_refuses_is_told_in_its_words(
    server: RealtimeServer, error: dict[str, str], reason: PeerReason, said: str
) -> None:
    """As LiteLLM and speech-to-speech do: 101, an error, and a close that says nothing."""

    async def session(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "error", "error": error}))
        await socket.close(1011)

    async with serve(session, "127.0.0.1", 0) as model:
        url = f"ws://127.0.0.1:{model.sockets[0].getsockname()[1]}/v1"
        with pytest.raises(Unwell) as caught:
            await check_model(snapshot(server, model={"url": url}))
    assert caught.value.reason is reason, caught.value.message
    assert said in caught.value.message
    for never in ("None", "sk-", "refused the key"):
        assert never not in caught.value.message


async def test_a_403_blames_nobody_and_the_session_is_asked_for_with_the_secret_headers(server: RealtimeServer) -> None:
    """Starlette's answer to a path that it does not know is the same as to a wrong key."""
    seen: list[str] = []

    def answer(connection: ServerConnection, request: Request) -> Response:
        seen.append(request.headers.get("X-Portkey-Config", ""))
        return connection.respond(403, "")

    async def nothing(_: ServerConnection) -> None: ...

    async with serve(nothing, "127.0.0.1", 0, process_request=answer) as model:
        url = f"ws://127.0.0.1:{model.sockets[0].getsockname()[1]}/v1"
        config = snapshot(server, model={"url": url, "headers": [{"name": "X-Portkey-Config"}]}).config
        with pytest.raises(Unwell) as caught:
            await check_model(Snapshot(config, Secrets(model_key="sk-test", model_headers=(("X-Portkey-Config", "secret"),)), ""))
    assert seen == ["secret"]
    assert "takes no session from us (HTTP 403); check the key, model.name and model.url" in caught.value.message
    assert "secret" not in caught.value.message
