"""Others in the session, and limits: what a blocked turn leaves behind, and how long a limit is heeded. Words as gateways have them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unit.realtime.wire import Desk, Line, told
from voiceassist_relay.realtime.core.server_events import decode
from voiceassist_relay.realtime.core.turns import HandOverState


class Session:
    """A conversation in which a server says things."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.desk.audio(60_000)
        self.told: list[Line] = told(self.desk.session.begin(HandOverState(), 0.0))

    def says(self, at: float, kind: str, **fields: Any) -> list[Line]:
        lines = told(self.desk.session.received(decode(json.dumps({"type": kind, **fields}).encode()), at))
        self.told += lines
        return lines

    def turn(self, at: float, item: str, words: str = "") -> None:
        self.says(at, "input_audio_buffer.speech_started", item_id=item, audio_start_ms=at * 1000 - 900)
        self.says(at, "input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=at * 1000 - 100)
        self.says(at, "input_audio_buffer.committed", item_id=item)
        if words:
            kind = "conversation.item.input_audio_transcription.completed"
            self.says(at, kind, item_id=item, transcript=words)

    def created(self, at: float, number: int = 1) -> None:
        self.says(at, "response.created", response={"id": f"resp_{number}", "metadata": {"kind": "suggestion"}})

    def answered(self, at: float, number: int = 1, **ended: Any) -> list[Line]:
        response = {"id": f"resp_{number}", "metadata": {"kind": "suggestion"}, "status": "completed", **ended}
        return self.says(at, "response.done", response=response)

    def requests(self) -> int:
        return sum(line.get("client", {}).get("type") == "response.create" for line in self.told)

    @property
    def handled(self) -> list[str]:
        return [line["handled"] for line in self.told if "handled" in line]

    @property
    def remembered(self) -> list[str]:
        """What the next session would be told."""
        return [seed.text for seed in self.desk.history.seeds()]


def test_responses_others_what_was_said_in_a_blocked_turn_is_told_to_no_later_session() -> None:
    session = Session()
    session.turn(2, "item_1", "My card is 4111.")
    session.created(2.1)
    session.turn(4, "item_2", "And my PIN is 1234.")  # waits
    session.turn(6, "item_3", "Can I return it?")
    assert session.remembered == ["My card is 4111.", "And my PIN is 1234.", "Can I return it?"]
    session.says(7, "conversation.item.deleted", item_id="item_2")
    session.says(7, "conversation.item.deleted", item_id="item_1")
    assert session.handled == ["blocked", "blocked"]
    assert session.remembered == ["Can I return it?"]
    session.answered(7.1, status="cancelled")
    assert session.requests() == 2, "what was not blocked is answered"


def test_responses_others_a_merged_turn_that_is_blocked_takes_no_other_with_it() -> None:
    session = Session()
    session.turn(2, "item_1", "My card is 4111.")
    session.turn(3, "item_2", "Can I return it?")  # before the response began: it hears both
    session.created(3.1)
    session.says(3.2, "conversation.item.deleted", item_id="item_1")
    assert (session.handled, session.remembered) == (["blocked"], ["Can I return it?"])
    item = {"id": "out_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}
    session.answered(4, output=[item])
    session.says(4, "response.output_text.done", response_id="resp_1", item_id="out_1", text="Yes.")
    assert session.handled[0] == "blocked" and len(session.handled) == 2, "each turn has one outcome"


@pytest.mark.parametrize(
    "error",
    [
        {"type": "guardrail_violation", "code": "content_policy_violation"},
        {"type": "invalid_request_error", "code": "guardrail_violation"},
        {"type": "server_error", "code": "content_filter"},
    ],
    ids=lambda error: error["code"],
)
def test_responses_others_a_response_that_a_policy_fails_is_a_blocked_turn_and_not_tried_again(error: dict[str, str]) -> None:
    session = Session()
    session.turn(2, "item_1")
    session.created(2.1)
    lines = session.answered(3, status="failed", status_details={"type": "failed", "error": error})
    assert {"fault": "blocked"} in lines
    assert session.handled == ["blocked"]
    assert session.requests() == 1


def test_responses_others_words_are_placed_behind_no_item_that_is_gone() -> None:
    session = Session()
    session.turn(2, "item_1", "One.")
    session.created(2.1)
    session.turn(4, "item_2", "Two.")
    session.says(5, "conversation.item.deleted", item_id="item_2")
    session.turn(8, "item_3", "Three.")
    session.desk.history.agent("agent-5", 5.0, "Just a moment.")
    (line,) = told(session.desk.session.agent_spoke(5.0, "Just a moment."))
    assert line["client"]["previous_item_id"] == "item_1"


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"type": "guardrail_error", "message": "429: {'error': 'Max parallel request limit reached, try again in 6m0s'}"}, 360),
        ({"code": "rate_limit_exceeded", "message": "Please retry after 35 seconds"}, 35),
        ({"code": "rate_limit_exceeded", "message": "slow down"}, 7),
    ],
    ids=["6m0s", "35 seconds", "as the limits say"],
)
def test_responses_others_a_limit_is_heeded_for_as_long_as_the_server_says(error: dict[str, str], wait: float) -> None:
    session = Session()
    session.says(1, "rate_limits.updated", rate_limits=[{"name": "tokens", "remaining": 0, "reset_seconds": 7.0}])
    session.says(2, "error", error=error)
    session.turn(2.5, "item_1")
    assert session.requests() == 0
    assert session.desk.session.deadline == pytest.approx(2 + wait)
    session.told += told(session.desk.session.tick(2 + wait))
    assert session.requests() == 1
