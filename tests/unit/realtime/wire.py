"""Plays a wire transcript against the conversation's state machine: what the server says goes in, what comes out is compared.

A transcript is JSON lines. Inputs: {"at": s, "server": event} and {"at": s, "do": name, ...}; what must come out of an input, all of
it, stands in the lines below it: {"client": event} for what is sent, or a line that says what else the session gives. What goes to the
connection keeps its order, and what goes to the owner too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voiceassist_crds.config import RelayConfig
from voiceassist_relay.interfaces import FinishedSuggestion, OutputForm
from voiceassist_relay.realtime.core import outputs as act
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.core.conversation import ConversationSession
from voiceassist_relay.realtime.core.eager_budget import EagerBudget
from voiceassist_relay.realtime.core.history import History
from voiceassist_relay.realtime.core.limits import DEFAULT_LIMITS, Purse, ResponseLimiter, SessionLimits
from voiceassist_relay.realtime.core.liveness import Liveness
from voiceassist_relay.realtime.core.server_events import decode
from voiceassist_relay.realtime.core.session_base import SessionState
from voiceassist_relay.realtime.core.session_settings import SessionSettings
from voiceassist_relay.realtime.core.turns import HandOverState, Turn

Line = dict[str, Any]
TRANSCRIPTS = Path(__file__).parent / "transcripts"


def relay_config(**changes: Any) -> RelayConfig:
    document: Line = {
        "host": "assist.example.com",
        "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
        "prompts": [{"instructions": "Help the agent.", "revision": "rev1"}],
    }
    return RelayConfig.model_validate(document | changes).with_revisions()


def plan_of(instructions: str = "Help the agent.", revision: str = "rev1", **model: Any) -> SessionSettings:
    config = relay_config(model=model)
    return SessionSettings.of(config, config.prompts[0].model_copy(update={"instructions": instructions, "revision": revision}))


class Desk:
    """A conversation session and what it stands in."""

    def __init__(
        self,
        plan: SessionSettings | None = None,
        *,
        number: int = 1,
        history: History | None = None,
        limits: SessionLimits = DEFAULT_LIMITS,
        purse: Purse | None = None,
    ) -> None:
        plan = plan or plan_of()
        self.history = history or History(16_000, 4_000)
        self.limiter = ResponseLimiter(plan.model.max_responses_per_minute, purse)
        self.clock = AudioClock()
        self.live = Liveness(limits, 0.0)
        state = SessionState(number, plan, self.clock, self.live, limits)
        self.session = ConversationSession(state, self.history, self.limiter, EagerBudget(), paused=False)

    def audio(self, until_ms: int, begun: float = 0.0) -> None:
        """Audio that arrives in real time, from loop time `begun` on, up to so many ms."""
        done = int(self.clock.ms // 20)
        self.clock.slots.extend(begun + (slot + 1) / 50 for slot in range(done, until_ms // 20))


class Player:
    """Plays one transcript."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.desk.audio(60_000)
        self.handover = HandOverState()

    def play(self, line: Line) -> list[Line]:
        at = float(line["at"])
        session = self.desk.session
        if "server" in line:
            return told(session.received(decode(json.dumps(line["server"]).encode()), at))
        match line["do"]:
            case "begin":
                actions = session.begin(self.handover, at)
            case "tick":
                actions = session.tick(at)
            case "pause":
                actions = session.pause(at)
            case "resume":
                actions = session.resume(at)
            case "finish":
                actions = session.finish(at)
            case "drop":
                actions = session.drop(line["outcome"], at)
            case "agent spoke":
                self.desk.history.agent(f"agent-{at}", line["began"], line["text"])
                actions = session.agent_spoke(line["began"], line["text"])
            case "use":
                actions = session.update(plan_of(line["instructions"], line["revision"]), at)
            case "break":
                actions, self.handover = session.abandon()
                self.desk = Desk(number=2, history=self.desk.history)
                self.desk.audio(60_000)
            case other:
                raise ValueError(other)
        return told(actions)


def flat(outputs: act.Outputs) -> list[act.Event | act.Command]:
    """Events, then commands."""
    return [*outputs.events, *outputs.commands]


def told(outputs: act.Outputs) -> list[Line]:
    return [line for given in flat(outputs) for line in show(given)]


def in_order(lines: list[Line]) -> list[Line]:
    """A transcript's lines, those for the owner before those for the connection; each kind keeps its order."""
    return sorted(lines, key=lambda line: not {"client", "fill", "replace", "final"}.isdisjoint(line))


def show(action: act.Event | act.Command) -> Iterator[Line]:
    """An action as a transcript's line; token counts, and that an output was in the form asked for, are left out."""
    match action:
        case act.Send(data):
            yield {"client": json.loads(data)}
        case act.DraftShown(item, answer, revision):
            yield {"draft": answer, "item": item, "revision": revision}
        case FinishedSuggestion() as one:
            yield {"suggested": one.answer, "question": one.question, "item": one.item, "revision": one.revision}
        case act.DraftWithdrawn(item, _, reason):
            yield {"withdrawn": item, "reason": reason.value}
        case act.TurnHandled(outcome, revision, _):
            yield {"handled": outcome, "revision": revision}
        case act.Words(track, item, text, final):
            yield {"words": text, "track": track.value, "item": item, "final": final}
        case act.ModelFault(label):
            yield {"fault": label}
        case act.FillSilence(seconds):
            yield {"fill": seconds}
        case act.Replace(reason, now):
            yield {"replace": reason, "now": now}
        case act.GiveUp(fatal):
            yield {"final": fatal.reason.value}
        case act.AgentSpoke(item, started, text):
            yield {"agent": text, "item": item, "began": started}
        case act.OutputRead(_, form) if form is not OutputForm.CLEAN:
            yield {"output": form.value}
        case act.TokensUsed() | act.ResponseOver() | act.OutputRead():
            pass


def read(path: Path) -> list[tuple[Line, list[Line]]]:
    """Inputs, each with what must come of it."""
    steps: list[tuple[Line, list[Line]]] = []
    for text in path.read_text().splitlines():
        if text.strip() and not text.startswith("#"):
            line = json.loads(text)
            if "at" in line:
                steps.append((line, []))
            else:
                steps[-1][1].append(line)
    return steps


def turn(item: str, *, started: float = 1.0, ended: float = 2.0, heard: bool = False) -> Turn:
    return Turn(item, item, started, ended, heard)
