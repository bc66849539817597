"""The relay's settings, said in its log where they are guesses."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from voiceassist_crds.config import AudioFormat, ModelConfig, Provider
from voiceassist_relay.app import _warn_of_guesses
from voiceassist_relay.health.endpoints import _family

COMPATIBLE = ModelConfig(name="mine", provider=Provider.COMPATIBLE, url="wss://models.example.com/v1")


@pytest.mark.parametrize(
    ("model", "warned"),
    [
        (ModelConfig(name="gpt-realtime-2.1-mini"), False),
        (COMPATIBLE, True),
        (COMPATIBLE.model_copy(update={"audio_format": AudioFormat.PCM16K}), False),
    ],
    ids=["OpenAI", "Compatible", "Compatible, and chosen"],
)
def test_app_a_guessed_audio_format_is_told_in_the_log_and_in_the_status(model: ModelConfig, warned: bool) -> None:
    with capture_logs() as said:
        _warn_of_guesses(model)
    assert [one["event"] for one in said] == (["audio_format_not_chosen"] if warned else [])
    assert ("not chosen" in _family(model)) is warned
