"""What the demo found out about its calls, as one JSON document. Pure: made of what the stand-ins and the relay told.

Latency: `total` is from the customer's last loud sample (sent by the Twilio stand-in) until Sync accepted the suggestion; `model` is
what the model's stand-in took by itself (the silence that ends a turn, and writing the answer); `ours` is the rest.

A real model keeps no ledger: then what was heard is null, the turns are those that the relay counted, and `total` is the relay's own
measurement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .silence import added_before

Json = Mapping[str, Any]
FRAME_BYTES = 160
FRAME_MS = 20
HANDLED = frozenset({"suggested", "not_relevant", "merged"})


@dataclass(slots=True)
class CallFacts:
    """One call: its stream at Twilio, its model sessions, its items in Sync, its last log line at the relay."""

    call_sid: str
    streams: list[Json] = field(default_factory=list)
    playing_at: float = 0.0
    """Epoch seconds when the recording began to be heard."""
    items: list[tuple[float, Json]] = field(default_factory=list)
    """Finished suggestions with the epoch seconds of their acceptance."""
    story: Json = field(default_factory=dict)
    sessions: dict[str, Json] = field(default_factory=dict)
    """Model sessions by the track that they heard: inbound, outbound."""
    filled: dict[str, list[int]] = field(default_factory=dict)
    """By track, where silence that Twilio had not sent stands in what was heard (frame numbers), if nothing else differs."""
    trouble: str = ""
    """What the relay told the agent last, if the assistance failed."""


def assign_sessions(calls: Sequence[CallFacts], sessions: Iterable[Json]) -> None:
    """Finds the session of each call and track by what was heard: the same bytes first, then the same amount."""
    free = list(sessions)
    wanted = [(call, track, sent) for call in calls for stream in call.streams for track, sent in stream["tracks"].items()]
    for exact in (True, False):
        for call, track, sent in wanted:
            if track in call.sessions:
                continue
            kind = "realtime" if track == "inbound" else "transcription"
            alike = [s for s in free if s["kind"] == kind and (s["sha256"] == sent["sha256"] if exact else s["bytesHeard"] > 0)]
            if alike:
                best = min(alike, key=lambda s: abs(s["bytesHeard"] - sent["bytes"]))
                free.remove(best)
                call.sessions[track] = best


def unequal(call: CallFacts) -> list[str]:
    """The tracks of which other bytes were heard than were sent."""
    tracks = [(track, ledger["sha256"]) for stream in call.streams for track, ledger in stream["tracks"].items()]
    return [track for track, digest in tracks if call.sessions.get(track, {}).get("sha256") != digest]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that is not below `share` of the values (nearest rank); None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latency(call: CallFacts, accepted: float, item: Json) -> dict[str, int] | None:
    """A suggestion's latency in ms, from the last turn that its response answers; None if the model's stand-in knows no such response.

    The suggestion's id ends with the id of the item that the response wrote.
    """
    session = call.sessions.get("inbound", {})
    written = str(item["id"]).split("-", 1)[-1]
    turns = {turn["item"]: turn for turn in session.get("turns", [])}
    for response in session.get("responses", []):
        heard = [turns[turn] for turn in response["turns"] if turn in turns]
        if written not in response["outputItems"] or not heard or response["doneAtMs"] is None:
            continue
        turn = heard[-1]
        spoken_ms = turn["spokenMs"] - FRAME_MS * added_before(call.filled.get("inbound", []), turn["spokenMs"] // FRAME_MS)
        total = (accepted - call.playing_at) * 1000 - spoken_ms
        model = (turn["endMs"] - turn["spokenMs"]) + response["modelMs"]
        return {"total": round(total), "model": round(model), "ours": round(total - model)}
    return None


def call_report(call: CallFacts, *, ledger: bool = True) -> dict[str, Any]:
    """One call's part of the document; `ledger`: the model's stand-in told what it heard."""
    bytes_sent = sum(track["bytes"] for stream in call.streams for track in stream["tracks"].values())
    heard = sum(int(session["bytesHeard"]) for session in call.sessions.values()) // FRAME_BYTES
    filled = sum(len(frames) for frames in call.filled.values())
    outcomes = dict(call.story.get("turns", {}))
    turns = len(call.sessions.get("inbound", {}).get("turns", [])) if ledger else sum(outcomes.values())
    return {
        "callSid": call.call_sid,
        "framesSent": sum(stream["framesSent"] for stream in call.streams),
        "framesHeard": heard - filled if ledger else None,
        "framesFilled": filled if ledger else None,
        "bytesEqual": bytes_sent > 0 and set(unequal(call)) <= set(call.filled) if ledger else None,
        "turns": turns,
        "handled": sum(count for outcome, count in outcomes.items() if outcome in HANDLED),
        "suggestions": [
            {
                "seq": item["seq"],
                "question": item["question"],
                "answer": item["answer"],
                "latencyMs": latency(call, accepted, item) if ledger else {"total": item.get("latencyMs"), "model": None, "ours": None},
            }
            for accepted, item in sorted(call.items, key=lambda entry: entry[1]["seq"])
        ],
    }


def document(calls: Sequence[CallFacts], *, filled: int = 0, ledger: bool = True) -> dict[str, Any]:
    """The whole document; `filled`: frames of silence that the relay says it filled in."""
    reports = [call_report(call, ledger=ledger) for call in calls]
    latencies = [s["latencyMs"] for report in reports for s in report["suggestions"] if s["latencyMs"] is not None]

    def spread(key: str) -> dict[str, float | None]:
        values = [latency[key] for latency in latencies if latency[key] is not None]
        return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99)}

    return {
        "calls": reports,
        "totals": {
            "suggestions": sum(len(report["suggestions"]) for report in reports),
            "framesFilled": filled,
            "latencyMs": spread("total"),
            "oursMs": spread("ours"),
        },
    }


def complaints(report: Json) -> list[str]:
    """What is not as it should be: every frame once and in order, every turn handled. Empty when all is well."""
    found = []
    if not report["calls"]:
        found.append("no call was played")
    for call in report["calls"]:
        if call["framesSent"] == 0:
            found.append(f"call {call['callSid']}: Twilio sent no audio: the relay did not take the call's stream")
        elif call["bytesEqual"] is False:
            found.append(f"call {call['callSid']}: {call['framesSent']} frames sent, {call['framesHeard']} heard, and not the same bytes")
        if call["handled"] != call["turns"]:
            found.append(f"call {call['callSid']}: {call['turns']} turns, {call['handled']} handled")
        if call["turns"] == 0:
            found.append(f"call {call['callSid']}: no turn was heard")
    heard, told = sum(call["framesFilled"] or 0 for call in report["calls"]), report["totals"]["framesFilled"]
    if heard > told:
        found.append(f"{heard} frames of silence were heard that nobody had sent; the relay says that it filled in {told}")
    return found
