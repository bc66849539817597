"""The report of `--once`: whose session is whose, what was lost, how long it took, and each complaint."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from voiceassist_demo.report import CallFacts, assign_sessions, call_report, complaints, document, latency, percentile, unequal

FRAMES = 50


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def session(audio: str, kind: str = "realtime", **more: Any) -> dict[str, Any]:
    return {"id": f"sess_{audio}", "kind": kind, "sha256": digest(audio), "bytesHeard": FRAMES * 160, "turns": [], "responses": [], **more}


def turn(item: str = "item_t1", spoken: int = 2000) -> dict[str, Any]:
    return {"item": item, "spokenMs": spoken, "endMs": spoken + 500}


def response(*written: str, turns: tuple[str, ...] = ("item_t1",), model_ms: float | None = 300.0) -> dict[str, Any]:
    done = None if model_ms is None else 1.0
    return {"outputItems": list(written), "turns": list(turns), "doneAtMs": done, "modelMs": model_ms}


def stream(customer: str, agent: str | None = None, frames: int = FRAMES) -> dict[str, Any]:
    tracks = {"inbound": customer} | ({} if agent is None else {"outbound": agent})
    return {
        "framesSent": frames * len(tracks),
        "tracks": {name: {"sha256": digest(audio), "bytes": frames * 160} for name, audio in tracks.items()},
    }


def suggestion(seq: int = 1, item: str = "item_s1", **more: Any) -> dict[str, Any]:
    return {"id": f"1-{item}", "seq": seq, "question": "Where?", "answer": "Here.", **more}


def good(sid: str = "CA1", customer: str = "c", agent: str = "a") -> CallFacts:
    """A call in which all is well: 2 s of speech, half a second of silence, 300 ms of writing, 12 ms of ours."""
    call = CallFacts(sid, streams=[stream(customer, agent)], playing_at=1000.0, story={"turns": {"suggested": 1}})
    call.items = [(1002.812, suggestion())]
    heard = session(customer, turns=[turn()], responses=[response("item_s1")])
    call.sessions = {"inbound": heard, "outbound": session(agent, "transcription")}
    return call


# ---- whose session is whose


def test_sessions_go_to_the_calls_whose_bytes_they_heard() -> None:
    calls = [CallFacts("CA1", streams=[stream("one", "agent one")]), CallFacts("CA2", streams=[stream("two", "agent two")])]
    heard = [session("agent two", "transcription"), session("two"), session("agent one", "transcription"), session("one")]
    assign_sessions(calls, heard)
    assert [call.sessions["inbound"]["id"] for call in calls] == ["sess_one", "sess_two"]
    assert [call.sessions["outbound"]["id"] for call in calls] == ["sess_agent one", "sess_agent two"]


def test_a_session_that_heard_something_else_goes_to_the_call_of_like_length_that_has_none() -> None:
    calls = [CallFacts("CA1", streams=[stream("one", frames=100)]), CallFacts("CA2", streams=[stream("two", frames=50)])]
    assign_sessions(calls, [session("broken", bytesHeard=49 * 160), session("one", bytesHeard=100 * 160)])
    assert calls[0].sessions["inbound"]["id"] == "sess_one"
    assert calls[1].sessions["inbound"]["id"] == "sess_broken"
    assert unequal(calls[1]) == ["inbound"]


def test_the_relays_own_check_of_the_model_is_nobodys_session() -> None:
    call = CallFacts("CA1", streams=[stream("one")])
    assign_sessions([call], [session("", bytesHeard=0)])
    assert call.sessions == {}


def test_one_session_is_not_given_to_two_calls_that_sent_the_same() -> None:
    calls = [CallFacts(sid, streams=[stream("same")]) for sid in ("CA1", "CA2")]
    assign_sessions(calls, [session("same", id="first"), session("same", id="second")])
    assert {call.sessions["inbound"]["id"] for call in calls} == {"first", "second"}


# ---- latency


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 2), (0.75, 3), (0.99, 4), (1.0, 4)], ids=["least", "half", "three quarters", "p99", "most"]
)
def test_percentiles_are_of_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile([4, 1, 3, 2], share) == expected


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 0.5) is None


def test_latency_is_from_the_last_loud_sample_to_sync_and_ours_is_what_the_model_did_not_take() -> None:
    assert latency(good(), *good().items[0]) == {"total": 812, "model": 800, "ours": 12}


def test_latency_is_found_by_the_written_item_not_by_words() -> None:
    call = good()
    responses = [response("item_s0", turns=("item_t0",), model_ms=1.0), response("item_x", "item_s1")]
    call.sessions["inbound"] = session("c", turns=[turn("item_t0", 100), turn()], responses=responses)
    assert latency(call, *call.items[0]) == {"total": 812, "model": 800, "ours": 12}


def test_of_several_turns_the_last_counts() -> None:
    call = good()
    responses = [response("item_s1", turns=("item_t0", "item_t1"))]
    call.sessions["inbound"] = session("c", turns=[turn("item_t0", 100), turn()], responses=responses)
    assert latency(call, *call.items[0]) == {"total": 812, "model": 800, "ours": 12}


def test_silence_that_was_filled_in_before_the_last_word_is_not_time_of_the_call() -> None:
    call = good()
    call.filled = {"inbound": [10, 11, 140]}  # two frames before frame 100, where the customer stopped
    assert latency(call, *call.items[0]) == {"total": 852, "model": 800, "ours": 52}


@pytest.mark.parametrize(
    "responses",
    [[], [response("item_other")], [response("item_s1", turns=())], [response("item_s1", model_ms=None)]],
    ids=["none", "another's", "of no turn", "unfinished"],
)
def test_without_its_response_the_latency_is_unknown(responses: list[dict[str, Any]]) -> None:
    call = good()
    call.sessions["inbound"] = session("c", turns=[turn()], responses=responses)
    assert latency(call, *call.items[0]) is None


# ---- the document


def test_the_documents_shape() -> None:
    told = document([good()])
    assert told == {
        "calls": [
            {
                "callSid": "CA1",
                "framesSent": 2 * FRAMES,
                "framesHeard": 2 * FRAMES,
                "framesFilled": 0,
                "bytesEqual": True,
                "turns": 1,
                "handled": 1,
                "suggestions": [
                    {"seq": 1, "question": "Where?", "answer": "Here.", "latencyMs": {"total": 812, "model": 800, "ours": 12}},
                ],
            }
        ],
        "totals": {"suggestions": 1, "framesFilled": 0, "latencyMs": {"p50": 812, "p99": 812}, "oursMs": {"p50": 12, "p99": 12}},
    }
    assert complaints(told) == []


def test_suggestions_stand_in_the_order_of_their_numbers_and_unknown_latencies_stay_out_of_the_totals() -> None:
    call = good()
    call.items = [(1009.0, suggestion(2, "item_unknown")), *call.items]
    told = document([call])
    assert [one["seq"] for one in told["calls"][0]["suggestions"]] == [1, 2]
    assert told["calls"][0]["suggestions"][1]["latencyMs"] is None
    assert told["totals"]["latencyMs"] == {"p50": 812, "p99": 812}


def test_silence_that_was_filled_in_is_counted_apart() -> None:
    call = good()
    call.sessions["inbound"] = session("c and silence", turns=[turn()], responses=[], bytesHeard=(FRAMES + 3) * 160)
    call.filled = {"inbound": [48, 49, 50]}
    report = call_report(call)
    assert (report["framesHeard"], report["framesFilled"], report["bytesEqual"]) == (2 * FRAMES, 3, True)
    assert complaints(document([call], filled=3)) == []


def test_a_real_service_keeps_no_ledger_and_the_relays_own_numbers_stand() -> None:
    call = CallFacts("CA1", streams=[stream("c", "a")], story={"turns": {"suggested": 1, "merged": 1}})
    call.items = [(1.0, suggestion(latencyMs=640))]
    told = document([call], ledger=False)
    (report,) = told["calls"]
    assert (report["framesHeard"], report["bytesEqual"], report["turns"], report["handled"]) == (None, None, 2, 2)
    assert report["suggestions"][0]["latencyMs"] == {"total": 640, "model": None, "ours": None}
    assert told["totals"]["latencyMs"] == {"p50": 640, "p99": 640}
    assert told["totals"]["oursMs"] == {"p50": None, "p99": None}
    assert complaints(told) == []


# ---- complaints


def test_nothing_played_is_no_success() -> None:
    assert complaints(document([])) == ["no call was played"]


def test_lost_frames() -> None:
    call = good()
    call.sessions["outbound"] = session("less", "transcription", bytesHeard=(FRAMES - 1) * 160)
    assert complaints(document([call])) == ["call CA1: 100 frames sent, 99 heard, and not the same bytes"]


def test_the_same_number_in_another_order() -> None:
    call = good()
    call.sessions["outbound"] = session("b then a", "transcription")
    assert complaints(document([call])) == ["call CA1: 100 frames sent, 100 heard, and not the same bytes"]


def test_a_track_that_no_session_heard() -> None:
    call = good()
    del call.sessions["outbound"]
    assert complaints(document([call])) == ["call CA1: 100 frames sent, 50 heard, and not the same bytes"]


@pytest.mark.parametrize(
    ("outcomes", "handled"),
    [({}, 0), ({"failed": 1}, 0), ({"suggested": 2}, 2), ({"dropped": 1, "incomplete": 1, "paused": 1}, 0)],
    ids=["not at all", "failed", "twice", "in other ways"],
)
def test_a_turn_that_was_not_handled_once(outcomes: dict[str, int], handled: int) -> None:
    call = good()
    call.story = {"turns": outcomes}
    assert complaints(document([call])) == [f"call CA1: 1 turns, {handled} handled"]


def test_a_call_in_which_nothing_was_heard() -> None:
    call = good()
    call.story, call.sessions["inbound"] = {"turns": {}}, session("c")
    assert complaints(document([call])) == ["call CA1: no turn was heard"]


def test_a_call_without_audio() -> None:
    told = complaints(document([CallFacts("CA1")]))
    assert told == ["call CA1: Twilio sent no audio: the relay did not take the call's stream", "call CA1: no turn was heard"]


def test_silence_that_the_relay_knows_nothing_of() -> None:
    call = good()
    call.filled = {"inbound": [1, 2]}
    found = complaints(document([call], filled=1))
    assert found == ["2 frames of silence were heard that nobody had sent; the relay says that it filled in 1"]
