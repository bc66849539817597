"""What the demo found out about its calls, as one JSON document. Pure: made of what the stand-ins and the relay told.

Latency: `total` is from the customer's last loud sample (sent by the Twilio stand-in) until Sync accepted the suggestion; `model` is
what the model's stand-in took by itself (the silence that ends a turn, and writing the answer); `ours` is the rest.

A real model keeps no ledger: then what was heard is null, the turns are those that the relay counted, and `total` is the relay's own
measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .attribution import Track
from .chain import FRAME_BYTES, FRAME_MS

Json = Mapping[str, Any]
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
    summary: Json = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    """What was sent and heard, by track: inbound, outbound. Empty for a real service."""
    trouble: str = ""
    """What the relay told the agent last, if the assistance failed."""


def wrong(call: CallFacts) -> list[str]:
    """What was heard otherwise than it was sent, by track; empty if every frame was heard, in order, and nothing else but replays."""
    return [f"{name}: {fault}" for name, track in call.tracks.items() for fault in track.chain.wrong()]


def turns_heard(call: CallFacts) -> int:
    """How many turns the customer's sessions heard; one that a later session heard again, in a replay, counts once."""
    count = spoken_until = 0
    for heard in call.tracks["inbound"].heard if "inbound" in call.tracks else []:
        until = spoken_until
        for turn in heard.session["turns"]:
            begin, end = turn["loudMs"] // FRAME_MS, turn["spokenMs"] // FRAME_MS
            if heard.stretch is not None:
                begin, end = heard.stretch.position(begin), heard.stretch.position(end)
            count += heard.stretch is None or begin >= spoken_until
            until = max(until, end)
        spoken_until = until
    return count


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
    written = str(item["id"]).split("-", 1)[-1]
    for heard in call.tracks["inbound"].heard if "inbound" in call.tracks else []:
        turns = {turn["item"]: turn for turn in heard.session["turns"]}
        for response in heard.session["responses"]:
            answered = [turns[turn] for turn in response["turns"] if turn in turns]
            if written not in response["outputItems"] or not answered or response["doneAtMs"] is None or heard.stretch is None:
                continue
            turn = answered[-1]
            frame, rest = divmod(turn["spokenMs"], FRAME_MS)
            total = (accepted - call.playing_at) * 1000 - (FRAME_MS * heard.stretch.position(frame) + rest)
            model = (turn["endMs"] - turn["spokenMs"]) + response["modelMs"]
            return {"total": round(total), "model": round(model), "ours": round(total - model)}
    return None


def call_report(call: CallFacts, *, ledger: bool = True) -> dict[str, Any]:
    """One call's part of the document; `ledger`: the model's stand-in told what it heard."""
    heard = sum(int(one.session["bytesHeard"]) for track in call.tracks.values() for one in track.heard) // FRAME_BYTES
    filled = sum(track.chain.filled for track in call.tracks.values())
    replayed = sum(track.chain.replayed for track in call.tracks.values())
    found = wrong(call)
    outcomes = dict(call.summary.get("turns", {}))
    turns = turns_heard(call) if ledger else sum(outcomes.values())
    return {
        "callSid": call.call_sid,
        "framesSent": sum(stream["framesSent"] for stream in call.streams),
        "framesHeard": heard - filled - replayed if ledger else None,
        "framesFilled": filled if ledger else None,
        "framesReplayed": replayed if ledger else None,
        "bytesEqual": not found and any(track.size for track in call.tracks.values()) if ledger else None,
        "wrong": found if ledger else None,
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


def document(calls: Sequence[CallFacts], *, filled: int = 0, replayed: int = 0, ledger: bool = True) -> dict[str, Any]:
    """The whole document; `filled`, `replayed`: frames of silence, and frames sent again, as the relay counts them."""
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
            "framesReplayed": replayed,
            "latencyMs": spread("total"),
            "oursMs": spread("ours"),
        },
    }


def complaints(report: Json) -> list[str]:
    """What is not as it should be: every frame once and in order but for replays, every turn handled. Empty when all is well.

    Silence and replays are the relay's doing, and it counts them when it sends them: more than it counted cannot have come from it.
    """
    found = []
    if not report["calls"]:
        found.append("no call was played")
    for call in report["calls"]:
        if call["framesSent"] == 0:
            found.append(f"call {call['callSid']}: Twilio sent no audio: the relay did not take the call's stream")
        elif call["bytesEqual"] is False:
            found.append(
                f"call {call['callSid']}: {call['framesSent']} frames sent, {call['framesHeard']} heard, and not the same bytes"
                + "".join(f"; {one}" for one in call["wrong"])
            )
        if call["handled"] != call["turns"]:
            found.append(f"call {call['callSid']}: {call['turns']} turns, {call['handled']} handled")
        if call["turns"] == 0:
            found.append(f"call {call['callSid']}: no turn was heard")
    for key, what in (
        ("framesFilled", "frames of silence were heard that nobody had sent; the relay says that it filled in"),
        ("framesReplayed", "frames were heard again; the relay says that it sent again"),
    ):
        heard, told = sum(call[key] or 0 for call in report["calls"]), report["totals"][key]
        if heard > told:
            found.append(f"{heard} {what} {told}")
    return found
