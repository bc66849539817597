"""The check of the model's key and settings without a call: what each refusal is called, and that it costs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.model_client_rig import ledgers, relay_config, self_signed
from voiceassist_crds.status import PeerReason
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.health.model_check import check_model
from voiceassist_relay.health.peer_check import Unwell
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
