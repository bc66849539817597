from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.config import Prompt, RelayConfig
from voiceassist_relay.call.prompt_choice import bucket, choose_prompt


def config(*weights: int, salt: str = "") -> RelayConfig:
    prompts = [{"instructions": f"p{n}", "weight": weight, "revision": f"rev{n}"} for n, weight in enumerate(weights)]
    return RelayConfig.model_validate(
        {"host": "h", "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32}, "prompts": prompts, "promptSalt": salt}
    )


def test_prompt_choice_shares_follow_the_weights() -> None:
    counts = Counter(choose_prompt(config(95, 5), f"CA{n:032x}").revision for n in range(20_000))
    assert 0.04 < counts["rev1"] / 20_000 < 0.06


@given(st.text(max_size=40), st.integers(0, 100))
def test_prompt_choice_a_call_stays_when_the_canary_grows(call: str, weight: int) -> None:
    """A call that is in the share of the last entry stays there while that share grows."""
    if choose_prompt(config(100 - weight, weight), call).revision == "rev1":
        for more in range(weight, 101):
            assert choose_prompt(config(100 - more, more), call).revision == "rev1"


@given(st.text(max_size=40))
def test_prompt_choice_weight_zero_is_never_chosen(call: str) -> None:
    chosen: Prompt = choose_prompt(config(0, 100, 0), call)
    assert chosen.revision == "rev1"


def test_prompt_choice_salt_spreads_anew() -> None:
    calls = [f"CA{n:032x}" for n in range(200)]
    assert [bucket(c, "a") for c in calls] != [bucket(c, "b") for c in calls]
    assert [bucket(c, "a") for c in calls] == [bucket(c, "a") for c in calls]
