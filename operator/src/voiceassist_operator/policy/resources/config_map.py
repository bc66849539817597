"""ConfigMaps: the relays' configuration, and the immutable history of prompts."""

from __future__ import annotations

from voiceassist_crds.config import Prompt, RelayConfig

from ...kubernetes.kinds import CONFIG_MAP, Manifest
from .metadata import CONFIG_ANNOTATION, Owner, manifest

CONFIG_FILE = "relay.json"
CA_FILE = "ca.crt"


def relay_config_map(owner: Owner, config: RelayConfig, ca_bundle: str) -> Manifest:
    """Returns the one ConfigMap that the pods mount: the configuration, and authorities in PEM where there are any to trust."""
    annotations = {CONFIG_ANNOTATION: config.config_revision}
    data = {CONFIG_FILE: config.to_json(), **({CA_FILE: ca_bundle} if ca_bundle else {})}
    return manifest(CONFIG_MAP, owner, owner.relay, {"data": data}, annotations)


def history_config_map(owner: Owner, prompt: Prompt) -> Manifest:
    """Returns a revision of the prompt, kept to go back to; never mounted, never changed."""
    body = {"data": {"instructions": prompt.instructions}, "immutable": True}
    return manifest(CONFIG_MAP, owner, owner.history(prompt.revision), body)
