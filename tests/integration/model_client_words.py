"""What is said in calls to a model client, by the sample calls; a stand-in that answers at once; and what is then asked of a call."""

from __future__ import annotations

import asyncio
from typing import Any

from integration.model_client_rig import Call, ledgers
from voiceassist_crds.messages import AssistState, StatusReason
from voiceassist_sim.openai import Behaviour, RealtimeServer, load_sample_calls

CALLS = load_sample_calls()
WORDS = {utterance.id: utterance for call in CALLS for utterance in call.utterances}
CUSTOMER = [each for each in WORDS.values() if each.speaker == "customer"]
ASKED = [each for each in CUSTOMER if each.relevant]
CHAT = next(each for each in CUSTOMER if not each.relevant)
AGENT = next(each for each in WORDS.values() if each.speaker == "agent")


def quick(**changes: object) -> Behaviour:
    return Behaviour(
        **({"first_token_ms": 10, "delta_ms": 1, "transcription_delay_ms": 5, "transcription_delta_ms": 1, "seed": 1} | changes)
    )  # type: ignore[arg-type]


def outcomes(call: Call) -> list[str]:
    return call.heard.outcomes


async def turns(call: Call, count: int) -> None:
    await call.heard.until(lambda: len(call.heard.turns) >= count, f"{count} turns")


async def failed(call: Call) -> tuple[AssistState, StatusReason, str]:
    await call.heard.until(lambda: call.heard.states and call.heard.states[-1][0] is AssistState.FAILED, "failed")
    async with asyncio.timeout(5):
        await call.task
    return call.heard.states[-1]


def states(call: Call) -> list[AssistState]:
    return [state for state, _, _ in call.heard.states]


def all_heard(server: RealtimeServer) -> list[str]:
    """Utterances that the conversation sessions recognised, in order."""
    return [match.utterance.id for ledger in ledgers(server) for turn in ledger.turns for match in turn.heard.matches]


def whole(turn: Any) -> bool:
    """Whether one utterance was heard from its first to its last byte, each once and in order."""
    (match,) = turn.heard.matches
    return bool(match.exact and match.cut_head == 0 and match.cut_tail == 0)
