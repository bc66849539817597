"""Other writers of Flex's configuration, who write between a client's requests so that lost updates can be shown; pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class When(StrEnum):
    """The moment at which another writer writes."""

    AFTER_GET = "after-get"
    """After the answer to a GET was made: before what the client does with it."""
    AFTER_POST = "after-post"
    """After a POST was stored and its answer made."""


@dataclass(frozen=True, slots=True)
class OtherWriter:
    """One writer. He lays ``changes`` over the configuration (objects are merged, null removes a key), ``times`` times, after the
    first ``skip`` such requests went by.

    ``stale`` (only after a POST): he had read the configuration before that POST, and writes back every field of ``changes`` as it was
    then: what the POST did to them is lost.
    """

    when: When
    changes: Mapping[str, Any] = field(default_factory=dict)
    stale: bool = False
    times: int = 1
    skip: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "when", When(self.when))
        if not isinstance(self.changes, Mapping) or not self.changes:
            raise ValueError("changes must be an object of the configuration's fields")
        if self.stale and self.when is not When.AFTER_POST:
            raise ValueError("stale goes with after-post only")
        for name in ("times", "skip"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be a whole number, not below 0")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> OtherWriter:
        """From JSON with the fields' names; raises ValueError for what does not fit."""
        unknown = sorted(set(given) - {item.name for item in fields(cls)})
        if unknown or "when" not in given:
            raise ValueError(f"there are: {', '.join(item.name for item in fields(cls))}; when is required")
        return cls(**given)


class OtherWriters:
    """The writers who wait for their moment."""

    def __init__(self) -> None:
        self._waiting: list[list[Any]] = []

    def set(self, *writers: OtherWriter) -> None:
        """These, instead of those before."""
        self._waiting = [[one, one.skip, one.times] for one in writers]

    def due(self, when: When) -> list[OtherWriter]:
        """Who writes now."""
        due: list[OtherWriter] = []
        for entry in self._waiting:
            writer, skip, times = entry
            if writer.when is not when or not times:
                continue
            if skip:
                entry[1] -= 1
                continue
            entry[2] -= 1
            due.append(writer)
        return due

    def as_json(self) -> list[dict[str, Any]]:
        """As the control API gives them: ``left`` says how often each is still to write."""
        return [
            {"when": one.when, "changes": one.changes, "stale": one.stale, "times": one.times, "skip": one.skip, "left": left}
            for one, _, left in self._waiting
        ]


def laid_over(base: Any, changes: Any) -> Any:
    """``changes`` over ``base``: objects are merged, null removes a key, everything else replaces."""
    if not isinstance(changes, Mapping):
        return copy.deepcopy(changes)
    merged = dict(copy.deepcopy(base)) if isinstance(base, Mapping) else {}
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = laid_over(merged.get(name), value)
    return merged
