"""The stand-in in a process of its own: the command, the control endpoints, TLS."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import hashlib
import ipaddress
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from unit.sim_openai.rig import TIMEOUT_S, call, dial, silence
from voiceassist_sim.openai import Behaviour, BehaviourError, RealtimeServer, Utterance
from voiceassist_sim.openai.cli import add_arguments, run

COMMAND = """
import argparse, asyncio, sys
from voiceassist_sim.openai.cli import add_arguments, run
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(asyncio.run(run(parser.parse_args())))
"""


class Elsewhere:
    """A server in another process, as far as the rig needs it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ws_url = url.replace("http", "ws", 1) + "/v1/realtime"


@asynccontextmanager
async def process(*options: str) -> AsyncIterator[Elsewhere]:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "--port", "0", *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None and running.stderr is not None
    try:
        line = await asyncio.wait_for(running.stdout.readline(), 30)
        assert line, (await running.stderr.read()).decode()
        yield Elsewhere(json.loads(line)["listening"])
    finally:
        running.terminate()
        assert await asyncio.wait_for(running.wait(), 15) == 0
        assert await running.stderr.read() == b""


async def test_the_command_serves_and_is_driven_over_http(words: dict[str, Utterance]) -> None:
    audio = silence(400) + words["card-charge/c2"].audio + silence(600)
    async with (
        process("--first-token-ms", "0", "--delta-ms", "0", "--api-key", "sk-test", "--api-key", "sk-2") as server,
        aiohttp.ClientSession(server.url) as http,
    ):

        async def ask(method: str, path: str, body: Any = None, status: int = 200) -> Any:
            async with http.request(method, path, json=body) as answer:
                assert answer.status == status, await answer.text()
                return await answer.json()

        assert await ask("GET", "/healthz") == {"status": "ok", "openSessions": 0, "calls": 3}
        async with call(server, headers={"X-Trace": "abc"}) as caller:  # type: ignore[arg-type]  # what the rig uses of a server is there
            await caller.append(audio)
            await caller.until("conversation.item.done")
            await caller.send("response.create", response={"metadata": {"seq": "1"}})
            await caller.until("response.done")
            await caller.refused("session.update", session={})
            (live,) = (await ask("GET", "/_sim/sessions?kind=realtime&open=true"))["sessions"]
            assert (live["kind"], live["dialect"], live["path"], live["query"]) == (
                "realtime",
                "openai",
                "/v1/realtime",
                {"model": "gpt-realtime-2.1-mini"},
            )
            assert live["headers"]["authorization"] == "(secret)" and live["headers"]["x-trace"] == "abc"
            assert "sk-test" not in json.dumps(live)
            assert live["config"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
            assert (live["appends"], live["bytesHeard"]) == (-(-len(audio) // 160), len(audio))
            assert live["sha256"] == hashlib.sha256(audio).hexdigest()
            (turn,) = live["turns"]
            assert (turn["recognised"], turn["exact"], turn["missing"]) == ("card-charge/c2", True, 0)
            (response,) = live["responses"]
            assert (response["status"], response["metadata"], response["turns"]) == ("completed", {"seq": "1"}, [turn["item"]])
            assert live["received"]["input_audio_buffer.append"] == live["appends"]
            assert live["sent"]["response.done"] == 1
            assert [error["param"] for error in live["errors"]] == ["session.type"]
            assert (live["open"], live["closeCode"]) == (True, None)
            async with http.get(f"/_sim/sessions/{live['id']}/audio") as answer:
                assert await answer.read() == audio
            assert (await ask("GET", f"/_sim/sessions/{live['id']}"))["id"] == live["id"]
            await ask("GET", "/_sim/sessions/sess_nowhere", status=404)

            assert (await ask("PUT", "/_sim/behaviour", {"answerStyle": "text"}))["answerStyle"] == "text"
            assert (await ask("GET", "/_sim/behaviour"))["apiKeys"] == 2
            assert "answerStile" in (await ask("PUT", "/_sim/behaviour", {"answerStile": "text"}, status=400))["error"]
            await caller.send("response.create")
            assert (await caller.until("response.done"))["response"]["output"][0]["type"] == "message"

            assert (await ask("PUT", "/_sim/faults", [{"kind": "quota", "next": 1}]))[0]["kind"] == "quota"
            assert "explode" in (await ask("PUT", "/_sim/faults", [{"kind": "explode"}], status=400))["error"]
            await caller.send("response.create")
            assert (await caller.until("response.done"))["response"]["status"] == "failed"
            assert (await ask("GET", "/_sim/faults"))[0]["hits"] == 1
            assert await ask("DELETE", "/_sim/faults") == []
            assert await ask("POST", "/_sim/drop", {"session": "sess_other"}) == {"dropped": 0}
            assert await ask("POST", "/_sim/drop", {"code": 1001, "kind": "realtime"}) == {"dropped": 1}
            assert await caller.closed() == 1001
            await ask("POST", "/_sim/drop", {"sessions": "all"}, status=400)
        assert (await ask("DELETE", "/_sim/sessions")) == {"forgotten": 1}
        assert (await ask("GET", "/_sim/sessions")) == {"sessions": [], "rejected": []}


async def test_keys_are_checked_by_the_list_of_models(server: RealtimeServer) -> None:
    async with aiohttp.ClientSession(server.url) as http:
        for path, headers, status in [
            ("/v1/models", {"Authorization": "Bearer sk-test"}, 200),
            ("/v1/models/gpt-realtime-2.1", {"Authorization": "Bearer sk-test"}, 200),
            ("/v1/models/gpt-9", {"Authorization": "Bearer sk-test"}, 404),
            ("/v1/models", {"Authorization": "Bearer sk-other"}, 401),
            ("/v1/models", {}, 401),
            ("/openai/v1/models", {"api-key": "sk-test"}, 200),
        ]:
            async with http.get(path, headers=headers) as answer:
                assert answer.status == status


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


async def test_tls(certificate: tuple[Path, Path]) -> None:
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    async with RealtimeServer(calls=[], tls=certificate) as server:
        assert server.ws_url.startswith("wss://") and server.url.startswith("https://")
        async with call(server, ssl=trust) as caller:
            await caller.settle()


async def failure(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Run the command with options that do not fit; the one line that it says."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert await run(parser.parse_args(options)) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--behaviour", "{"], "--behaviour: no JSON"),
        (["--behaviour", '{"speed": 5}'], "'speed' is not a setting"),
        (["--behaviour", '{"deltaMs": -5}'], "deltaMs must be a whole number from 0"),
        (["--faults", '[{"kind": "flood"}]'], "kind is one of"),
        (["--tls-cert", "x.pem"], "--tls-cert and --tls-key belong together"),
        (["--tls-cert", "absent.pem", "--tls-key", "absent.pem"], "No such file"),
    ],
)
async def test_options_that_do_not_fit_are_one_clear_line(capsys: pytest.CaptureFixture[str], options: list[str], complaint: str) -> None:
    assert complaint in await failure(capsys, *options)


async def test_a_taken_port_is_one_clear_line(capsys: pytest.CaptureFixture[str], server: RealtimeServer) -> None:
    problem = await failure(capsys, "--port", str(server.port))
    assert f"cannot listen on 127.0.0.1:{server.port}" in problem


async def test_sample_calls_that_do_not_fit_are_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"utterances": [{"id": 5}]}')
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    assert "bad.wav: not a WAV file" in await failure(capsys, "--calls", str(tmp_path))


def test_settings_are_taken_all_or_none() -> None:
    behaviour = Behaviour()
    with pytest.raises(BehaviourError):
        behaviour.change({"deltaMs": 5, "answerStyle": "song"})
    assert behaviour.delta_ms == 8
    behaviour.change({"deltaMs": 5, "sessionSeconds": 60, "seed": None, "deployments": {"a": "gpt-realtime"}, "apiKeys": ["k"]})
    assert (behaviour.delta_ms, behaviour.session_seconds, behaviour.api_keys) == (5, 60.0, ("k",))
    for wrong in ({"deltaMs": True}, {"deltaMs": 1.5}, {"keepAudio": 1}, {"apiKeys": "k"}, {"deployments": {"a": 5}}, {"deltaMs": None}):
        with pytest.raises(BehaviourError):
            behaviour.change(wrong)


async def test_closed_sessions_are_kept_up_to_a_bound(server: RealtimeServer) -> None:
    server.behaviour.max_closed_sessions = 3
    for _ in range(6):
        async with dial(server) as caller:
            await caller.expect("session.created")
        await asyncio.wait_for(server.sessions[-1].done.wait(), TIMEOUT_S)
    assert len(server.sessions) == 4


async def test_a_seed_gives_the_same_ids() -> None:
    found = []
    for _ in range(2):
        async with RealtimeServer(behaviour=Behaviour(seed=7), calls=[]) as server, dial(server) as caller:
            found.append((await caller.expect("session.created"))[0]["session"]["id"])
    assert found[0] == found[1]
