"""What objects refer to: Secrets as facts and texts of ConfigMaps, read again when a watch has told of a newer version. No Secret's value
is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..kubernetes.client import Cluster
from ..kubernetes.kinds import CONFIG_MAP, SECRET, Kind, Manifest
from ..kubernetes.secrets import is_released, secret_value
from ..kubernetes.store import Store, newer
from ..policy.observed import SecretFact
from ..policy.resources.metadata import CAUSE_ANNOTATION

MOST, MOST_CHARACTERS = 4096, 16 << 20
"""Facts that are kept, and characters of their texts; of more the oldest is read again."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a ConfigMap, and who wrote it."""

    text: str
    writer: str = ""
    cause: str = ""


class References:
    """The facts of one operator."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster, self._store = cluster, store
        self._facts: dict[tuple[Kind, str, str, str], tuple[str, Any]] = {}
        """By kind, namespace, name and key: the version, and what it says."""
        self._characters = 0

    async def secret(self, namespace: str, name: str) -> SecretFact:
        """Returns what a Secret has. Raises OperatorError."""
        known: SecretFact | None = self._known(SECRET, namespace, name, "")
        if known is not None:
            return known
        found = await self._cluster.get(SECRET, name, namespace)
        if found is None:
            return SecretFact(name)
        fact = _secret(found)
        self._keep(SECRET, found, "", fact)
        return fact

    async def text(self, namespace: str, name: str, key: str) -> Text | None:
        """Returns a ConfigMap's text under a key; None where there is no ConfigMap. Raises OperatorError."""
        known: Text | None = self._known(CONFIG_MAP, namespace, name, key)
        if known is not None:
            return known
        found = await self._cluster.get(CONFIG_MAP, name, namespace)
        if found is None:
            return None
        text = (found.get("data") or {}).get(key) or ""
        fact = Text(text, writer_of(found["metadata"], ("f:data", f"f:{key}")), cause_of(found["metadata"]))
        self._keep(CONFIG_MAP, found, key, fact)
        return fact

    def _known(self, kind: Kind, namespace: str, name: str, key: str) -> Any:
        """What was read, if the watch knows the object and nothing newer of it."""
        version, fact = self._facts.get((kind, namespace, name, key), ("", None))
        entry = self._store.entry(kind, name, namespace)
        return fact if entry is not None and version and not newer(entry.version, version) else None

    def _keep(self, kind: Kind, found: Manifest, key: str, fact: Any) -> None:
        metadata = found["metadata"]
        place = (kind, metadata.get("namespace") or "", metadata["name"], key)
        self._forget(place)
        self._characters += _length(fact)
        while self._facts and (len(self._facts) >= MOST or self._characters > MOST_CHARACTERS):
            self._forget(next(iter(self._facts)))
        self._facts[place] = (metadata["resourceVersion"], fact)

    def _forget(self, place: tuple[Kind, str, str, str]) -> None:
        _, fact = self._facts.pop(place, ("", None))
        self._characters -= _length(fact)


def _length(fact: Any) -> int:
    return len(fact.text) if isinstance(fact, Text) else 0


def _secret(found: Manifest) -> SecretFact:
    keys, spoilt = set(), {}
    for key in found.get("data") or {}:
        try:
            if secret_value(found, key):
                keys.add(key)
        except ValueError as error:
            keys.add(key)
            spoilt[key] = str(error)
    metadata = found["metadata"]
    return SecretFact(metadata["name"], True, frozenset(keys), metadata["resourceVersion"], spoilt, is_released(found))


def cause_of(metadata: Mapping[str, Any]) -> str:
    """Returns why an object was changed, as its writer says by annotation."""
    return str((metadata.get("annotations") or {}).get(CAUSE_ANNOTATION, ""))


def writer_of(metadata: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Returns the field manager that owns a field; the newest where several do."""
    owners = [
        (entry.get("time") or "", entry.get("manager") or "")
        for entry in metadata.get("managedFields") or []
        if _owns(entry.get("fieldsV1") or {}, path)
    ]
    return max(owners)[1] if owners else ""


def _owns(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    for part in path:
        if part not in fields:
            return False
        fields = fields[part]
    return True
