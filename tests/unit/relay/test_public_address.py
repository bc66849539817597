"""What the operator says of the public address: by a header of its question for the status, in words of closed lists, for a minute."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import aiohttp
import pytest
from fastapi import FastAPI

from integration.functions_rig import serving
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.endpoint_report import ENDPOINT_HEADER, EndpointReport
from voiceassist_crds.names import PLACES_HEADER
from voiceassist_crds.reasons import Reason
from voiceassist_relay.call.drain import Drain
from voiceassist_relay.call.registry import Registry
from voiceassist_relay.call.unreached_relays import UnreachedRelays
from voiceassist_relay.free_places import FreePlaces
from voiceassist_relay.health.endpoints import PrivateEndpoints
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.peer_health import PeerHealth
from voiceassist_relay.public_address import PublicAddress

if TYPE_CHECKING:
    from voiceassist_relay.config.watch import ConfigWatch

TWILIO = {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32}
ALTERED = EndpointReport(Reason.REQUEST_ALTERED, "no_signature")


@pytest.mark.parametrize("report", [EndpointReport(Reason.ENDPOINT_OK), ALTERED, EndpointReport(Reason.DNS_FAILED)])
def test_public_address_what_is_written_is_read(report: EndpointReport) -> None:
    assert EndpointReport.read(report.as_header()) == report


@pytest.mark.parametrize("value", ["", "Call 0800 1234 now", "NoSuchReason", "EndpointOK/<b>", "DNSFailed/" + "a" * 41, "DNSFailed\n"])
def test_public_address_other_words_are_no_report(value: str) -> None:
    assert EndpointReport.read(value) is None


def test_public_address_a_report_is_news_for_a_minute() -> None:
    address = PublicAddress()
    assert address.report(0) is None
    address.told(ALTERED, 100)
    assert (address.report(100), address.report(159), address.report(160)) == (ALTERED, ALTERED, None)
    address.told(None, 110)
    assert address.report(111) is None


@pytest.mark.parametrize(
    ("header", "report"), [({}, None), ({ENDPOINT_HEADER: "RequestAltered/no_signature"}, ALTERED), ({PLACES_HEADER: "7"}, None)]
)
async def test_public_address_the_operators_question_bears_the_report(header: dict[str, str], report: EndpointReport | None) -> None:
    metrics, address, health = RelayMetrics(), PublicAddress(), PeerHealth(0)
    config = RelayConfig.parse(json.dumps({"host": "a.example.com", "twilio": TWILIO, "prompts": [{"instructions": "Help."}]}))
    watch = SimpleNamespace(current=lambda: SimpleNamespace(config=config, secrets_version=""), error="")
    registry = Registry(NotImplemented, metrics, lambda: 1)
    drain = Drain(registry, metrics, lambda: config.limits)
    app, places = FastAPI(), FreePlaces()
    endpoints = PrivateEndpoints(
        cast("ConfigWatch", watch), registry, drain, metrics, health, health, UnreachedRelays(), address, places=places
    )
    app.include_router(endpoints.router())
    async with serving(app) as (port,), aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{port}/status", headers=header) as answer:
            assert answer.status == 200
        assert address.report(time.monotonic()) == report
        assert places.count(time.monotonic()) == (7 if PLACES_HEADER in header else None)
        async with http.get(f"http://127.0.0.1:{port}/status"):
            pass
        assert address.report(time.monotonic()) == report, "a person who looks at the status says nothing"
