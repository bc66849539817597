"""The local model's parts: where speech begins and ends, and what is answered to it."""

from __future__ import annotations

import numpy as np
import pytest

from voiceassist_demo.local.rules import answer_to
from voiceassist_demo.local.voice_activity import RATE, Began, Ended, VoiceActivity


def tone(seconds: float, level: float = 3000.0) -> bytes:
    return (level * np.sin(2 * np.pi * 300 * np.arange(int(seconds * RATE)) / RATE)).astype("<i2").tobytes()


def quiet(seconds: float) -> bytes:
    return bytes(2 * int(seconds * RATE))


def test_local_voice_activity_finds_speech_with_a_little_before_it_and_its_end_after_the_silence() -> None:
    activity = VoiceActivity()
    activity.silence_ms = 400
    audio = quiet(1) + tone(2) + quiet(0.3) + tone(0.5) + quiet(1)
    found = [event for at in range(0, len(audio), 646) for event in activity.append(audio[at : at + 646])]  # no whole windows
    began, ended = found
    assert isinstance(began, Began)
    assert isinstance(ended, Ended)
    assert 600 <= began.at_ms <= 1_000
    assert 4_100 <= ended.at_ms <= 4_300
    assert abs(len(ended.pcm) / 2 / RATE * 1000 - (ended.at_ms - began.at_ms)) <= 40


def test_local_voice_activity_hears_no_speech_in_a_click_and_commits_what_is_open() -> None:
    activity = VoiceActivity()
    assert activity.append(quiet(1) + tone(0.04) + quiet(1)) == []
    assert activity.commit() is None
    assert [type(event) for event in activity.append(tone(1))] == [Began]
    assert isinstance(activity.commit(), Ended)
    activity.append(tone(1))
    activity.clear()
    assert activity.commit() is None
    assert [type(event) for event in activity.append(tone(30))][:2] == [Began, Ended], "the recogniser hears thirty seconds at most"


@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        ("My parcel was due on Monday. Where is it?", "tracking number"),
        ("when do I get my money back", "refund"),
        ("Yes, it is 4 7 1 1 2 9.", "look that number up"),
        ("Can you tell me what this is about?", "look that up"),
        ("I want to speak to your manager", "supervisor"),
    ],
)
def test_local_rules_answer_what_they_know_and_look_up_other_questions(heard: str, answer: str) -> None:
    reply = answer_to(heard)
    assert reply.relevant
    assert answer in reply.answer


@pytest.mark.parametrize(
    "heard", ["", "Good morning, Tom.", "Hello Anna, how are you?", "All right. Thanks a lot.", "I was discharged from hospital"]
)
def test_local_rules_need_no_suggestion_for_small_talk(heard: str) -> None:
    assert not answer_to(heard).relevant
