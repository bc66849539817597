"""Secrets stay where they are: peers that repeat our keys in everything they answer, and every sink read for them afterwards."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

RELAY = str(Path(sys.executable).parent / "voiceassist-relay")
PLANTED = {
    "twilio-auth-token": "planted0auth0token0aaaaaaaaaaaaaa",
    "twilio-auth-token-secondary": "planted0second0token0bbbbbbbbbbbb",
    "twilio-api-key-sid": "SK" + "c" * 32,
    "twilio-api-key-secret": "planted0api0secret0dddddddddddddd",
    "model-api-key": "sk-planted-model-key-eeeeeeeeeeee",
}
SECRET = [value for name, value in PLANTED.items() if name != "twilio-api-key-sid"]
BASIC = base64.b64encode(f"{PLANTED['twilio-api-key-sid']}:{PLANTED['twilio-api-key-secret']}".encode()).decode()
MODEL_FAULTS = (
    "dead",
    "401",
    "403",
    "404",
    "429",
    "500",
    "close",
    "close-3000",
    "error",
    "error-code",
    "error-param",
    "not-json",
    "no-object",
    "dead",
)
TWILIO_FAULTS = (400, 401, 404, 409, 429, 500, 200)


class Parrot:
    """Twilio and the model at once: repeats the credentials that it was shown, in every place where an answer has words."""

    def __init__(self) -> None:
        self.twilio_status = 500
        self.asked = 0

    async def model(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        fault, key = request.match_info["fault"], request.headers.get("Authorization", "")
        if fault.isdigit():
            error = {"error": {"message": f"bad key {key}", "code": key, "type": key, "param": key}}
            return web.json_response(error, status=int(fault), headers={"Retry-After": "1", "X-Key": key})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "session.created", "session": {"id": key}})
        if fault == "not-json":
            await socket.send_str(key)
        elif fault == "no-object":
            await socket.send_json([key])
        elif fault.startswith("error"):
            code = key.split()[-1] if fault == "error-code" else "invalid_value"
            error = {
                "type": "invalid_request_error",
                "code": code,
                "param": key.split()[-1] if fault == "error-param" else "x",
                "message": key,
            }
            await socket.send_json({"type": "error", "error": error})
        else:
            await socket.close(code=3000 if fault.endswith("3000") else 1011, message=f"key {key}"[:120].encode())
        async for message in socket:
            if message.type is WSMsgType.CLOSE:
                break
        return socket

    async def twilio(self, request: web.Request) -> web.Response:
        self.asked += 1
        shown = f"{request.headers.get('Authorization')} {await request.text()} {' '.join(SECRET)}"
        if self.twilio_status == 200:
            return web.Response(text=shown)
        return web.json_response(
            {"code": 20001, "message": shown, "detail": shown, "more_info": shown}, status=self.twilio_status, reason="Planted"
        )


@asynccontextmanager
async def parrot() -> AsyncIterator[tuple[Parrot, int]]:
    bird, app = Parrot(), web.Application()
    app.router.add_route("*", "/model/{fault}/{rest:.*}", bird.model)
    app.router.add_route("*", "/{product}/{rest:.*}", bird.twilio)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield bird, runner.addresses[0][1]
    finally:
        await runner.cleanup()


def flex_token(planted: str) -> str:
    """A token of Flex's shape with a secret in it; what has not that shape is shown to nobody."""
    head = base64.urlsafe_b64encode(b'{"zip":"DEF","typ":"JWT"}').decode().rstrip("=")
    return f"{head}.{planted}.signature"


def write(folder: Path, port: int, fault: str) -> None:
    url = f"ws://127.0.0.1:{1 if fault == 'dead' else port}/model/{fault}/v1/realtime"
    config: dict[str, Any] = {
        "host": "assist.example.com",
        "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32, "apiUrl": f"http://127.0.0.1:{port}/{{product}}"},
        "model": {"provider": "Compatible", "url": url},
        "prompts": [{"instructions": "Help."}],
        "functions": {"allowedOrigins": ["*"]},
    }
    new = folder / "relay.new"
    new.write_text(json.dumps(config))
    new.rename(folder / "relay.json")


def plain(text: str, where: str) -> None:
    for value in (*SECRET, BASIC):
        assert value not in text, f"{where} repeats a secret: {text[max(0, text.index(value) - 200) :][:400]}"


@asynccontextmanager
async def relay(folder: Path, port: int) -> AsyncIterator[tuple[str, str, Path]]:
    """A relay process: its public and private addresses, and its log."""
    secrets, log = folder / "secrets", folder / "log"
    secrets.mkdir()
    for name, value in PLANTED.items():
        (secrets / name).write_text(f"\ufeff{value}\u200b\r\n")  # as an editor leaves it: the values are taken all the same
    write(folder, port, MODEL_FAULTS[0])
    arguments = ["--config", str(folder / "relay.json"), "--secrets", str(secrets), "--host", "127.0.0.1", "--port", "0"]
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            RELAY, *arguments, "--metrics-port", "0", "--log-level", "debug", stdout=asyncio.subprocess.PIPE, stderr=sink
        )
    try:
        assert process.stdout is not None
        ports = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))["listening"]
        yield f"http://127.0.0.1:{ports['public']}", f"http://127.0.0.1:{ports['private']}", log
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()


@pytest.mark.timeout(180)
async def test_no_secret_gets_into_status_metrics_answers_or_the_log(tmp_path: Path) -> None:
    async with (
        parrot() as (bird, port),
        relay(tmp_path, port) as (public, private, log),
        aiohttp.ClientSession() as http,
    ):

        async def read(url: str) -> str:
            async with http.get(url) as answer:
                return await answer.text()

        told, revision = set(), ""
        for fault in MODEL_FAULTS:
            write(tmp_path, port, fault)
            async with asyncio.timeout(30):
                while True:
                    text = await read(f"{private}/status")
                    plain(text, f"/status at {fault}")
                    status = json.loads(text)
                    model = status["model"]
                    if status["configRevision"] != revision and "not tried" not in model.get("message", ""):
                        break
                    await asyncio.sleep(0.05)
            revision = status["configRevision"]
            assert not model["ok"]
            told.add(model["message"])
        assert len(told) > 5, "each fault is told in words of its own"
        for bird.twilio_status in TWILIO_FAULTS:
            for path, body in (("/stream", {"action": "stop", "callSid": "CA" + "1" * 32}), ("/token", {})):
                async with http.post(public + path, json={**body, "Token": flex_token(PLANTED["model-api-key"])}) as answer:
                    assert answer.status >= 400
                    plain(await answer.text(), f"{path} at {bird.twilio_status}")
            plain(await read(f"{private}/status"), f"/status at {bird.twilio_status}")
        plain(await read(f"{private}/metrics"), "/metrics")
        assert bird.asked > len(MODEL_FAULTS) + len(TWILIO_FAULTS), "the parrot was shown the keys"
    plain(log.read_text(), "the log")


@pytest.mark.parametrize("name", list(PLANTED))
@pytest.mark.parametrize("spoil", ["\u200b", "\u2014", "\ufeff", '"', " ", "\x07"])
async def test_a_spoilt_secret_is_refused_by_its_place_and_never_repeated(tmp_path: Path, name: str, spoil: str) -> None:
    from voiceassist_relay.config.files import read_snapshot
    from voiceassist_relay.errors import ConfigRefused

    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for one, value in PLANTED.items():
        spoilt = f'"{value}"' if spoil == '"' else f"{value[:9]}{spoil}{value[9:]}"
        (secrets / one).write_text(spoilt if one == name else value)
    write(tmp_path, 1, "401")
    with pytest.raises(ConfigRefused, match="character") as caught:
        read_snapshot(tmp_path / "relay.json", secrets)
    assert name in str(caught.value)
    assert PLANTED[name][:9] not in str(caught.value)
