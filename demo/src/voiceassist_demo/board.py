"""The board: what the page shows, made of the events that the stand-ins and the relay give. Pure; times are epoch seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from voiceassist_crds import names

Json = dict[str, Any]
STAGES = ("endpointing", "request", "first_token", "generation", "publish")
KEPT_BARS = 14
KEPT_WORDS = 40


@dataclass(slots=True)
class CallView:
    """One call as the page shows it."""

    slot: int
    call_sid: str
    title: str
    began: float
    seconds: float
    recording: int = 0
    """Which of the demo's recordings is played."""
    desk: bool = False
    """Whether it is a call of the agent in the Flex window."""
    playing_at: float | None = None
    ended_at: float | None = None
    state: str = "starting"
    message: str = ""
    words: dict[str, Json] = field(default_factory=dict)
    drafts: dict[str, Json] = field(default_factory=dict)
    suggestions: dict[int, Json] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    """Ids of suggestions that are finished or withdrawn: a draft of one may still come, late."""

    def to_json(self) -> Json:
        """For the page."""
        return {
            "slot": self.slot,
            "callSid": self.call_sid,
            "title": self.title,
            "seconds": self.seconds,
            "desk": self.desk,
            "playingAt": self.playing_at,
            "endedAt": self.ended_at,
            "state": self.state,
            "message": self.message,
            "words": list(self.words.values()),
            "drafts": list(self.drafts.values()),
            "suggestions": [self.suggestions[seq] for seq in sorted(self.suggestions)],
        }


class Board:
    """All that is on the page."""

    def __init__(self) -> None:
        self.calls: dict[str, CallView] = {}
        self.bars: deque[Json] = deque(maxlen=KEPT_BARS)
        self.relay: Json = {}
        self.watched: Json | None = None
        """What Prometheus says of the objectives; empty where there is none, None until it has spoken."""
        self.flex: Json = {"state": "closed", "text": ""}
        """The Flex window: closed, preparing, open or failed, and a line about it."""
        self.rollout: Json = {}
        """Where the prompt's roll-out is, as `status.prompt` has it, and the last news of it."""
        self._counts: dict[str, float] = {}
        self._sums: dict[str, float] = {}

    def add(self, view: CallView) -> None:
        """A new call takes its slot; the one that was there is forgotten."""
        self.calls = {sid: old for sid, old in self.calls.items() if old.slot != view.slot}
        self.calls[view.call_sid] = view

    def take(self, event: Json) -> CallView | None:
        """One event of the Twilio stand-in's feed; gives the call that it changed."""
        if event["type"] == "call":
            view = self.calls.get(event["callSid"])
            if view is not None and event["event"] == "playing":
                view.playing_at = event["at"]
            if view is not None and event["event"] == "ended":
                view.ended_at = event["at"]
                view.drafts.clear()
            return view
        if event["type"] != "sync" or not isinstance(event.get("data"), dict):
            return None
        view = self._owner(str(event.get("uniqueName") or ""))
        if view is not None:
            self._message(view, event["data"])
        return view

    def _owner(self, unique_name: str) -> CallView | None:
        for prefix in (names.suggestions_map(""), names.sync_stream("", "")):
            if unique_name.startswith(prefix):
                return self.calls.get(unique_name.removeprefix(prefix)[:34])
        return None

    def _message(self, view: CallView, data: Json) -> None:
        match data.get("type"):
            case "draft":
                known = view.drafts.get(data["id"])
                if data["id"] not in view.settled and (known is None or known["part"] < data["part"]):
                    view.drafts[data["id"]] = data
            case "withdrawn":
                view.drafts.pop(data["id"], None)
                view.settled.add(data["id"])
            case "suggestion":
                view.drafts.pop(data["id"], None)
                view.settled.add(data["id"])
                view.suggestions[data["seq"]] = {key: value for key, value in data.items() if key != "transcript"}
            case "transcript":
                known = view.words.get(data["id"])
                if known is None or known["part"] < data["part"]:
                    view.words[data["id"]] = data
                while len(view.words) > KEPT_WORDS:
                    del view.words[next(iter(view.words))]
            case "status":
                view.state, view.message = data["state"], data["message"]

    def measured(self, metrics: dict[str, float]) -> Json | None:
        """The relay's metrics, read again: a new bar if turns were published since, with the mean of each stage in ms."""
        bar: Json = {}
        for stage in STAGES:
            label = f'{{stage="{stage}"}}'
            count = metrics.get(f"stage_duration_seconds_count{label}", 0.0)
            total = metrics.get(f"stage_duration_seconds_sum{label}", 0.0)
            more, spent = count - self._counts.get(stage, 0.0), total - self._sums.get(stage, 0.0)
            if stage == "publish" and more <= 0:
                return None
            if more > 0:
                bar[stage] = round(1000 * spent / more, 1)
        for stage in STAGES:
            label = f'{{stage="{stage}"}}'
            self._counts[stage] = metrics.get(f"stage_duration_seconds_count{label}", 0.0)
            self._sums[stage] = metrics.get(f"stage_duration_seconds_sum{label}", 0.0)
        self.bars.append(bar)
        return bar

    def to_json(self) -> Json:
        """The whole board, for a page that has just opened."""
        views = sorted(self.calls.values(), key=lambda view: view.slot)
        whole: Json = {"calls": [view.to_json() for view in views], "bars": list(self.bars), "relay": self.relay}
        return whole | {"watched": self.watched, "flex": self.flex, "rollout": self.rollout}
