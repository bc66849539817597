"""Messages within Sync's sizes, for any text: cut between characters, whole JSON, and said so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceassist_crds.messages import (
    MAP_ITEM_BYTES,
    STREAM_MESSAGE,
    STREAM_MESSAGE_BYTES,
    AssistState,
    Draft,
    Status,
    StatusReason,
    StreamMessage,
    Suggestion,
    Track,
    Transcript,
)
from voiceassist_relay.sync.payload import encode, well_formed
from voiceassist_relay.sync.truncation import clip_to_bytes, item_payload, message_id, stream_payload

PIECES = st.sampled_from(["x", "é", "漢", "😀", '"', "\\", "\n", "\x00", "\u2028", "\ud83d", "👩‍👩‍👧", " word"])
TEXTS = st.builds(lambda piece, count, rest: piece * count + rest, PIECES, st.integers(0, 5000), st.text(max_size=40)).map(well_formed)
ID = "g999999999-" + "i" * 120


def suggestion(question: str, answer: str) -> Suggestion:
    return Suggestion(id=ID, revision="r" * 20, seq=999_999, question=question, answer=answer, at=2**53, latency_ms=2**31)


def check(message: StreamMessage, data: dict[str, object], limit: int) -> StreamMessage:
    """It fits as it is sent, and is a whole message of the contract."""
    sent = encode(data).encode()
    assert len(sent) <= limit
    assert json.loads(sent) == data
    return STREAM_MESSAGE.validate_python(data)


def beginning(cut: str, whole: str) -> bool:
    return cut == whole or (cut.endswith("…") and whole.startswith(cut[:-1]))


@settings(max_examples=80, deadline=None)
@given(TEXTS, TEXTS)
def test_truncation_suggestions(question: str, answer: str) -> None:
    message = suggestion(question, answer)
    for data, limit in ((stream_payload(message), STREAM_MESSAGE_BYTES), (item_payload(message), MAP_ITEM_BYTES)):
        read = check(message, data, limit)
        assert isinstance(read, Suggestion)
        assert beginning(read.answer, answer)
        assert beginning(read.question, question)
        assert read.truncated == ((read.question, read.answer) != (question, answer))
        if read.truncated:  # no more was cut than had to be: a character takes 14 bytes at most, twice
            assert len(encode(data).encode()) > limit * 0.85 or len(answer) < 40 or read.answer == answer


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_truncation_what_the_original_plugin_reads_says_the_same(question: str, answer: str) -> None:
    data = stream_payload(suggestion(question, answer))
    assert json.loads(data["transcript"]) == {"question": data["question"], "answer": data["answer"]}
    assert "transcript" not in item_payload(suggestion(question, answer))


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_truncation_drafts_and_transcripts(text: str) -> None:
    draft = Draft(id=ID, revision="r" * 20, part=10**9, answer=text)
    read = check(draft, stream_payload(draft), STREAM_MESSAGE_BYTES)
    assert isinstance(read, Draft)
    assert beginning(read.answer, text)
    words = Transcript(id=ID, revision="r" * 20, track=Track.CUSTOMER, part=10**9, text=text, final=True)
    heard = check(words, stream_payload(words), STREAM_MESSAGE_BYTES)
    assert isinstance(heard, Transcript)
    assert heard.text == text or (heard.text.startswith("…") and text.endswith(heard.text[1:]))


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_truncation_status(text: str) -> None:
    status = Status(
        id=ID, revision="r", state=AssistState.LIVE, reason=StatusReason.STARTED, message=text[:500], generation=1, stream="FLEX" * 20, at=0
    )
    check(status, stream_payload(status), STREAM_MESSAGE_BYTES)
    assert item_payload(status)["message"] == text[:500]


def test_truncation_as_much_as_fits_is_kept() -> None:
    for piece, bytes_each in (("x", 1), ("é", 2), ("漢", 3), ("😀", 4), ('"', 2), ("\n", 2), ("\x01", 6)):
        draft = Draft(id="g1-a", revision="r", part=1, answer=piece * 5000)
        data = stream_payload(draft)
        assert STREAM_MESSAGE_BYTES - bytes_each < len(encode(data).encode()) <= STREAM_MESSAGE_BYTES


def test_truncation_what_fits_is_untouched() -> None:
    data = stream_payload(suggestion("What?", "That."))
    assert (data["question"], data["answer"]) == ("What?", "That.")
    assert "truncated" not in data, "what is at its default is not sent"
    assert "latencyMs" in data
    assert "transcript" in data


def test_truncation_a_long_question_leaves_room_for_the_answer() -> None:
    data = stream_payload(suggestion("q" * 9000, "a" * 9000))
    assert len(data["question"]) < 520
    assert len(data["answer"]) > 1000


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.integers(6, 200))
def test_truncation_clip(text: str, limit: int) -> None:
    clipped = clip_to_bytes(text, limit)
    assert len(json.dumps(clipped, ensure_ascii=False).encode()) <= limit
    assert beginning(clipped, text)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("item_1", "g3-item_1"),
        ("x" * 120, "g3-" + "x" * 120),
        ("x" * 121, "g3-6270f9a4dd62d30c4e0c1f4ee1b8d4b8"),
        ("half\ud83d", "g3-half\ufffd"),
    ],
)
def test_truncation_ids_are_short_and_whole(item: str, expected: str) -> None:
    found = message_id(3, item)
    if len(item) <= 120:
        assert found == expected
    else:
        assert found.startswith("g3-")
        assert len(found) == 67
        assert found != message_id(3, item + "y")
    assert found == message_id(3, item)
