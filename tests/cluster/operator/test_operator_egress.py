"""The operator behind a real Squid: its only routes lead to Squid and to the API server, and Squid alone has one to Twilio and to the
public address."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from cluster.lab import Lab
from cluster.operator.bench import API_KEY, API_SECRET, AUTH_TOKEN, Cluster, Operator, voiceassist
from cluster.operator.clouds import clouds
from integration.test_relay_command import RELAY, files
from proxies.apart import CLOUDS, PROXY, PROXY_PORT, apart
from proxies.squid import certificate, encrypted, squid
from voiceassist_demo.stage import free_port

pytestmark = pytest.mark.timeout(900, func_only=True)
TWILIO, PUBLIC = "twilio.sandbox.example", "support.sandbox.example"
PORTS = {TWILIO: 8443, PUBLIC: 443}


@pytest.mark.parametrize("inspected", [False, True], ids=["straight through", "TLS inspected"])
async def test_an_operator_reaches_twilio_and_the_public_address_through_squid_alone(
    plane: Lab, cluster: Cluster, tmp_path: Path, inspected: bool
) -> None:
    twilio = clouds().account()
    cloud, authority = certificate(tmp_path, "clouds", [TWILIO, PUBLIC]), certificate(tmp_path, "authority", [])
    here = {name: free_port() for name in PORTS}
    secrets = {"twilio-auth-token": AUTH_TOKEN, "twilio-api-key-sid": API_KEY, "twilio-api-key-secret": API_SECRET, "model-api-key": "m"}
    command = [RELAY, *files(tmp_path, secrets, host=PUBLIC), "--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"]
    with apart() as spaces, (tmp_path / "relay.log").open("wb") as log:
        for name, port in PORTS.items():
            spaces.forwarder("clouds").expose(CLOUDS, here[name], port)
        server = plane.outside_kubeconfig().read_text()
        outside = int(json.loads(server)["clusters"][0]["cluster"]["server"].rpartition(":")[2])
        there = spaces.forwarder("inside").expose("127.0.0.1", outside)
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(server.replace(f"https://127.0.0.1:{outside}", f"https://127.0.0.1:{there}"))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as relay:
            assert relay.stdout is not None
            ports = json.loads(await asyncio.to_thread(relay.stdout.readline))["listening"]
            async with (
                squid(spaces, [TWILIO, PUBLIC], inspecting=authority if inspected else None, trusts=cloud[0]) as proxy,
                encrypted(cloud, lambda: twilio.url, here[TWILIO]),
                encrypted(cloud, lambda: f"http://127.0.0.1:{ports['public']}", here[PUBLIC]),
            ):
                try:
                    for port in PORTS.values():
                        assert "unreachable" in spaces.dialled("inside", CLOUDS, port)
                    assert spaces.dialled("inside", PROXY, PROXY_PORT) == ""
                    trusted = (authority if inspected else cloud)[0]
                    arguments = ("--proxy", proxy.url, "--ca-bundle", str(trusted), "--resync-seconds", "2")
                    arguments += ("--namespace", cluster.namespace, "--lease-namespace", cluster.namespace)
                    operator = Operator(kubeconfig, tmp_path / "log", *arguments, at=spaces.at("inside"))
                    try:
                        await asyncio.to_thread(seen_through, cluster, operator, twilio.account_sid)
                    finally:
                        operator.kill()
                    assert len(twilio.sync_services()) == 1
                    text = json.dumps(cluster.get(("v1", "ConfigMap"), "support-relay")["data"])
                    assert proxy.url in text, "the relays are given the proxy, too"
                    asked = proxy.requests()
                    assert {f"CONNECT {name}:{port}" for name, port in PORTS.items()} <= set(asked), asked
                    if inspected:
                        assert any(one.startswith(f"GET https://{PUBLIC}/ws/probe/") for one in asked), asked
                        assert f"POST https://{TWILIO}:{PORTS[TWILIO]}/sync/v1/Services" in asked, asked
                finally:
                    relay.terminate()


def seen_through(cluster: Cluster, operator: Operator, account: str) -> None:
    """The object's Sync service is made at Twilio, and its public address is reached."""
    operator.await_event("operator up")
    cluster.secrets()
    twilio = {
        "accountSid": account,
        "credentialsSecretRef": {"name": "twilio"},
        "flex": {"configure": False},
        "apiUrl": f"https://{TWILIO}:{PORTS[TWILIO]}/{{product}}",
    }
    cluster.create(voiceassist(host=PUBLIC, twilio=twilio))
    cluster.await_condition("EndpointReachable", "True", "EndpointOK")
    cluster.await_condition("SyncConfigured", "Unknown")
    assert cluster.assist()["status"]["sync"]["serviceSid"].startswith("IS")
