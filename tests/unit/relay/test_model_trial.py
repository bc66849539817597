"""When a conversation with the model is had, and what stands of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from unit.relay.test_peer_check import snapshot as settings_of
from voiceassist_crds.config import AudioFormat
from voiceassist_crds.status import PeerReason
from voiceassist_relay.config.snapshot import Snapshot
from voiceassist_relay.health.model_trial import AGAIN, BETWEEN, ModelTrial
from voiceassist_relay.health.peer_check import Unwell
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.peer_health import PeerHealth
from voiceassist_relay.realtime.core.trial import Found

SILENT = Unwell(PeerReason.MISCONFIGURED, "gives no answer")
NOISE = Unwell(PeerReason.AUDIO_FORMAT, "does not hear us")
WELL = [Found(AudioFormat.PCMU, turn=True, tool=True, transcribed=True, tokens=[("text", "input", False, 40)])]


@dataclass
class Rig:
    answers: list[list[Found] | Exception] = field(default_factory=lambda: [WELL])
    """What conversations come to, the last for ever."""
    snapshot: Snapshot = field(default_factory=settings_of)
    unreachable: bool = False
    now: float = 0.0
    had: int = 0

    def __post_init__(self) -> None:
        self.metrics = RelayMetrics()
        self.health = PeerHealth(0)
        self.trial = ModelTrial(lambda: self.snapshot, self._check, self._converse, self.metrics, self.health, lambda: self.now)

    async def _check(self) -> None:
        if self.unreachable:
            raise Unwell(PeerReason.UNREACHABLE, "gone")

    async def _converse(self, _: Snapshot, on_found: Callable[[Found], None]) -> list[Found]:
        answer = self.answers[min(self.had, len(self.answers) - 1)]
        self.had += 1
        if isinstance(answer, Exception):
            on_found(Found(AudioFormat.PCMU, tokens=[("text", "input", False, 40)]))
            raise answer
        for one in answer:
            on_found(one)
        return answer

    @property
    def tokens(self) -> float | None:
        labels = {"model": "m", "modality": "text", "direction": "input", "cached": "false"}
        return self.metrics.registry.get_sample_value("voiceassist_relay_tokens_total", labels)

    async def asked(self) -> Unwell | None:
        """As a check of the peer asks; what it finds wrong."""
        try:
            await self.trial.ask()
            await self.trial.further()
        except Unwell as unwell:
            return unwell
        return None

    def use(self, **model: Any) -> None:
        config = self.snapshot.config
        self.snapshot = Snapshot(config.model_copy(update={"model": config.model.model_copy(update=model)}), self.snapshot.secrets, "")


async def test_model_trial_is_had_once_for_the_settings_and_told_of_them_alone() -> None:
    rig = Rig()
    rig.metrics.use_models(["m"])
    assert await rig.asked() is None
    assert rig.trial.told == "PCMU: answers with a tool call, ends turns by itself, writes down what it hears"
    assert await rig.asked() is None
    assert (rig.had, rig.trial.open) == (1, False)
    assert rig.tokens == pytest.approx(40)
    rig.use(name="other")
    assert rig.trial.told == ""
    assert await rig.asked() is None
    assert rig.had == 2


async def test_model_trial_is_not_had_where_a_session_is_enough() -> None:
    rig = Rig()
    rig.use(check="Session")
    assert await rig.asked() is None
    assert (rig.had, rig.trial.told, rig.trial.open) == (0, "", False)


async def test_model_trial_is_had_again_after_the_model_was_gone_and_not_too_soon() -> None:
    rig = Rig()
    await rig.asked()
    rig.unreachable = True
    assert (found := await rig.asked()) is not None and found.message == "gone"
    rig.unreachable, rig.now = False, BETWEEN - 1
    assert await rig.asked() is None
    assert rig.had == 1
    rig.now = BETWEEN
    assert await rig.asked() is None
    assert rig.had == 2


async def test_model_trial_what_is_wrong_stands_until_another_conversation_goes_well() -> None:
    rig = Rig([SILENT, SILENT, WELL])
    assert await rig.asked() is SILENT
    rig.now = AGAIN - 1
    assert await rig.asked() is SILENT, "that a session can be opened is no answer to it"
    assert (rig.had, rig.trial.open, rig.trial.told) == (1, False, "")
    rig.now = AGAIN
    assert rig.trial.open
    assert await rig.asked() is SILENT
    rig.now += 2 * AGAIN - 1
    assert await rig.asked() is SILENT
    assert rig.had == 2, "each further one waits twice as long"
    rig.now += 1
    assert await rig.asked() is None
    assert rig.had == 3
    assert rig.trial.told


async def test_model_trial_noise_is_heard_twice_before_it_is_told_and_then_other_settings_alone_mend_it() -> None:
    once = Rig([NOISE, WELL])
    assert await once.asked() is None
    assert once.had == 2
    rig = Rig([NOISE])
    assert await rig.asked() is NOISE
    rig.now = 100 * BETWEEN
    assert await rig.asked() is NOISE
    assert (rig.had, rig.trial.open) == (2, False)
    rig.answers = [WELL]
    rig.use(audio_format=AudioFormat.PCM16K)
    assert await rig.asked() is None


async def test_model_trial_a_format_that_was_guessed_wrong_is_told_with_the_one_that_is_heard() -> None:
    rig = Rig([[Found(AudioFormat.PCMU, misread=True), Found(AudioFormat.PCM16K, text=True)]])
    rig.use(provider="Compatible", url="ws://model/v1")
    found = await rig.asked()
    assert found is not None
    assert found.reason is PeerReason.AUDIO_FORMAT
    assert "calls are sent PCMU" in found.message
    assert found.message.endswith("set model.audioFormat: PCM16k")


async def test_model_trial_counts_the_tokens_of_one_that_did_not_go_well_and_breaks_no_more_often_than_it_may() -> None:
    rig = Rig([SILENT])
    rig.metrics.use_models(["m"])
    assert await rig.asked() is SILENT
    assert rig.tokens == pytest.approx(40)
    broken = Rig([RuntimeError("bug")])
    for _ in range(3):
        with contextlib.suppress(RuntimeError):
            await broken.asked()
        broken.now += 30
    assert broken.had == 1


async def test_model_trial_is_not_had_while_calls_say_that_audio_is_misread_and_what_calls_hear_overrules_it() -> None:
    rig = Rig()
    await rig.asked()
    rig.health.failed(PeerReason.AUDIO_FORMAT, "a call hears noise", 0)
    rig.now = 3 * BETWEEN
    assert await rig.asked() is None
    assert rig.had == 1
    noisy = Rig([NOISE])
    assert await noisy.asked() is NOISE
    noisy.health.heard(0)
    assert await noisy.asked() is None
