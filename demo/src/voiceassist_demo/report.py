"""What the demo found out about its calls, as one JSON document. Pure: made of what the stand-ins and the relay told.

Latency: `total` is from the customer's last loud sample (sent by the Twilio stand-in) until Sync accepted the suggestion; `model` is
what the model's stand-in took by itself (the silence that ends a turn, and writing the answer); `ours` is the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]
FRAME_BYTES = 160
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


def assign_sessions(calls: Sequence[CallFacts], sessions: Iterable[Json]) -> None:
    """Finds the session of each call and track by what was heard: the same bytes first, then the same amount."""
    free = list(sessions)
    wanted = []
    for call in calls:
        for stream in call.streams:
            for track, sent in stream["tracks"].items():
                wanted.append((call, track, sent))
    for exact in (True, False):
        for call, track, sent in wanted:
            if track in call.sessions:
                continue
            kind = "realtime" if track == "inbound" else "transcription"
            alike = [s for s in free if s["kind"] == kind and (s["sha256"] == sent["sha256"] or not exact)]
            if alike:
                best = min(alike, key=lambda s: abs(s["bytesHeard"] - sent["bytes"]))
                free.remove(best)
                call.sessions[track] = best


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of the values lie (nearest rank); None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def _latency(call: CallFacts, accepted: float, item: Json, session: Json) -> dict[str, int] | None:
    """The suggestion's latency, from the turn that its answer is about."""
    own_item = str(item["id"]).split("-", 1)[-1]
    responses = [r for r in session.get("responses", []) if own_item in r.get("outputItems", [])] or [
        r for r in session.get("responses", []) if item["answer"] and str(item["answer"])[:40] in _plain(r)
    ]
    turns = {turn["item"]: turn for turn in session.get("turns", [])}
    for response in responses:
        heard = [turns[t] for t in response["turns"] if t in turns]
        if not heard or response["doneAtMs"] is None:
            continue
        turn = heard[-1]
        total = accepted * 1000 - (call.playing_at * 1000 + turn["spokenMs"])
        model = (turn["endMs"] - turn["spokenMs"]) + response["modelMs"]
        return {"total": round(total), "model": round(model), "ours": round(total - model)}
    return None


def _plain(response: Json) -> str:
    return str(response["arguments"] or response["text"]).encode().decode("unicode_escape", "replace")


def call_report(call: CallFacts) -> dict[str, Any]:
    """One call's part of the document."""
    sent = sum(stream["framesSent"] for stream in call.streams)
    bytes_sent = sum(track["bytes"] for stream in call.streams for track in stream["tracks"].values())
    heard = sum(int(session["bytesHeard"]) for session in call.sessions.values())
    equal = bytes_sent > 0 and all(
        call.sessions.get(track, {}).get("sha256") == ledger["sha256"]
        for stream in call.streams
        for track, ledger in stream["tracks"].items()
    )
    session = call.sessions.get("inbound", {})
    outcomes = dict(call.story.get("turns", {}))
    suggestions = [
        {
            "seq": item["seq"],
            "question": item["question"],
            "answer": item["answer"],
            "latencyMs": _latency(call, accepted, item, session),
        }
        for accepted, item in sorted(call.items, key=lambda entry: entry[1]["seq"])
    ]
    return {
        "callSid": call.call_sid,
        "framesSent": sent,
        "framesHeard": heard // FRAME_BYTES,
        "bytesEqual": equal,
        "turns": len(session.get("turns", [])),
        "handled": sum(count for outcome, count in outcomes.items() if outcome in HANDLED),
        "suggestions": suggestions,
    }


def document(calls: Sequence[CallFacts]) -> dict[str, Any]:
    """The whole document."""
    reports = [call_report(call) for call in calls]
    latencies = [s["latencyMs"] for report in reports for s in report["suggestions"] if s["latencyMs"] is not None]

    def spread(key: str) -> dict[str, float | None]:
        values = [latency[key] for latency in latencies]
        return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99)}

    return {
        "calls": reports,
        "totals": {
            "suggestions": sum(len(report["suggestions"]) for report in reports),
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
        if not call["bytesEqual"]:
            found.append(f"call {call['callSid']}: {call['framesSent']} frames sent, {call['framesHeard']} heard, and not the same bytes")
        if call["handled"] != call["turns"]:
            found.append(f"call {call['callSid']}: {call['turns']} turns, {call['handled']} handled")
        if call["turns"] == 0:
            found.append(f"call {call['callSid']}: no turn was heard")
    return found
