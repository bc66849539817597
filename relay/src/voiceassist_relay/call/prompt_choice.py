"""Chooses a call's prompt: the same on any relay, by the call and the weights alone. Pure."""

from __future__ import annotations

import hashlib

from voiceassist_crds.config import Prompt, RelayConfig


def bucket(call_sid: str, salt: str) -> int:
    """A number from 0 to 99 for a call, evenly spread and stable."""
    digest = hashlib.sha256(f"{salt}\0{call_sid}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100


def choose_prompt(config: RelayConfig, call_sid: str) -> Prompt:
    """The prompt with which a call begins. Weights add up to 100 (the configuration is checked for that)."""
    at = bucket(call_sid, config.prompt_salt)
    for prompt in config.prompts:
        if at < prompt.weight:
            return prompt
        at -= prompt.weight
    return config.prompts[-1]


def prompt_of(config: RelayConfig, revision: str) -> Prompt | None:
    """The prompt of a revision with which a call began elsewhere; None where it is not in the configuration any more, or withdrawn."""
    if revision in config.rollout.withdrawn:
        return None
    return next((prompt for prompt in config.prompts if prompt.revision == revision), None)
