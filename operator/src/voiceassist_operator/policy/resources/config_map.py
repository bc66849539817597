"""ConfigMaps: the relays' configuration, and the immutable history of prompts."""

from __future__ import annotations

from dataclasses import dataclass

from voiceassist_crds import names
from voiceassist_crds.config import Prompt, PromptModel, RelayConfig

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


def _answers(text: str | None) -> PromptModel | None:
    if text is None:
        return None
    try:
        return PromptModel.model_validate_json(text, extra="ignore")
    except ValueError:
        return None  # somebody has edited it
