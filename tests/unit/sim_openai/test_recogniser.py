"""The recogniser: what is missing, doubled and out of order is told exactly."""

from __future__ import annotations

import itertools
import os
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from voiceassist_sim.openai import Utterance, load_sample_calls
from voiceassist_sim.openai.recogniser import Recogniser

CALLS = load_sample_calls()
UTTERANCES = [utterance for call in CALLS for utterance in call.utterances]
RECOGNISER = Recogniser(UTTERANCES)
BY_ID = {utterance.id: utterance for utterance in UTTERANCES}
SILENCE = b"\xff"
SHORTEST = 24
"""Bytes of the shortest stretch between two losses that is recognised."""


def heaviest_rise(order: list[int], weight: dict[int, int]) -> int:
    """Weight of the heaviest strictly rising subsequence, by trying all ends (the test's own way)."""
    best: list[int] = []
    for index, value in enumerate(order):
        best.append(weight[value] + max((best[earlier] for earlier in range(index) if order[earlier] < value), default=0))
    return max(best, default=0)


def cut(utterance: Utterance, size: int) -> list[bytes]:
    return [utterance.audio[at : at + size] for at in range(0, len(utterance.audio), size)]


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[str, int, list[int | None]]:
    """An utterance's id, a frame size, and the frames that arrive: numbers, None for an inserted silent frame."""
    utterance = draw(st.sampled_from(UTTERANCES))
    size = draw(st.sampled_from([160, 160, 80, 320, 800]))
    whole: list[int | None] = list(range(len(cut(utterance, size))))
    order = list(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(order) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "late", "silence"])):
            case "drop":
                del order[at : at + draw(st.integers(1, 3))]
            case "double":
                order.insert(at, order[at])
            case "swap" if at + 1 < len(order):
                order[at], order[at + 1] = order[at + 1], order[at]
            case "late":
                order.insert(draw(st.integers(0, len(order) - 1)), order.pop(at))
            case "silence":
                order.insert(at, None)
        if len(order) < 4:
            order = list(whole)
    return utterance.id, size, order


@settings(max_examples=120, deadline=None)
@given(disturbed())
def test_every_disturbance_is_counted_exactly(case: tuple[str, int, list[int | None]]) -> None:
    utterance, size, order = BY_ID[case[0]], case[1], case[2]
    frames = cut(utterance, size)
    padding = SILENCE * 1600
    arrived = [SILENCE * 160 if number is None else frames[number] for number in order]
    audio = padding + b"".join(arrived) + padding
    borders = [0, *itertools.accumulate((len(frame) for frame in arrived), initial=len(padding))]

    heard = RECOGNISER.hear(audio, borders)

    held = [number for number in order if number is not None]
    weight = {number: len(frames[number]) for number in held}
    distinct = sum(weight.values())
    first = next(index for index, number in enumerate(order) if number is not None)
    last = max(index for index, number in enumerate(order) if number is not None)
    (match,) = heard.matches
    assert match.utterance is utterance
    assert match.missing == len(utterance.audio) - distinct
    assert match.doubled == sum(len(frames[number]) for number in held) - distinct
    assert match.disordered == distinct - heaviest_rise(held, weight)
    assert (match.cut_head, match.cut_tail) == (0, 0)
    assert heard.inserted_silence == 160 * sum(number is None for number in order[first:last])
    assert heard.foreign == 0
    assert heard.exact == (distinct == len(utterance.audio) and held == sorted(set(held)))


@settings(max_examples=120, deadline=None)
@given(disturbed(), st.integers(1, 160 - SHORTEST))
def test_frames_need_not_begin_where_the_utterance_begins(case: tuple[str, int, list[int | None]], shift: int) -> None:
    utterance = BY_ID[case[0]]
    track = SILENCE * shift + utterance.audio
    track += SILENCE * (-len(track) % 160)
    frames = [track[at : at + 160] for at in range(0, len(track), 160)]
    last = len(frames) - 1
    rest = (shift + len(utterance.audio)) % 160 or 160
    assume(rest >= SHORTEST)
    weight = {number: 160 - shift if number == 0 else rest if number == last else 160 for number in range(len(frames))}
    held = [number for number in case[2] if number is not None and number < len(frames)]
    arrived = [SILENCE * 160, *(frames[number] for number in held), SILENCE * 160]

    heard = RECOGNISER.hear(b"".join(arrived), [0, *itertools.accumulate(map(len, arrived))])

    (match,) = heard.matches
    distinct = sum(weight[number] for number in set(held))
    assert match.missing == len(utterance.audio) - distinct
    assert match.doubled == sum(weight[number] for number in held) - distinct
    assert match.disordered == distinct - heaviest_rise(held, weight)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(BY_ID)), st.integers(0, 6000), st.integers(0, 6000))
def test_a_turn_that_begins_or_ends_inside_an_utterance_is_cut_not_damaged(name: str, head: int, tail: int) -> None:
    utterance = BY_ID[name]
    size = len(utterance.audio)
    head, tail = min(head, size // 3), min(tail, size // 3)
    heard = RECOGNISER.hear(utterance.audio[head : size - tail])
    (match,) = heard.matches
    assert heard.exact and match.exact
    assert (match.utterance.id, match.cut_head, match.cut_tail, match.missing) == (utterance.id, head, tail, 0)


@pytest.mark.parametrize("end", ["head", "tail"])
def test_a_loss_at_the_end_of_an_utterance_is_a_loss_when_the_turn_goes_on(end: str) -> None:
    audio = BY_ID["lost-parcel/c2"].audio
    heard = RECOGNISER.hear(SILENCE * 800 + (audio[160:] if end == "head" else audio[:-160]) + SILENCE * 800)
    (match,) = heard.matches
    assert (match.missing, match.cut_head, match.cut_tail, heard.exact) == (160, 0, 0, False)


def test_two_utterances_in_one_turn_are_both_told() -> None:
    one, two = BY_ID["lost-parcel/c2"], BY_ID["lost-parcel/c3"]
    heard = RECOGNISER.hear(one.audio + SILENCE * 4000 + two.audio)
    assert [match.utterance.id for match in heard.matches] == [one.id, two.id]
    assert heard.exact and heard.inserted_silence == 0


def test_foreign_audio_inside_an_utterance_is_counted() -> None:
    audio = BY_ID["lost-parcel/c2"].audio
    heard = RECOGNISER.hear(audio[:8000] + bytes(range(100)) + audio[8000:])
    assert (heard.foreign, heard.matches[0].missing, heard.exact) == (100, 0, False)


def test_an_utterance_may_begin_and_end_with_silent_bytes() -> None:
    speech = SILENCE * 3 + random.Random(5).randbytes(4000).replace(SILENCE, b"\x80") + SILENCE * 3
    utterance = Utterance("x/c1", "x", "customer", 0, 500, "", True, "", "", speech)
    for offset in range(155, 161):
        audio = SILENCE * offset + speech + SILENCE * 400
        heard = Recogniser([utterance]).hear(audio, range(0, len(audio), 160))
        assert heard.exact and heard.matches[0].heard == len(speech)


def test_words_that_two_utterances_share_belong_to_the_one_that_is_spoken() -> None:
    rng = random.Random(6)
    shared = rng.randbytes(4000)
    one = Utterance("x/c1", "x", "customer", 0, 500, "", True, "", "", rng.randbytes(1904) + shared + rng.randbytes(2000))
    two = Utterance("x/c2", "x", "customer", 0, 500, "", True, "", "", rng.randbytes(2000) + shared + rng.randbytes(2000))
    (match,) = Recogniser([one, two]).hear(two.audio[:3200] + two.audio[3360:]).matches
    assert (match.utterance, match.missing) == (two, 160)


def test_unknown_audio_matches_nothing() -> None:
    audio = os.urandom(40_000)
    heard = RECOGNISER.hear(audio)
    assert heard.matches == () and not heard.exact
    assert heard.foreign == 40_000 - audio.count(0xFF)


def test_silence_is_neither_known_nor_foreign() -> None:
    heard = RECOGNISER.hear(SILENCE * 8000)
    assert (heard.matches, heard.foreign, heard.inserted_silence) == ((), 0, 0)


def test_no_stretch_of_the_sample_calls_repeats() -> None:
    """Each anchor lies at one place, so a jump is never read as another one."""
    seen: dict[bytes, str] = {}
    for utterance in UTTERANCES:
        for at in range(0, len(utterance.audio) - 16, 8):
            window = utterance.audio[at : at + 16]
            assert seen.setdefault(window, utterance.id) == utterance.id
