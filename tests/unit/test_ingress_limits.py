"""The limits that docs/install.md asks of an ingress follow from the relay's own, and name them as they are."""

from __future__ import annotations

import re
from pathlib import Path

from voiceassist_relay.call.dependencies import Timing
from voiceassist_relay.media.admission import UPGRADES
from voiceassist_relay.server.limits import HttpLimits
from voiceassist_relay.twilio.flex_tokens import STRANGERS, STRANGERS_RATE

PAGE = (Path(__file__).parents[2] / "docs/install.md").read_text()
TEXT = " ".join(PAGE.partition("### Limits against made-up requests")[2].partition("\nTwilio's streams need")[0].split())


def test_ingress_limits_name_the_relays_own() -> None:
    http = HttpLimits()
    assert f"{STRANGERS_RATE.per_second:g} validations a second" in TEXT and f"(bursts of {STRANGERS_RATE.burst:g})" in TEXT
    assert f"{STRANGERS} of them at once" in TEXT
    assert f"{UPGRADES.per_second:g} signed upgrades a second (bursts of {UPGRADES.burst:g})" in TEXT
    assert f"{http.connections} connections, {http.head_seconds:g} s for a request, {http.head_bytes // 1024} KiB of header" in TEXT
    assert f"ask {Timing().stream_rate.per_second:g} times a second at most" in TEXT


def test_ingress_limits_leave_a_relay_half_of_what_it_takes_of_strangers() -> None:
    (rate, burst) = map(int, re.findall(r"(\d+) requests a second from one address, bursts of (\d+)", TEXT)[0])
    assert (2 * rate, 2 * burst) == (STRANGERS_RATE.per_second, STRANGERS_RATE.burst)
    nginx, multiplier = re.findall(r'limit-rps: "(\d+)"` and `limit-burst-multiplier: "(\d+)"', TEXT)[0]
    assert (int(nginx), int(nginx) * int(multiplier)) == (rate, burst)
    assert {int(one) for one in re.findall(r"(?:rate-limit-requests: \"|average: |second: |rate: |limit-rps: \")(\d+)", TEXT)} == {rate}
    assert {int(one) for one in re.findall(r"burst: (\d+)", TEXT)} == {burst}
    assert {int(one) for one in re.findall(r"(\d+) in 60 s|by minutes: (\d+)", TEXT) for one in one if one} == {60 * rate}
