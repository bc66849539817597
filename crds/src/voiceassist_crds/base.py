"""The base of the contract's models: camelCase on the wire, nothing undeclared in code, frozen; read leniently, written without defaults.

Two versions may meet at everything that is written here. A reader passes over fields that it does not know (and names them, so that
they can be counted); a writer leaves out what is at its default, so that a field which nobody uses is news to nobody. A default
never changes, and a field never changes its type or meaning: docs/upgrading.md.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A part of the contract."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",  # in code; what another version wrote is read with `extra="ignore"` or "allow"
        frozen=True,
        strict=False,
        hide_input_in_errors=True,  # an error may be logged, and its input may be spoken words
    )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """The same one, as it is frozen: pydantic else copies what is at its default for each object that it reads."""
        return self

    def wire(self) -> dict[str, Any]:
        """As JSON values, the names in camelCase, without what is at its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def undeclared(model: type[Model], data: object) -> tuple[str, ...]:
    """Paths of fields in `data` (JSON values) that `model` does not declare, such as `model.newField`, in their order."""
    try:
        model.model_validate(data, extra="forbid")
    except ValidationError as error:
        findings = error.errors(include_url=False, include_context=False, include_input=False)
        return tuple(field_path(finding["loc"]) for finding in findings if finding["type"] == "extra_forbidden")
    return ()


def field_path(location: tuple[int | str, ...]) -> str:
    """A field's place as people write it, such as `prompts[0].weight`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
    return path or "(document)"
