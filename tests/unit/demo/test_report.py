"""The report of `--once`: what was lost, how long it took, and each complaint."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_demo.attribution import Track
from voiceassist_demo.chain import Stretch
from voiceassist_demo.report import CallFacts, call_report, complaints, document, latency, percentile, turns_heard

FRAMES = 200
WHOLE = Stretch(0, FRAMES)


def session(frames: int = FRAMES, **more: Any) -> dict[str, Any]:
    return {"id": "sess_1", "bytesHeard": frames * 160, "turns": [], "responses": [], **more}


def turn(item: str = "item_t1", spoken: int = 2000, loud: int | None = None) -> dict[str, Any]:
    return {"item": item, "loudMs": spoken - 1000 if loud is None else loud, "spokenMs": spoken, "endMs": spoken + 500}


def response(*written: str, turns: tuple[str, ...] = ("item_t1",), model_ms: float | None = 300.0) -> dict[str, Any]:
    done = None if model_ms is None else 1.0
    return {"outputItems": list(written), "turns": list(turns), "doneAtMs": done, "modelMs": model_ms}


def track(*heard: tuple[dict[str, Any], Stretch], kind: str = "realtime") -> Track:
    """A track and the sessions that heard it, each with its stretch."""
    made = Track(kind, "", FRAMES * 160)
    for told, stretch in heard:
        made.take(told, stretch)
    return made


def suggestion(seq: int = 1, item: str = "item_s1", **more: Any) -> dict[str, Any]:
    return {"id": f"1-{item}", "seq": seq, "question": "Where?", "answer": "Here.", **more}


def good(sid: str = "CA1") -> CallFacts:
    """A call in which all is well: 2 s of speech, half a second of silence, 300 ms of writing, 12 ms of ours."""
    call = CallFacts(sid, streams=[{"framesSent": 2 * FRAMES}], playing_at=1000.0, summary={"turns": {"suggested": 1}})
    call.items = [(1002.812, suggestion())]
    heard = session(turns=[turn()], responses=[response("item_s1")])
    call.tracks = {"inbound": track((heard, WHOLE)), "outbound": track((session(), WHOLE), kind="transcription")}
    return call


# ---- latency


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 2), (0.75, 3), (0.99, 4), (1.0, 4)], ids=["least", "half", "three quarters", "p99", "most"]
)
def test_report_percentiles_are_of_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile([4, 1, 3, 2], share) == expected


def test_report_no_values_have_no_percentile() -> None:
    assert percentile([], 0.5) is None


def test_report_latency_is_from_the_last_loud_sample_to_sync_and_ours_is_what_the_model_did_not_take() -> None:
    assert latency(good(), *good().items[0]) == {"total": 812, "model": 800, "ours": 12}


def test_report_latency_is_found_by_the_written_item_not_by_words() -> None:
    call = good()
    responses = [response("item_s0", turns=("item_t0",), model_ms=1.0), response("item_x", "item_s1")]
    call.tracks["inbound"] = track((session(turns=[turn("item_t0", 100), turn()], responses=responses), WHOLE))
    assert latency(call, *call.items[0]) == {"total": 812, "model": 800, "ours": 12}


def test_report_of_several_turns_the_last_counts() -> None:
    call = good()
    responses = [response("item_s1", turns=("item_t0", "item_t1"))]
    call.tracks["inbound"] = track((session(turns=[turn("item_t0", 100), turn()], responses=responses), WHOLE))
    assert latency(call, *call.items[0]) == {"total": 812, "model": 800, "ours": 12}


def test_report_silence_that_was_filled_in_before_the_last_word_is_not_time_of_the_call() -> None:
    call = good()
    heard = call.tracks["inbound"].heard[0].session
    call.tracks["inbound"] = track((heard, Stretch(0, FRAMES, (10, 11, 140))))  # two frames before frame 100, where the customer stopped
    assert latency(call, *call.items[0]) == {"total": 852, "model": 800, "ours": 52}


def test_report_in_a_session_that_took_over_time_begins_where_its_replay_does() -> None:
    call = good()
    later = session(FRAMES - 40, turns=[turn(spoken=1200)], responses=[response("item_s1")])
    call.tracks["inbound"] = track((session(60, turns=[turn(spoken=100)]), Stretch(0, 60)), (later, Stretch(40, FRAMES)))
    assert latency(call, *call.items[0]) == {"total": 812, "model": 800, "ours": 12}


def test_report_of_a_session_that_heard_something_else_no_latency_is_known() -> None:
    call = good()
    heard = call.tracks["inbound"].heard[0].session
    call.tracks["inbound"] = track()
    call.tracks["inbound"].spoil(heard, [])
    assert latency(call, *call.items[0]) is None


@pytest.mark.parametrize(
    "responses",
    [[], [response("item_other")], [response("item_s1", turns=())], [response("item_s1", model_ms=None)]],
    ids=["none", "another's", "of no turn", "unfinished"],
)
def test_report_without_its_response_the_latency_is_unknown(responses: list[dict[str, Any]]) -> None:
    call = good()
    call.tracks["inbound"] = track((session(turns=[turn()], responses=responses), WHOLE))
    assert latency(call, *call.items[0]) is None


# ---- the document


def test_report_the_documents_shape() -> None:
    told = document([good()])
    assert told == {
        "calls": [
            {
                "callSid": "CA1",
                "framesSent": 2 * FRAMES,
                "framesHeard": 2 * FRAMES,
                "framesFilled": 0,
                "framesReplayed": 0,
                "bytesEqual": True,
                "wrong": [],
                "turns": 1,
                "handled": 1,
                "suggestions": [
                    {"seq": 1, "question": "Where?", "answer": "Here.", "latencyMs": {"total": 812, "model": 800, "ours": 12}},
                ],
            }
        ],
        "totals": {
            "suggestions": 1,
            "framesFilled": 0,
            "framesReplayed": 0,
            "latencyMs": {"p50": 812, "p99": 812},
            "oursMs": {"p50": 12, "p99": 12},
        },
    }
    assert complaints(told) == []


def test_report_suggestions_stand_in_the_order_of_their_numbers_and_unknown_latencies_stay_out_of_the_totals() -> None:
    call = good()
    call.items = [(1009.0, suggestion(2, "item_unknown")), *call.items]
    told = document([call])
    assert [one["seq"] for one in told["calls"][0]["suggestions"]] == [1, 2]
    assert told["calls"][0]["suggestions"][1]["latencyMs"] is None
    assert told["totals"]["latencyMs"] == {"p50": 812, "p99": 812}


def test_report_silence_that_was_filled_in_and_what_was_heard_again_are_counted_apart() -> None:
    call = good()
    first = session(103, turns=[turn()]), Stretch(0, 100, (48, 49, 50))
    call.tracks["inbound"] = track(first, (session(FRAMES - 90), Stretch(90, FRAMES)))
    report = call_report(call)
    assert (report["framesHeard"], report["framesFilled"], report["framesReplayed"], report["bytesEqual"]) == (2 * FRAMES, 3, 10, True)
    assert complaints(document([call], filled=3, replayed=10)) == []


@pytest.mark.parametrize(
    ("first", "later", "count"),
    [
        ([], [turn(spoken=1500)], 1),
        ([turn(spoken=1000)], [turn(spoken=2500)], 2),
        ([turn(spoken=1000)], [turn(spoken=900, loud=0)], 1),
        ([turn(spoken=1000)], [turn(spoken=300, loud=0), turn(spoken=2500)], 2),
        ([turn(spoken=700, loud=0), turn(spoken=1900)], [], 2),
    ],
    ids=["in the later one", "one in each", "the same one again", "the same one again and another", "in the first"],
)
def test_report_a_turn_that_is_heard_again_in_a_replay_counts_once(first: list[Any], later: list[Any], count: int) -> None:
    call = good()
    call.tracks["inbound"] = track((session(100, turns=first), Stretch(0, 100)), (session(turns=later), Stretch(20, FRAMES)))
    assert turns_heard(call) == count


def test_report_a_real_service_keeps_no_ledger_and_the_relays_own_numbers_stand() -> None:
    call = CallFacts("CA1", streams=[{"framesSent": 2 * FRAMES}], summary={"turns": {"suggested": 1, "merged": 1}})
    call.items = [(1.0, suggestion(latencyMs=640))]
    told = document([call], ledger=False)
    (report,) = told["calls"]
    assert (report["framesHeard"], report["bytesEqual"], report["wrong"], report["turns"], report["handled"]) == (None, None, None, 2, 2)
    assert report["suggestions"][0]["latencyMs"] == {"total": 640, "model": None, "ours": None}
    assert told["totals"]["latencyMs"] == {"p50": 640, "p99": 640}
    assert told["totals"]["oursMs"] == {"p50": None, "p99": None}
    assert complaints(told) == []


# ---- complaints


def test_report_nothing_played_is_no_success() -> None:
    assert complaints(document([])) == ["no call was played"]


def test_report_lost_frames() -> None:
    call = good()
    call.tracks["outbound"] = track((session(FRAMES - 1), Stretch(0, FRAMES - 1)), kind="transcription")
    (told,) = complaints(document([call]))
    assert told.startswith(
        "call CA1: 400 frames sent, 399 heard, and not the same bytes; outbound: the last 1 frames of 200 were not heard"
    )


def test_report_the_same_number_in_another_order() -> None:
    call = good()
    call.tracks["inbound"].spoil(session(1), [b"x"])
    (told,) = complaints(document([call]))
    assert "and not the same bytes; inbound: session 2: not all of what was sent" in told


def test_report_a_track_that_no_session_heard() -> None:
    call = good()
    call.tracks["outbound"] = track(kind="transcription")
    (told,) = complaints(document([call]))
    assert told.startswith("call CA1: 400 frames sent, 200 heard, and not the same bytes; outbound: the last 200 frames of 200")


@pytest.mark.parametrize(
    ("outcomes", "handled"),
    [({}, 0), ({"failed": 1}, 0), ({"suggested": 2}, 2), ({"dropped": 1, "incomplete": 1, "paused": 1}, 0)],
    ids=["not at all", "failed", "twice", "in other ways"],
)
def test_report_a_turn_that_was_not_handled_once(outcomes: dict[str, int], handled: int) -> None:
    call = good()
    call.summary = {"turns": outcomes}
    assert complaints(document([call])) == [f"call CA1: 1 turns, {handled} handled"]


def test_report_a_call_in_which_nothing_was_heard() -> None:
    call = good()
    call.summary, call.tracks["inbound"] = {"turns": {}}, track((session(), WHOLE))
    assert complaints(document([call])) == ["call CA1: no turn was heard"]


def test_report_a_call_without_audio() -> None:
    told = complaints(document([CallFacts("CA1")]))
    assert told == ["call CA1: Twilio sent no audio: the relay did not take the call's stream", "call CA1: no turn was heard"]


def test_report_silence_and_replays_that_the_relay_knows_nothing_of() -> None:
    call = good()
    call.tracks["inbound"] = track((session(102, turns=[turn()]), Stretch(0, 100, (1, 2))), (session(110), Stretch(90, FRAMES)))
    assert complaints(document([call], filled=2, replayed=10)) == []
    assert complaints(document([call], filled=1, replayed=9)) == [
        "2 frames of silence were heard that nobody had sent; the relay says that it filled in 1",
        "10 frames were heard again; the relay says that it sent again 9",
    ]
