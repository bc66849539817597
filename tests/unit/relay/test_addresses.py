"""Addresses of both families: one socket takes both, and an IPv6 address is told in brackets."""

from __future__ import annotations

import errno
import socket

import pytest

from voiceassist_relay.call.peer_relays import peer_address
from voiceassist_relay.server.addresses import EVERYWHERE, advertised, bind, reached_at


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("10.1.2.3", "10.1.2.3:9090"),
        ("fd00:10::7", "[fd00:10::7]:9090"),
        ("::1", "[::1]:9090"),
        ("relay.example", "relay.example:9090"),
    ],
)
def test_addresses_how_others_are_told(host: str, told: str) -> None:
    assert advertised(host, 9090) == told
    port = None if host == "::1" else 9090
    assert (peer_address(told, port) == told) is (host != "relay.example"), "what one relay tells is what another one takes"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_addresses_everywhere_is_both_families(family: int) -> None:
    with bind(EVERYWHERE, 0) as listener, socket.socket(family) as client:
        client.connect(("127.0.0.1" if family == socket.AF_INET else "::1", listener.getsockname()[1]))
        assert reached_at(listener) == "127.0.0.1"


def test_addresses_one_address_is_that_one() -> None:
    with bind("::1", 0) as six, bind("127.0.0.1", 0) as four, socket.socket() as client:
        assert (reached_at(six), reached_at(four)) == ("::1", "127.0.0.1")
        with pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", six.getsockname()[1]))


def test_addresses_a_machine_without_ipv6_is_served_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without(family: int = socket.AF_INET, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *rest)

    monkeypatch.setattr(socket, "socket", without)
    with bind(EVERYWHERE, 0) as listener:
        assert listener.family == socket.AF_INET
