"""ConfigMaps: the relays' configuration, and the immutable history of prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from voiceassist_crds import names
from voiceassist_crds.config import ModelConfig, Prompt, PromptModel, RelayConfig, config_revision
from voiceassist_crds.errors import ContractError

from ...kubernetes.kinds import CONFIG_MAP, Manifest
from .metadata import CONFIG_ANNOTATION, Owner, manifest

CONFIG_FILE = "relay.json"
CA_FILE = "ca.crt"
ANSWERS_ANNOTATION = f"{names.GROUP}/answers"


@dataclass(frozen=True, slots=True)
class KeptPrompt:
    """A revision of the prompt as it is kept in a ConfigMap of ours."""

    instructions: str
    model: PromptModel | None = None
    """What else alters answers, as it was with this revision; None where that was not kept."""


def relay_config_map(owner: Owner, config: RelayConfig, ca_bundle: str) -> Manifest:
    """Returns the one ConfigMap that the pods mount: the configuration, and authorities in PEM where there are any to trust."""
    annotations = {CONFIG_ANNOTATION: config.config_revision}
    data = {CONFIG_FILE: config.to_json(), **({CA_FILE: ca_bundle} if ca_bundle else {})}
    return manifest(CONFIG_MAP, owner, owner.relay, {"data": data}, annotations)


def history_config_map(owner: Owner, prompt: Prompt) -> Manifest:
    """Returns a revision of the prompt, kept to go back to; never mounted, never changed.

    What else alters answers stands in an annotation: those of versions before have none, and their data cannot be changed.
    """
    body = {"data": {"instructions": prompt.instructions}, "immutable": True}
    annotations = {} if prompt.model is None else {ANSWERS_ANNOTATION: prompt.model.model_dump_json(by_alias=True, exclude_none=True)}
    return manifest(CONFIG_MAP, owner, owner.history(prompt.revision), body, annotations)


def kept_prompt(item: Manifest) -> tuple[str, KeptPrompt] | None:
    """Returns the revision that a ConfigMap of ours keeps, as lists have it, and what it says of it; None where it keeps none."""
    _, found, revision = item["metadata"]["name"].rpartition("-prompt-")
    instructions = (item.get("data") or {}).get("instructions")
    if not found or not instructions:
        return None
    return revision, KeptPrompt(instructions, _answers((item["metadata"].get("annotations") or {}).get(ANSWERS_ANNOTATION)))


def prompts_in_use(item: Manifest) -> Iterator[tuple[str, KeptPrompt]]:
    """Gives the prompts that the relays' own ConfigMap has, by revision: the texts of those that calls get, should their own be deleted.

    Of one that somebody has edited nothing is taken: its revision does not fit.
    """
    try:
        text = (item.get("data") or {}).get(CONFIG_FILE) or ""
        config, _ = RelayConfig.read(text)
    except ContractError:
        return
    if json.loads(text).get("configRevision") == config_revision(config):
        for prompt in config.prompts:
            yield prompt.revision, KeptPrompt(prompt.instructions, _answers_of(config.model_of(prompt)))


def answers_of(config: RelayConfig) -> PromptModel:
    """Returns what of a configuration's model alters answers, beside the address, which all prompts share."""
    return _answers_of(config.model)


def _answers_of(model: ModelConfig) -> PromptModel:
    return PromptModel(
        name=model.name,
        turn_detection=model.turn_detection,
        max_output_tokens=model.max_output_tokens,
        reasoning_effort=model.reasoning_effort,
        family=model.family,
    )


def _answers(text: str | None) -> PromptModel | None:
    if text is None:
        return None
    try:
        return PromptModel.model_validate_json(text, extra="ignore")
    except ValueError:
        return None  # somebody has edited it
