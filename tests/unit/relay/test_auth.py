"""Signatures, stream tokens, probes and peers."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from voiceassist_crds.names import TOKEN_PARAMETER, CallSid
from voiceassist_crds.proof import probe_answer
from voiceassist_crds.reasons import Refusal
from voiceassist_relay import auth
from voiceassist_relay.errors import TokenRefused
from voiceassist_relay.interfaces import StreamClaims
from voiceassist_relay.twilio import signatures

KEY, OTHER = "0123456789abcdef0123456789abcdef", "f" * 32
CALL = CallSid("CA" + "1" * 32)
URL = f"wss://assist.example.com/ws/{CALL}"
CLAIMS = StreamClaims(call=CALL, account="AC" + "2" * 32, generation=3, exp=1_000_600, paused=True)
NOW = 1_000_000.0


def sign(key: str, url: str, params: list[tuple[str, str]] | None = None) -> str:
    """Twilio's algorithm, written from its description."""
    text = url + "".join(name + value for name, value in sorted(params or []))
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


# upgrades


def test_auth_the_published_vector():
    assert signatures.signing_token(["authtok"], "wss://relay.example.com/media", "5RyyovjKfuKsQz9D1epgpo/HUxI=")


@pytest.mark.parametrize("signed", [URL, URL + "/", URL.replace(".com/", ".com:443/"), URL.replace(".com/", ".com:443/") + "/"])
@pytest.mark.parametrize("tokens", [(KEY,), (KEY, OTHER), (OTHER, KEY), ("", KEY)])
def test_auth_an_upgrade_is_recognised_in_every_form_that_twilio_may_sign(signed, tokens):
    assert signatures.signing_token(tokens, URL, sign(KEY, signed))
    assert signatures.signing_token(tokens, URL + "/", sign(KEY, signed))
    assert signatures.signing_token(tokens, URL, sign(KEY, signed)) == KEY


def test_auth_an_explicit_port_passes_with_and_without_it():
    url = "wss://assist.example.com:8443/ws/x"
    assert signatures.signing_token([KEY], url, sign(KEY, url))
    assert signatures.signing_token([KEY], url, sign(KEY, "wss://assist.example.com/ws/x"))
    assert not signatures.signing_token([KEY], url, sign(KEY, "wss://assist.example.com:443/ws/x"))


@pytest.mark.parametrize(
    "signed",
    [
        URL.replace("wss:", "https:"),
        URL.replace("wss:", "ws:"),
        URL + "?a=b",
        URL.replace("1111", "1112"),
        URL.replace("assist.", "assist2."),
        URL.replace(".com/", ".com:8443/"),
        "",
    ],
)
def test_auth_a_signature_over_another_address_is_refused(signed):
    assert not signatures.signing_token([KEY], URL, sign(KEY, signed))


def test_auth_a_wrong_key_and_no_key_are_refused():
    assert not signatures.signing_token([OTHER], URL, sign(KEY, URL))
    assert not signatures.signing_token([], URL, sign(KEY, URL))
    assert not signatures.signing_token([""], URL, sign("", URL))


@given(header=st.text(max_size=200), url=st.text(max_size=80))
def test_auth_junk_never_raises(header, url):
    assert not signatures.signing_token([KEY], url, header)
    assert not signatures.signing_token([KEY], f"wss://h:{url}/x", header)
    assert not signatures.verify_callback([KEY], url, {header: url}, header)
    assert not auth.verify_peer([KEY], header, "POST", url, 0)
    assert not auth.verify_peer([KEY], "1.x", "POST", url + "\udc80", 1)
    with pytest.raises(TokenRefused):
        auth.read_stream_token([KEY], header, NOW)


def test_auth_a_port_that_cannot_be_is_refused_and_does_not_raise():
    assert not signatures.signing_token([KEY], "wss://h:99999/x", sign(KEY, "wss://h:99999/x"))


# callbacks

CALLBACK = "https://assist.example.com/callbacks/stream"


@pytest.mark.parametrize("signed", [CALLBACK, CALLBACK + "/", CALLBACK.replace(".com/", ".com:443/")])
def test_auth_a_callback_is_recognised(signed):
    form = [("StreamEvent", "stream-error"), ("CallSid", CALL), ("StreamError", "ä b")]
    assert signatures.verify_callback([OTHER, KEY], CALLBACK, form, sign(KEY, signed, form))
    assert signatures.verify_callback([KEY], CALLBACK, dict(form), RequestValidator(KEY).compute_signature(signed, dict(form)))


def test_auth_a_changed_or_added_field_is_refused():
    form = [("StreamEvent", "stream-error"), ("CallSid", CALL)]
    header = sign(KEY, CALLBACK, form)
    assert not signatures.verify_callback([KEY], CALLBACK, [*form, ("x", "y")], header)
    assert not signatures.verify_callback([KEY], CALLBACK, [("StreamEvent", "stream-stopped"), form[1]], header)
    assert not signatures.verify_callback([KEY], CALLBACK, [*form, ("CallSid", "other")], header)
    assert not signatures.verify_callback([KEY], CALLBACK.replace("https", "http"), form, header)


def test_auth_repeated_fields_count_each():
    form = [("a", "1"), ("a", "2")]
    assert signatures.verify_callback([KEY], CALLBACK, form, sign(KEY, CALLBACK, form))


def test_auth_a_file_instead_of_a_text_is_refused():
    assert not signatures.verify_callback([KEY], CALLBACK, [("a", object())], sign(KEY, CALLBACK))  # type: ignore[list-item]


def test_auth_too_many_fields_are_refused():
    form = [(f"{n:04}", "") for n in range(201)]
    assert not signatures.verify_callback([KEY], CALLBACK, form, sign(KEY, CALLBACK, form))


# stream tokens


def refusal(tokens, token, now=NOW):
    with pytest.raises(TokenRefused) as caught:
        auth.read_stream_token(tokens, token, now)
    return caught.value.refusal


def test_auth_a_token_says_what_it_was_given():
    token = auth.mint_stream_token(KEY, CLAIMS)
    assert auth.read_stream_token([OTHER, KEY], token, NOW) == CLAIMS
    assert auth.read_stream_token([KEY], auth.mint_stream_token(KEY, replace(CLAIMS, paused=False)), NOW).paused is False
    assert len(TOKEN_PARAMETER) + len(token) < 260


def test_auth_the_key_is_hkdf_of_the_auth_token():
    prk = hmac.new(b"\0" * 32, KEY.encode(), hashlib.sha256).digest()
    key = hmac.new(prk, b"voiceassist-stream\x01", hashlib.sha256).digest()
    message, _, proof = auth.mint_stream_token(KEY, CLAIMS).rpartition(".")
    expected = base64.urlsafe_b64encode(hmac.new(key, message.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    assert proof == expected


def test_auth_a_token_ends_at_its_moment():
    token = auth.mint_stream_token(KEY, CLAIMS)
    assert auth.read_stream_token([KEY], token, CLAIMS.exp - 0.001) == CLAIMS
    assert refusal([KEY], token, CLAIMS.exp) is Refusal.TOKEN_EXPIRED


def test_auth_an_absent_token_and_a_strangers_token():
    token = auth.mint_stream_token(KEY, CLAIMS)
    assert refusal([KEY], "") is Refusal.TOKEN_MISSING
    assert refusal([OTHER], token) is Refusal.TOKEN_INVALID
    assert refusal([], token) is Refusal.TOKEN_INVALID
    assert refusal([""], token) is Refusal.TOKEN_INVALID
    assert refusal([KEY], token + "A" * 500) is Refusal.TOKEN_INVALID


def test_auth_an_expired_token_of_a_stranger_is_invalid_rather_than_expired():
    assert refusal([OTHER], auth.mint_stream_token(KEY, CLAIMS), CLAIMS.exp + 1) is Refusal.TOKEN_INVALID


@given(data=st.data())
def test_auth_no_other_text_passes(data):
    token = auth.mint_stream_token(KEY, CLAIMS)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != token[at]))
    assert refusal([KEY], token[:at] + other + token[at + 1 :]) is Refusal.TOKEN_INVALID
    assert refusal([KEY], token[:at]) in {Refusal.TOKEN_INVALID, Refusal.TOKEN_MISSING}


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'["CA","AC",1,2000000000,false]', b'["%s","AC",0,2000000000,false]' % CALL.encode(), b'["%s"]' % CALL.encode()]
)
def test_auth_signed_nonsense_is_invalid(body):
    message = "v1." + base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    assert refusal([KEY], f"{message}.{auth.proof_of(KEY, b'voiceassist-stream', message)}") is Refusal.TOKEN_INVALID


def test_auth_an_empty_auth_token_signs_nothing_and_too_long_claims_are_not_minted():
    with pytest.raises(ValueError, match="empty"):
        auth.mint_stream_token("", CLAIMS)
    with pytest.raises(ValueError, match="characters"):
        auth.mint_stream_token(KEY, replace(CLAIMS, account="A" * 300))


# probes and peers


def test_auth_a_probes_answer_needs_the_key_and_the_nonce():
    answer = probe_answer(KEY, "abc")
    assert answer == probe_answer(KEY, "abc")
    assert len({answer, probe_answer(OTHER, "abc"), probe_answer(KEY, "abd")}) == 3
    with pytest.raises(ValueError, match="empty"):
        probe_answer("", "abc")


def test_auth_a_peer_proves_method_path_and_moment():
    path = f"/calls/{CALL}/pause"
    header = auth.mint_peer(KEY, "POST", path, NOW + 0.7)
    assert auth.verify_peer([OTHER, KEY], header, "post", path, NOW)
    assert auth.verify_peer([KEY], header, "POST", path, NOW + 90)
    assert auth.verify_peer([KEY], header, "POST", path, NOW - 90)
    assert not auth.verify_peer([KEY], header, "POST", path, NOW + 91)
    assert not auth.verify_peer([KEY], header, "POST", path, NOW - 91)
    assert not auth.verify_peer([OTHER], header, "POST", path, NOW)
    assert not auth.verify_peer([KEY], header, "GET", path, NOW)
    assert not auth.verify_peer([KEY], header, "POST", path.replace("pause", "resume"), NOW)
    assert not auth.verify_peer([KEY], header.replace("1000000", "1000001"), "POST", path, NOW)
    assert not auth.verify_peer([""], "", "POST", path, NOW)


@pytest.mark.parametrize("skew", [-60, 60])
def test_auth_relays_whose_clocks_are_a_minute_apart_take_each_others_proofs(skew: int) -> None:
    target, path, nonce = "10.0.0.1:9090", f"/calls/{CALL}/pause", "n" * 24
    proof = auth.mint_peer_for(KEY, target, "POST", path, NOW + skew, nonce)
    assert auth.verify_peer_for([KEY], proof, target, "POST", path, NOW + 20)
    used = auth.SeenProofs()
    assert used.use(proof, NOW)
    assert not used.use(proof, NOW + skew + auth.PEER_VALID_SECONDS), "not twice while it is valid"


def test_auth_proofs_of_166_requests_a_second_are_remembered_for_as_long_as_they_are_valid():
    used = auth.SeenProofs()
    assert all(used.use(f"{number}", NOW + number / 166) for number in range(166 * 400))
    assert len(used) <= 30_000


def test_auth_a_stream_token_is_no_peer_header():
    proof = auth.proof_of(KEY, b"voiceassist-stream", f"POST\n/x\n{int(NOW)}")
    assert not auth.verify_peer([KEY], f"{int(NOW)}.{proof}", "POST", "/x", NOW)
