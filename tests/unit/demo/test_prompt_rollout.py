"""The prompt box of the demo's page: at once, or as a canary that is taken back, tried again, or in force."""

from __future__ import annotations

from typing import Any

import pytest

from unit.realtime.wire import relay_config
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.errors import ContractError
from voiceassist_crds.status import PeerStatus, PromptCounts, RelayStatus, RolloutCounts
from voiceassist_demo.prompt_rollout import PromptRollout

WELL = PeerStatus(ok=True, since=0.0)
GOOD = PromptCounts(calls=9, turns=40)
BAD = PromptCounts(calls=9, turns=30, failed=20, calls_with_failures=8)


class Page:
    def __init__(self) -> None:
        self.given: list[RelayConfig] = []
        self.rollout = PromptRollout(config_of, self.given.append)
        self.now = 100.0
        first = config_of("You help.")
        self.rollout.begin(first)
        self.stable = first.prompts[0].revision

    def ask(self, text: str, *, canary: bool) -> str:
        self.now += 1
        return self.rollout.ask(text, self.now, canary=canary)

    def look(self, **prompts: PromptCounts) -> dict[str, Any]:
        self.now += 1
        found = {key.removeprefix("_"): one for key, one in prompts.items()}
        counts = RolloutCounts(id=self.given[-1].rollout.id, since=1.0, prompts=found)
        told = {"version": "1", "pod": "relay0", "config_revision": "", "prompt_revisions": {}, "active_calls": 0, "max_calls": 9}
        self.rollout.look(RelayStatus(**told, draining=False, ready=True, model=WELL, sync=WELL, rollout=counts), self.now)
        return self.rollout.to_json()

    @property
    def shares(self) -> dict[str, int]:
        return {one.revision: one.weight for one in self.given[-1].prompts}


def config_of(text: str) -> RelayConfig:
    return relay_config(prompts=[{"instructions": text}])


def test_prompt_rollout_at_once() -> None:
    page = Page()
    revision = page.ask("You help well.", canary=False)
    assert page.shares == {revision: 100}
    assert page.rollout.to_json()["currentRevision"] == revision
    with pytest.raises(ContractError, match="the prompt is empty"):
        page.ask("  ", canary=False)


def test_prompt_rollout_a_canary_that_does_harm_is_taken_back_and_tried_again_if_asked() -> None:
    page = Page()
    revision = page.ask("You harm.", canary=True)
    assert page.shares == {page.stable: 50, revision: 50}
    shown = page.look(**{f"_{revision}": PromptCounts(calls=1, turns=2), f"_{page.stable}": GOOD})
    assert (shown["canary"], shown["waitsFor"]) == (
        {"calls": 1, "turns": 2, "failed": 0},
        "22 more turns of the canary",
    )
    shown = page.look(**{f"_{revision}": BAD, f"_{page.stable}": GOOD})
    assert shown["rejectedRevision"] == revision
    assert "TurnFailure: 20 of 30 turns failed" in shown["told"]
    assert page.shares == {page.stable: 100}
    assert page.given[-1].rollout.withdrawn == [revision]
    for _ in range(2):
        page.ask("You harm.", canary=True)
        assert page.shares == {page.stable: 50, revision: 50}
        page.look(**{f"_{revision}": BAD, f"_{page.stable}": GOOD})
        assert page.shares == {page.stable: 100}


def test_prompt_rollout_a_good_canary_is_in_force_after_two_dozen_turns() -> None:
    page = Page()
    revision = page.ask("You help better.", canary=True)
    page.look(**{f"_{revision}": PromptCounts(calls=4, turns=24), f"_{page.stable}": GOOD})
    assert page.shares == {revision: 100}
    page.ask("You help.", canary=True)
    page.ask("You help better.", canary=True)
    assert page.shares == {revision: 100}, "the text in force, asked for again, ends what is tried"
