"""HTTPS_PROXY and NO_PROXY: which connections go through a proxy."""

from __future__ import annotations

import pytest

from voiceassist_crds.proxies import Proxies, Proxy

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("exceptions", "host", "straight"),
    [
        ("", "api.openai.com", False),
        ("", "localhost", True),
        ("", "127.0.0.8", True),
        ("", "::1", True),
        ("*", "api.openai.com", True),
        ("openai.com", "api.openai.com", True),
        ("openai.com", "openai.com", True),
        ("openai.com", "notopenai.com", False),
        (".openai.com", "api.openai.com", True),
        (".openai.com", "openai.com", False),
        ("*.openai.com", "api.openai.com", True),
        ("OpenAI.com", "API.openai.COM.", True),
        ("openai.com:443", "api.openai.com", True),
        ("openai.com:8443", "api.openai.com", False),
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.0/8", "11.9.8.7", False),
        ("10.0.0.0/8", "ten.example.com", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("10.1.2.3:80", "10.1.2.3", False),
        ("fd00::/8", "fd00::7", True),
        ("[fd00::7]:443", "fd00::7", True),
        ("3.com", "10.1.2.3", False),
        ("a.example, .svc ,", "relay.calls.svc", True),
    ],
)
def test_proxies_what_is_reached_straight(exceptions: str, host: str, straight: bool) -> None:
    found = Proxies.read(PROXY, exceptions.split(",")).of(host, 443)
    assert found == (None if straight else Proxy("proxy.example.com", 3128))


@pytest.mark.parametrize(
    ("url", "host", "port", "login"),
    [
        ("http://proxy:3128", "proxy", 3128, ("", "")),
        ("proxy:3128", "proxy", 3128, ("", "")),
        ("http://proxy/", "proxy", 80, ("", "")),
        ("http://[fd00::1]:8080", "fd00::1", 8080, ("", "")),
        ("http://us%40er:p%3Aw@proxy:3128", "proxy", 3128, ("us@er", "p:w")),
    ],
)
def test_proxies_addresses(url: str, host: str, port: int, login: tuple[str, str]) -> None:
    proxy = Proxies.read(url).proxy
    assert proxy is not None
    assert (proxy.host, proxy.port, (proxy.username, proxy.password)) == (host, port, login)
    assert Proxies.read(proxy.url).proxy == Proxy(host, port), "the address without the login is that of the same proxy"
    assert not login[1] or login[1] not in repr(proxy) + proxy.url


@pytest.mark.parametrize("url", ["https://proxy:3128", "socks5://proxy", "http://", "http://proxy:port", "http://us:secret@[x"])
def test_proxies_what_is_no_proxy_is_refused_without_its_address(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        Proxies.of_environment({"HTTPS_PROXY": url})
    assert str(caught.value).startswith("HTTPS_PROXY: ")
    assert "secret" not in str(caught.value)


def test_proxies_the_environment() -> None:
    assert Proxies.of_environment({}) == Proxies()
    assert Proxies.of_environment({"https_proxy": PROXY, "NO_PROXY": "a,b"}) == Proxies.read(PROXY, ["a", "b"])
    assert Proxies.of_environment({"HTTPS_PROXY": PROXY, "no_proxy": "a"}).of("a", 443) is None
    assert Proxies.of_environment({"HTTP_PROXY": PROXY}) == Proxies(), "nothing goes out unencrypted"
