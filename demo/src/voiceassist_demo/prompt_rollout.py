"""The roll-out of the page's prompt: as there is no operator here, its decisions are called, with steps that a few calls can take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.errors import ContractError
from voiceassist_crds.resource import RolloutSpec
from voiceassist_crds.status import RelayStatus
from voiceassist_operator.policy.canary.counts import Report
from voiceassist_operator.policy.canary.progress import Progress, advance
from voiceassist_operator.policy.canary.prompts import with_progress
from voiceassist_operator.policy.canary.record import news, to_status
from voiceassist_operator.policy.observed import Orders
from voiceassist_operator.policy.resources.config_map import KeptPrompt, answers_of

CANARY = RolloutSpec.model_validate(
    {"strategy": "Canary", "canary": {"steps": [{"weight": 50, "pause": {"turns": 24}}], "analysis": {"minimumTurns": 1}}}
)
"""Half of the new calls, so that both prompts have turns soon; of five calls or so, as what is seen in fewer than three is no verdict."""


class PromptRollout:
    """What the page's prompt box asks for, and what became of it."""

    def __init__(self, make_config: Callable[[str], RelayConfig], write: Callable[[RelayConfig], None]) -> None:
        """`make_config` gives the relay's configuration with these instructions alone; `write` gives one to the relay."""
        self._make_config, self._write = make_config, write
        self._kept: dict[str, KeptPrompt] = {}
        self._desired: RelayConfig | None = None
        self._rollout = RolloutSpec()
        self._progress: Progress | None = None
        self._told = ""
        self._retries = 0

    def begin(self, config: RelayConfig) -> None:
        """The prompt with which the relay began."""
        self._keep(config)
        self._progress = Progress(config.prompts[0].revision)

    def ask(self, text: str, now: float, *, canary: bool) -> str:
        """Rolls a prompt out, at once or as a canary; gives its revision. `now` is epoch seconds. Raises ContractError."""
        if not text.strip():
            raise ContractError("prompt", ["the prompt is empty; write what the model is to do"])
        config = self._make_config(text)
        revision = config.prompts[0].revision
        self._keep(config)
        self._rollout = CANARY if canary else RolloutSpec()
        orders = Orders()
        if self._progress is not None and self._progress.rejected == revision:  # asked again, and so meant
            self._retries += 1
            orders = Orders(retry=f"{revision}.{self._retries}")
        self._advance([], orders, now)
        return revision

    def look(self, status: RelayStatus, now: float) -> None:
        """What the relay says now."""
        if self._progress is not None and self._progress.canary:
            self._advance([Report(status.pod, status.rollout)], Orders(), now)

    def to_json(self) -> dict[str, Any]:
        """For the page: `status.prompt` as the operator would write it, without what it keeps for itself, and the last news."""
        if self._progress is None:
            return {}
        shown = {key: value for key, value in to_status(self._progress).items() if key != "rollout"}
        return shown | {"told": self._told}

    def _keep(self, config: RelayConfig) -> None:
        self._desired = config
        self._kept[config.prompts[0].revision] = KeptPrompt(config.prompts[0].instructions, answers_of(config))

    def _advance(self, reports: list[Report], orders: Orders, now: float) -> None:
        assert self._desired is not None  # noqa: S101 - `begin` comes first
        before, wanted = self._progress, self._desired.prompts[0].revision
        after = advance(before, wanted, "", self._rollout, orders, reports, now)
        self._progress = after
        self._told = next((one.text for one in news(before, after)), self._told)
        if before is None or (before.stable, before.id, before.weight, before.rejected) != (
            after.stable,
            after.id,
            after.weight,
            after.rejected,
        ):
            self._write(with_progress(self._desired, after, self._kept))
