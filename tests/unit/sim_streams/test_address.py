import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceassist_sim.twilio.streams import check_url


@pytest.mark.parametrize(
    "url",
    [
        "wss://relay.example.com",
        "wss://relay.example.com/",
        "wss://relay.example.com/ws/CA00000000000000000000000000000001",
        "WSS://Relay.Example.com/ws/1",
        "wss://relay.example.com:443/ws/1",
        "wss://relay.example.com:8443/a%20b",
        "wss://assist.test/prefix/ws/1",
    ],
)
def test_wss_on_a_public_name_is_taken(url):
    assert check_url(url) is None


@pytest.mark.parametrize("url", ["ws://relay.example.com/ws/1", "https://relay.example.com/ws/1", "http://127.0.0.1/", "sip://a.b"])
def test_another_scheme_is_31922(url):
    assert check_url(url) == 31922


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relay.example.com/ws/1",
        "wss:relay.example.com",
        "wss:///ws/1",
        "wss://localhost/ws/1",
        "wss://relay/ws/1",
        "wss://relay.svc.cluster.local/ws/1",
        "wss://relay.ns.svc/ws/1",
        "wss://127.0.0.1/ws/1",
        "wss://127.0.0.1:8080/ws/1",
        "wss://[::1]/ws/1",
        "wss://user:pass@relay.example.com/ws/1",
        "wss://relay.example.com/ws/1#part",
        "wss://relay.example.com/ws/1#",
        "wss://relay.example.com:/ws/1",
        "wss://relay.example.com:port/ws/1",
        "wss://relay.example.com:70000/ws/1",
        "wss://relay..example.com/ws/1",
        "wss://-relay.example.com/ws/1",
        "wss://relay_1.example.com/ws/1",
        "wss://relay.example.com/ws 1",
        "wss://relay.example.com/ws/\n1",
        "wss://relay.example.com/wś/1",
        "wss://relay.example.com/" + "a" * 2048,
    ],
)
def test_what_is_no_address_of_a_public_name_is_31923(url):
    assert check_url(url) == 31923


@pytest.mark.parametrize("url", ["wss://relay.example.com/ws/1?a=b", "wss://relay.example.com/ws/1?", "wss://relay.example.com?x"])
def test_a_query_string_ends_in_a_failed_handshake(url):
    assert check_url(url) == 31920


@settings(deadline=None)
@given(st.text())
def test_no_text_makes_it_raise(url):
    assert check_url(url) in {None, 31920, 31922, 31923}
