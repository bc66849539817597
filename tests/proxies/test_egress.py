"""Out through a real Squid: the relay's only route leads to it, and it alone has one to the stand-ins."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from integration.end_to_end_rig import Watch, cut, start
from proxies.apart import CLOUDS, PROXY, PROXY_PORT, Apart, apart
from proxies.squid import Squid, certificate, encrypted, squid
from support.eventually import eventually
from voiceassist_demo.processes import program
from voiceassist_demo.stage import Stage, free_port

TWILIO, MODEL = "twilio.sandbox.example", "model.sandbox.example"
BOUND = 60.0


@contextlib.asynccontextmanager
async def behind(
    tmp_path: Path, *, inspected: bool = False, trusting: bool = True, **network: Any
) -> AsyncIterator[tuple[Stage, Squid, dict[str, int], Apart]]:
    """A stage whose relay is apart from its clouds, and knows them by names that Squid alone knows, over TLS."""
    clouds, authority = certificate(tmp_path, "clouds", [TWILIO, MODEL]), certificate(tmp_path, "authority", [])
    here = {TWILIO: free_port(), MODEL: free_port()}
    with apart() as spaces:
        ports = {name: spaces.forwarder("clouds").expose(CLOUDS, port) for name, port in here.items()}
        async with _behind(tmp_path, spaces, clouds, authority, here, ports, inspected, trusting, network) as (stage, proxy):
            yield stage, proxy, ports, spaces


@contextlib.asynccontextmanager
async def _behind(
    tmp_path: Path,
    spaces: Apart,
    clouds: tuple[Path, Path],
    authority: tuple[Path, Path],
    here: dict[str, int],
    ports: dict[str, int],
    inspected: bool,
    trusting: bool,
    network: dict[str, Any],
) -> AsyncIterator[tuple[Stage, Squid]]:
    async with squid(spaces, [TWILIO, MODEL], inspecting=authority if inspected else None, trusts=clouds[0]) as proxy:
        trusted = (authority if inspected else clouds)[0] if trusting else tmp_path / "nothing.pem"
        config = {
            "twilio": {"apiUrl": f"https://{TWILIO}:{ports[TWILIO]}/{{product}}"},
            "model": {"url": f"wss://{MODEL}:{ports[MODEL]}/v1"},
            "network": {"proxy": proxy.url, **network},
        }
        stage = Stage(tmp_path / "stage", config=config, relay_arguments=("--ca-bundle", str(trusted)), relay_at=spaces.at("inside"))
        async with (
            encrypted(clouds, lambda: stage.twilio_url, here[TWILIO]),
            encrypted(clouds, lambda: stage.model_url, here[MODEL]),
            stage,
        ):
            relay, inside = stage.relay, spaces.forwarder("inside")
            inside.forward("127.0.0.1", relay.port, relay.port)
            relay.private = f"http://127.0.0.1:{inside.forward('127.0.0.1', int(relay.private.rpartition(':')[2]))}"
            yield stage, proxy


async def asked_of_the_command(stage: Stage, spaces: Apart, trusted: Path, *question: str) -> str:
    """What `voiceassist-relay` says of itself, beside the relay and with its arguments."""
    relay = stage.relay
    where = [
        "--config",
        str(relay.config),
        "--secrets",
        str(relay.secrets),
        "--metrics-port",
        str(relay.child.ready["listening"]["private"]),
        "--ca-bundle",
        str(trusted),
    ]
    # In a thread: what ends the clouds' TLS is in this loop.
    done = await asyncio.to_thread(spaces.run, "inside", [program("voiceassist-relay"), *where, *question])
    assert done.returncode == 0, done.stderr
    return done.stdout


async def peers(stage: Stage) -> dict[str, Any]:
    """What the relay's own checks found, once both have found something."""

    async def checked() -> Any:
        told = await stage.get(f"{stage.relay.private}/status")
        return told if all(told[one].get("ok") or told[one].get("reason") != "Unknown" for one in ("model", "sync")) else None

    return dict(await eventually(checked, "both checks", seconds=BOUND))


@pytest.mark.parametrize("inspected", [False, True], ids=["straight through", "TLS inspected"])
async def test_a_call_through_a_proxy_that_alone_knows_the_way(tmp_path: Path, inspected: bool) -> None:
    async with behind(tmp_path, inspected=inspected) as (stage, proxy, ports, spaces), Watch(stage) as watch:
        for port in ports.values():  # whoever knows the address does not get there either
            assert "unreachable" in spaces.dialled("inside", CLOUDS, port)
        assert spaces.dialled("inside", PROXY, PROXY_PORT) == ""
        told = await peers(stage)
        assert (told["model"]["ok"], told["sync"]["ok"]) == (True, True), told
        trusted = tmp_path / ("authority.pem" if inspected else "clouds.pem")
        checked = await asked_of_the_command(stage, spaces, trusted, "--check")
        assert checked.startswith("ok: configuration ")
        assert "ok: model " in checked
        report = json.loads(await asked_of_the_command(stage, spaces, trusted, "--report"))
        assert (report["status"]["model"]["ok"], report["status"]["sync"]["ok"]) == (True, True), report["status"]
        call = await start(stage, cut(tmp_path, "c2"))
        await eventually(lambda: watch.ended(call), "the call's end", seconds=BOUND)
        await eventually(lambda: watch.document(call)["state"] == "stopped", "the Document's end", seconds=BOUND)
        assert len(watch.items(call)) == 1, watch.states(call)
        await stage.relay.child.end()  # Squid notes a connection when it is over
        wanted = {f"CONNECT {host}:{port}" for host, port in ports.items()}
        await eventually(lambda: wanted <= set(proxy.requests()), "both clouds through Squid", seconds=BOUND)
        asked = [one for one in proxy.requests() if "error:" not in one]
        if inspected:  # then it also sees what is asked inside
            assert any(one.startswith(f"GET https://{MODEL}:{ports[MODEL]}/v1/realtime?") for one in asked), asked
        else:
            assert {one.split()[0] for one in asked} == {"CONNECT"}


async def test_an_inspecting_proxy_whose_authority_is_not_trusted_is_named(tmp_path: Path) -> None:
    async with behind(tmp_path, inspected=True, trusting=False) as (stage, _, _, _):
        told = await peers(stage)
        assert told["model"]["reason"] == "Misconfigured"
        assert "certificate that cannot be trusted" in told["model"]["message"]
        assert not told["sync"].get("ok")


async def test_what_is_named_is_reached_straight(tmp_path: Path) -> None:
    """The name is known to nobody here, which is how it is seen that Squid was not asked."""
    async with behind(tmp_path, noProxy=[MODEL]) as (stage, proxy, _, _):
        told = await peers(stage)
        assert "the name is not known" in told["model"]["message"], told
        assert told["sync"]["ok"] is True
        assert not [one for one in proxy.requests() if MODEL in one]
