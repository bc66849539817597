"""`voiceassist-relay` as a command: what it says and how it ends when it cannot run, and what it answers when it does."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from voiceassist_demo.stage import Stage
from voiceassist_sim.openai import Behaviour, RealtimeServer

RELAY = str(Path(sys.executable).parent / "voiceassist-relay")
SECRETS = {"twilio-auth-token": "t", "twilio-api-key-sid": "SK1", "twilio-api-key-secret": "s", "model-api-key": "m"}


def files(folder: Path, secrets: dict[str, str] | None = None, **changes: Any) -> list[str]:
    config = {
        "host": "assist.example.com",
        "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
        "prompts": [{"instructions": "Help."}],
        **changes,
    }
    (folder / "relay.json").write_text(json.dumps(config))
    (folder / "secrets").mkdir()
    for name, value in (SECRETS if secrets is None else secrets).items():
        (folder / "secrets" / name).write_text(value)
    return ["--config", str(folder / "relay.json"), "--secrets", str(folder / "secrets")]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RELAY, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_check_says_ok(tmp_path: Path) -> None:
    done = run(*files(tmp_path), "--check", "--offline")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: configuration ")


async def test_check_has_a_conversation_with_the_model(tmp_path: Path) -> None:
    """What it does is said, also of which format it takes where none is chosen; and why it is of no use, with another exit."""
    async with RealtimeServer(behaviour=Behaviour(api_keys=("sk-ours",))) as server:
        arguments = files(
            tmp_path,
            {**SECRETS, "model-api-key": "sk-ours"},
            model={"provider": "Compatible", "url": server.ws_url, "name": "gpt-realtime-2.1-mini"},
        )
        done = await asyncio.to_thread(run, *arguments, "--check")
        assert done.returncode == 0, done.stderr
        assert "ok: model gpt-realtime-2.1-mini: PCMU: answers with a tool call, ends turns by itself" in done.stdout
        assert "set model.audioFormat to PCMU" in done.stdout
        server.set_faults({"kind": "unauthorized"})
        refused = await asyncio.to_thread(run, *arguments, "--check")
    assert refused.returncode == 1
    assert "refused the key" in refused.stderr and "sk-ours" not in refused.stderr


@pytest.mark.parametrize(
    ("changes", "secrets", "more", "words"),
    [
        ({"host": "two words"}, None, [], "host: 'two words' given"),
        ({"limits": {"maxCalls": 0}}, None, [], "limits.maxCalls: 0 given"),
        ({}, {"model-api-key": "m"}, [], "twilio-auth-token missing or empty"),
        ({}, {**SECRETS, "model-api-key": "\u2014m"}, [], "model-api-key: character 1 is a dash that is no ASCII hyphen"),
        ({"checks": "Off"}, None, [], "listens on ::; set checks to 'All', or --host 127.0.0.1"),
        ({"checks": "Off"}, None, ["--host", "192.0.2.1"], "listens on 192.0.2.1"),
    ],
)
def test_check_and_start_refuse_in_one_line(
    tmp_path: Path, changes: dict[str, Any], secrets: dict[str, str] | None, more: list[str], words: str
) -> None:
    arguments = files(tmp_path, secrets, **changes)
    for check in (["--check"], []):
        done = run(*arguments, *more, *check)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_fields_of_another_version_are_named_by_a_check_and_refused_by_a_strict_one(tmp_path: Path) -> None:
    arguments = files(tmp_path, limits={"maxCall": 3}, later=True)
    lenient, strict = run(*arguments, "--check", "--offline"), run(*arguments, "--check", "--strict")
    assert (lenient.returncode, strict.returncode) == (0, 2)
    assert lenient.stdout.startswith("ok: ") and not strict.stdout
    for done in (lenient, strict):
        assert "no such field: limits.maxCall, later;" in done.stderr
    alone = run(*arguments, "--strict")
    assert alone.returncode == 2 and "--strict is for --check" in alone.stderr
    offline = run(*arguments, "--offline")
    assert offline.returncode == 2 and "--offline is for --check" in offline.stderr


def test_checks_off_on_loopback_is_fine(tmp_path: Path) -> None:
    assert run(*files(tmp_path, {"model-api-key": "m"}, checks="Off"), "--host", "127.0.0.1", "--check", "--offline").returncode == 0


def test_a_taken_port_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(*files(tmp_path), "--host", "127.0.0.1", "--port", str(taken.getsockname()[1]), "--metrics-port", "0")
    assert done.returncode == 1
    assert "choose another --port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_names_the_secret_files() -> None:
    text = " ".join(run("--help").stdout.split()).replace("- ", "-")
    for word in (*SECRETS, "twilio-auth-token-secondary", "--check", "--metrics-port"):
        assert word in text


async def test_the_private_port_and_the_public_one(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage") as stage:
        private, public = stage.relay.private, stage.relay.public
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/status", 200), ("/metrics", 200), ("/stream", 404)):
            assert (await stage.send("GET", private + path))[0] == status, path
        for path in ("/metrics", "/healthz", "/status", "/docs", "/openapi.json", "/other/readyz"):
            status, body = await stage.send("GET", public + path)
            assert status == 404, f"{path} is not for the public"
            assert path == "/other/readyz" or body["error"]["message"]
        told = await stage.get(f"{private}/status")
        assert (told["namespace"], told["name"], told["pod"]) == ("default", "demo", "relay0")
        assert told["promptRevisions"] == {stage.config().prompts[0].revision: 0}
        assert (told["ready"], "notReadyReasons" in told) == (True, False)
        for port, refusals in ((public, 1), (private, 2)):
            async with stage.http.get(port + "/healthz", headers={"X-Long": "x" * 17_000}) as answer:
                assert answer.status == 431
            assert (await stage.metrics())['http_refused_total{reason="head_too_big"}'] == refusals, "both ports are bounded, and counted"


async def test_a_relay_says_of_its_model_what_a_conversation_showed_and_counts_its_tokens(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config={"model": {"check": "Conversation"}}) as stage:

        async def told() -> Any:
            return (await stage.get(f"{stage.relay.private}/status")).get("modelTrial")

        found = await eventually(told, "what the conversation showed", seconds=60)
        assert found.startswith(
            "PCMU: answers with a tool call, ends turns by itself, writes down what it hears, first piece of the answer"
        )
        status = await stage.get(f"{stage.relay.private}/status")
        assert status["model"]["ok"]
        spent = {name: count for name, count in (await stage.metrics()).items() if name.startswith("tokens_total") and count}
        assert any('direction="output"' in name for name in spent), spent
        report = await stage.get(f"{stage.model_url.replace('ws', 'http', 1).partition('/v1')[0]}/_sim/sessions")
        assert [session["received"].get("response.create", 0) for session in report["sessions"]].count(1) == 1, "once"


async def test_a_report_has_what_a_fault_needs_and_nothing_that_is_not_for_others(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage") as stage:
        here = stage.relay.private.rpartition(":")[2]
        arguments = ["--config", str(stage.relay.config), "--secrets", str(stage.relay.secrets), "--metrics-port", here]
        text = (await asyncio.to_thread(run, *arguments, "--report")).stdout
        config, told = stage.config(), json.loads(text)
    assert told["status"]["configRevision"] == config.config_revision
    assert "relay up" in [line.get("event") for line in told["log"]], told["log"]
    assert told["configuration"]["prompts"][0]["instructions"] == f"({len(config.prompts[0].instructions)} characters)"
    assert (told["problem"], told["versions"]["voiceassist-relay"]) == ("", told["status"]["version"])
    for planted in (
        stage.account.auth_token,
        stage.account.api_secret,
        stage.account.account_sid,
        config.prompts[0].instructions,
        f'"{config.host}"',
    ):
        assert planted not in text


async def test_the_public_port_says_to_balancers_whether_calls_may_come_and_to_proxies_that_they_pass_no_upgrade(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config={"limits": {"drainGraceSeconds": 5}}) as stage:
        public = stage.relay.public
        for method in ("GET", "HEAD"):
            async with stage.http.request(method, f"{public}/readyz") as answer:
                assert answer.status == 200
                assert (await answer.text()) == ("ready\n" if method == "GET" else "")
        for number, path in enumerate((f"/ws/CA{'1' * 32}", "/ws/probe/abcdefgh", f"/stripped/ws/CA{'1' * 32}"), start=1):
            async with stage.http.get(public + path) as answer:
                assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
                assert (await answer.text()).splitlines()[0] == "no_upgrade"
            assert (await stage.metrics())['upgrades_total{outcome="no_upgrade"}'] == number
        stage.relay.child.signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while True:
                async with stage.http.get(f"{public}/readyz") as answer:
                    status, text = answer.status, await answer.text()
                if status == 503:
                    break
                await asyncio.sleep(0.05)
        assert text == "not ready\n"
