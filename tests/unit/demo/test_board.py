"""What the page shows, made of events."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_crds import names
from voiceassist_demo.board import KEPT_BARS, KEPT_WORDS, STAGES, Board, CallView

SID = "CA" + "1" * 32
OTHER = "CA" + "2" * 32


@pytest.fixture
def board() -> Board:
    board = Board()
    board.add(CallView(0, SID, "A parcel", 1000.0, 38.0))
    return board


def message(data: dict[str, Any], name: str = "") -> dict[str, Any]:
    return {"type": "sync", "event": "message", "uniqueName": name or names.sync_stream(SID, "x"), "data": data}


def draft(part: int, answer: str, one: str = "1-item_1") -> dict[str, Any]:
    return message({"type": "draft", "id": one, "part": part, "answer": answer})


def finished(seq: int = 1, one: str = "1-item_1") -> dict[str, Any]:
    data = {"type": "suggestion", "id": one, "seq": seq, "question": "Where?", "answer": "Here.", "transcript": "{}"}
    return message(data, names.suggestions_map(SID))


def words(part: int, text: str, one: str = "w1", final: bool = False) -> dict[str, Any]:
    return message({"type": "transcript", "id": one, "part": part, "text": text, "track": "customer", "final": final})


def shown(board: Board) -> dict[str, Any]:
    return board.calls[SID].to_json()


def test_board_a_calls_life(board: Board) -> None:
    assert (shown(board)["state"], shown(board)["playingAt"], shown(board)["endedAt"]) == ("starting", None, None)
    board.take({"type": "call", "callSid": SID, "event": "playing", "at": 1001.5})
    board.take(message({"type": "status", "state": "live", "message": "Listening.", "reason": "Live"}))
    board.take(draft(1, "He"))
    assert (shown(board)["playingAt"], shown(board)["state"], shown(board)["message"]) == (1001.5, "live", "Listening.")
    board.take({"type": "call", "callSid": SID, "event": "ended", "at": 1040.0})
    assert (shown(board)["endedAt"], shown(board)["drafts"]) == (1040.0, [])


def test_board_a_draft_grows_and_its_suggestion_takes_its_place(board: Board) -> None:
    board.take(draft(1, "He"))
    board.take(draft(2, "Here"))
    assert [one["answer"] for one in shown(board)["drafts"]] == ["Here"]
    board.take(finished())
    assert shown(board)["drafts"] == []
    assert [one["answer"] for one in shown(board)["suggestions"]] == ["Here."]
    assert "transcript" not in shown(board)["suggestions"][0]


def test_board_an_older_part_that_comes_late_changes_nothing(board: Board) -> None:
    board.take(draft(2, "Here"))
    board.take(draft(1, "He"))
    board.take(words(2, "Where is"))
    board.take(words(1, "Where"))
    assert [one["answer"] for one in shown(board)["drafts"]] == ["Here"]
    assert [one["text"] for one in shown(board)["words"]] == ["Where is"]


def test_board_a_draft_that_comes_after_its_suggestion_or_its_withdrawal_is_not_shown(board: Board) -> None:
    board.take(finished())
    board.take(draft(9, "Here"))
    board.take(draft(1, "Th", "1-item_2"))
    board.take(message({"type": "withdrawn", "id": "1-item_2"}))
    board.take(draft(2, "There", "1-item_2"))
    assert shown(board)["drafts"] == []


def test_board_suggestions_stand_once_each_in_their_order(board: Board) -> None:
    for event in (finished(2, "1-item_2"), finished(1), finished(1)):
        board.take(event)
    assert [one["seq"] for one in shown(board)["suggestions"]] == [1, 2]


def test_board_only_the_latest_words_are_kept(board: Board) -> None:
    for number in range(KEPT_WORDS + 5):
        board.take(words(1, str(number), f"w{number}", final=True))
    assert [one["text"] for one in shown(board)["words"]] == [str(number) for number in range(5, KEPT_WORDS + 5)]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "stream", "callSid": SID},
        {"type": "call", "callSid": OTHER, "event": "ended", "at": 1.0},
        message({"type": "draft", "id": "x", "part": 1, "answer": ""}, names.sync_stream(OTHER, "x")),
        {"type": "sync", "event": "created", "uniqueName": names.sync_stream(SID, "x")},
        {"type": "sync", "event": "created", "uniqueName": None, "data": {}},
        message({"type": "draft"}, names.call_document(SID)),
    ],
)
def test_board_what_is_of_no_call_on_the_board_changes_nothing(board: Board, event: dict[str, Any]) -> None:
    before = shown(board)
    assert board.take(event) is None
    assert shown(board) == before


def test_board_a_new_call_takes_its_slot(board: Board) -> None:
    board.add(CallView(1, OTHER, "Hail", 1.0, 40.0))
    third = "CA" + "3" * 32
    board.add(CallView(0, third, "A parcel", 2.0, 38.0))
    assert [(call["slot"], call["callSid"]) for call in board.to_json()["calls"]] == [(0, third), (1, OTHER)]


def metrics(count: int, seconds: float) -> dict[str, float]:
    return {
        f'stage_duration_seconds_{kind}{{stage="{stage}"}}': value
        for stage in STAGES
        for kind, value in (("count", count), ("sum", seconds))
    }


def test_board_a_bar_is_the_mean_of_what_was_published_since_the_last_look(board: Board) -> None:
    assert board.measured({}) is None
    assert board.measured(metrics(1, 0.2)) == dict.fromkeys(STAGES, 200.0)
    assert board.measured(metrics(1, 0.2)) is None
    assert board.measured(metrics(3, 0.4)) == dict.fromkeys(STAGES, 100.0)
    assert len(board.to_json()["bars"]) == 2


def test_board_stages_of_a_turn_that_is_not_published_yet_wait_for_it(board: Board) -> None:
    asked = {name: value for name, value in metrics(1, 0.2).items() if "publish" not in name}
    assert board.measured(asked) is None
    assert board.measured(metrics(1, 0.2)) == dict.fromkeys(STAGES, 200.0)


def test_board_bars_are_bounded(board: Board) -> None:
    for number in range(1, KEPT_BARS + 4):
        board.measured(metrics(number, number / 10))
    assert len(board.bars) == KEPT_BARS
