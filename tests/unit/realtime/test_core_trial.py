"""What a conversation of a second shows of a server, by the events that servers were seen to send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unit.realtime.wire import plan_of
from voiceassist_crds.config import AudioFormat
from voiceassist_relay.realtime.core.server_events import decode
from voiceassist_relay.realtime.core.trial import Found, Trial

PHRASE = 1000.0


def heard(*events: dict[str, Any], sent_ms: float = 2000.0) -> Found:
    """What is found where the server says these, a tenth of a second apart, after so much audio."""
    trial = Trial(plan_of().model, AudioFormat.PCMU, PHRASE)
    trial.sent_ms = sent_ms
    for number, event in enumerate(events):
        trial.received(decode(json.dumps(event).encode()), number / 10)
    return trial.found


def stopped(at_ms: float) -> list[dict[str, Any]]:
    return [
        {"type": "input_audio_buffer.speech_started", "item_id": "i", "audio_start_ms": 100},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "i", "audio_end_ms": at_ms},
        {"type": "input_audio_buffer.committed", "item_id": "i"},
    ]


@pytest.mark.parametrize(
    ("at_ms", "share"),
    [(1500, None), (750, None), (350, 0.35), (250, 0.25), (2600, None), (3000, 1.5), (6000, 3.0)],
)
def test_core_trial_a_phrase_of_another_length_is_noise(at_ms: float, share: float | None) -> None:
    """Mu-law read as PCM of 16 kHz is a quarter as long; PCM of 24 kHz read as 16 kHz half as much again."""
    found = heard(*stopped(at_ms))
    assert found.misread is (share is not None)
    if share is not None:
        assert found.share == pytest.approx(share)
        assert f"counts {share:.0%} of the audio" in found.told()


def test_core_trial_who_answers_to_noise_is_not_well() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "Pardon?"}]}
    answer = [{"type": "response.output_item.done", "item": item}, {"type": "response.done", "response": {"status": "completed"}}]
    assert heard(*stopped(1500), *answer).well
    noise = heard(*stopped(250), *answer)
    assert noise.answered and not noise.well


@pytest.mark.parametrize("kind", ["output_audio", "audio"])
@pytest.mark.parametrize("name", ["response.output_audio_transcript.delta", "response.audio_transcript.delta"])
def test_core_trial_what_is_spoken_can_be_read_and_its_first_word_counts(kind: str, name: str) -> None:
    item = {"type": "message", "content": [{"type": kind, "transcript": "Hello."}]}
    found = heard(*stopped(1500), {"type": name, "item_id": "o", "delta": "Hel"}, {"type": "response.done", "response": {"output": [item]}})
    assert (found.spoken, found.text, found.tool, found.well) == (True, False, False, True)
    assert found.first_output == pytest.approx(0.1)
    assert "speech that is read as text" in found.told() and "first piece of the answer after 100 ms" in found.told()
