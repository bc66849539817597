"""The order of admission, and its bucket."""

from __future__ import annotations

import base64
import hmac
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.proof import probe_answer
from voiceassist_crds.reasons import Refusal
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.media.admission import (
    UPGRADES,
    Admitted,
    Denied,
    Load,
    Probed,
    Upgrade,
    admit,
)
from voiceassist_relay.rate_limits import Rate, TokenBucket

KEY, SECOND = "k" * 32, "s" * 32
CALL = "CA" + "1" * 32
IDLE = Load(full=False, refusing=False)


def snapshot(secrets: Secrets | None = None, **changes: object) -> Snapshot:
    document = {
        "host": "assist.example.com",
        "twilio": {"accountSid": "AC" + "a" * 32, "syncServiceSid": "IS" + "0" * 32},
        "prompts": [{"instructions": "Help."}],
        **changes,
    }
    return Snapshot(RelayConfig.parse(json.dumps(document)), secrets or Secrets(auth_token=KEY, auth_token_secondary=SECOND))


def sign(path: str, key: str = KEY, origin: str = "wss://assist.example.com") -> str:
    return base64.b64encode(hmac.digest(key.encode(), (origin + path).encode(), "sha1")).decode()


def decide(target: str, *signatures: str, at: Snapshot | None = None, load: Load = IDLE, bucket: TokenBucket | None = None):
    return admit(Upgrade(target, signatures), at or snapshot(), load, bucket or TokenBucket(Rate(1, 1)), 0.0)


def refusal(*args, **kwargs) -> Refusal:
    decision = decide(*args, **kwargs)
    assert isinstance(decision, Denied)
    assert 400 <= decision.status < 600
    return decision.refusal


def test_admission_a_signed_upgrade_is_admitted_with_its_call():
    assert decide(f"/ws/{CALL}", sign(f"/ws/{CALL}")) == Admitted(CALL)
    assert decide(f"/ws/{CALL}", sign(f"/ws/{CALL}", SECOND)) == Admitted(CALL)
    assert decide(f"/a/b/ws/{CALL}", sign(f"/a/b/ws/{CALL}"), at=snapshot(pathPrefix="/a/b")) == Admitted(CALL)
    with_port = snapshot(host="assist.example.com:8443")
    assert decide(f"/ws/{CALL}", sign(f"/ws/{CALL}", origin="wss://assist.example.com:8443"), at=with_port) == Admitted(CALL)


@pytest.mark.parametrize(
    "target",
    [
        *("", "*", "/", "/ws", "/ws/", f"/ws/{CALL}/", f"/ws/{CALL}x", f"/ws/{CALL.lower()}", f"/WS/{CALL}", f"ws/{CALL}", f"//ws/{CALL}"),
        *(f"/ws/../ws/{CALL}", f"/ws/{CALL}#x", f"/ws/{CALL}%20", f"/ws/{CALL}\n", f"/prefix/ws/{CALL}"),
        *(f"wss://assist.example.com/ws/{CALL}", "/ws/" + "x" * 600, "/stream"),
        *("/ws/probe/", "/ws/probe/short", "/ws/probe/" + "x" * 65, "/ws/probe/12345678/", "/ws/probe/1234567%"),
    ],
)
def test_admission_any_other_path_is_not_found_even_when_signed(target):
    assert refusal(target, sign(target)) is Refusal.BAD_PATH


def test_admission_the_order_of_the_checks_and_what_each_costs():
    target, good = f"/ws/{CALL}", sign(f"/ws/{CALL}")
    empty = TokenBucket(Rate(0, 0))
    busy = Load(full=True, refusing=True)
    assert refusal(f"{target}x?a", bucket=empty, load=busy) is Refusal.BAD_PATH
    assert refusal(f"{target}?a", bucket=empty, load=busy) is Refusal.QUERY
    assert refusal(f"{target}?", good, bucket=empty, load=busy) is Refusal.QUERY
    assert refusal(target, bucket=empty, load=busy) is Refusal.NO_SIGNATURE
    assert refusal(target, "", bucket=empty, load=busy) is Refusal.NO_SIGNATURE
    assert refusal(target, "x", bucket=empty, load=busy) is Refusal.RATE
    assert refusal(target, "x", load=busy) is Refusal.BAD_SIGNATURE
    assert refusal(target, good, good, load=busy) is Refusal.BAD_SIGNATURE
    assert refusal(target, good, load=busy) is Refusal.DRAINING
    assert refusal(target, good, load=Load(full=True, refusing=False)) is Refusal.FULL


def test_admission_without_tokens_nobody_is_let_in_and_without_checks_everybody():
    bare = snapshot(Secrets())
    assert refusal(f"/ws/{CALL}", sign(f"/ws/{CALL}", ""), at=bare) is Refusal.BAD_SIGNATURE
    off = snapshot(Secrets(), checks="Off")
    assert decide(f"/ws/{CALL}", at=off) == Admitted(CALL)
    assert decide("/ws/probe/12345678", at=off) == Probed("")
    assert refusal(f"/ws/{CALL}?x", at=off) is Refusal.QUERY
    assert refusal(f"/ws/{CALL}", at=off, load=Load(full=True, refusing=False)) is Refusal.FULL


def test_admission_a_probe_is_answered_with_the_key_it_was_signed_with_whatever_the_load():
    target = "/ws/probe/abc_DEF-12"
    for key in (KEY, SECOND):
        assert decide(target, sign(target, key), load=Load(True, True)) == Probed(probe_answer(key, "abc_DEF-12"))
    assert refusal(target, sign(target, "x")) is Refusal.BAD_SIGNATURE


@given(st.text(max_size=60))
def test_admission_no_path_raises(target):
    assert isinstance(decide(target, "x"), Denied)
    assert isinstance(decide(f"/ws/{target}", target), Denied)


def test_admission_a_bucket_gives_its_burst_then_its_rate():
    bucket = TokenBucket(Rate(per_second=2, burst=3))
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(10.4), bucket.take(10.5), bucket.take(10.6)] == [False, True, False]
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(5.0) is False  # a clock that steps back gives nothing


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 5), st.floats(0.1, 5))
def test_admission_a_bucket_never_gives_more_than_burst_and_rate(steps, burst, rate):
    bucket, now, given_out = TokenBucket(Rate(rate, burst)), 0.0, 0
    for step in steps:
        now += step
        given_out += bucket.take(now)
        assert given_out <= burst + rate * now + 1e-6


def test_admission_of_a_flood_of_forged_signatures_a_thousand_are_checked_and_500_a_second():
    """With the product's own bucket: what a check costs is taken from the loop that all calls share."""
    bucket, target = TokenBucket(UPGRADES), Upgrade(f"/ws/{CALL}", ("forged",))

    def checked(count: int, now: float) -> int:
        answers = [admit(target, snapshot(), IDLE, bucket, now) for _ in range(count)]
        refused = Counter(answer.refusal for answer in answers if isinstance(answer, Denied))
        assert refused[Refusal.BAD_SIGNATURE] + refused[Refusal.RATE] == count
        return refused[Refusal.BAD_SIGNATURE]

    assert checked(4000, 0.0) == 1000
    assert checked(4000, 1.0) == 500
