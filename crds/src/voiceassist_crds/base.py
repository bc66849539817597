"""The base of the contract's models: camelCase on the wire, nothing undeclared, frozen."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A part of the contract."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=False,
        hide_input_in_errors=True,  # an error may be logged, and its input may be spoken words
    )
