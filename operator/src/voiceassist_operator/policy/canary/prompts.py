"""The prompts that relays are given while a canary is tried, or after one was rejected. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from voiceassist_crds.config import ApplyTo, Prompt, RelayConfig, Rollout

from ..resources.config_map import KeptPrompt, answers_of
from .progress import Progress


def with_progress(desired: RelayConfig, progress: Progress, kept: Mapping[str, KeptPrompt]) -> RelayConfig:
    """Returns the configuration with the shares of both prompts. `desired` has the object's own as its only one.

    The stable one stands first: a call is at a place from 0 to 99, and as the canary's share grows from the top, no call leaves it.
    While a canary is tried no call changes its prompt. Raises LookupError where the stable one's text is not kept.
    """
    (wanted,) = desired.prompts
    if wanted.revision == progress.stable:
        return desired
    old = kept[progress.stable]
    model = old.model if old.model is not None and old.model != answers_of(desired) else None
    stable = Prompt(revision=progress.stable, weight=100 - progress.weight, instructions=old.instructions, model=model)
    if progress.canary:
        prompts = [stable, wanted.model_copy(update={"weight": progress.weight})]
        rollout = Rollout(apply_to=ApplyTo.NEW_CALLS, id=progress.id)
    else:
        prompts, rollout = [stable], desired.rollout.model_copy(update={"withdrawn": [wanted.revision]})
    return desired.model_copy(update={"prompts": prompts, "rollout": rollout, "config_revision": ""}).with_revisions()
