"""What the instructions make of an answer: lines that the stand-in obeys, by which one prompt can be better or worse than another. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LINE: Final = re.compile(r"^[ \t]*(Prefix|Wait|Repeat|Form):[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_MOST_REPEATS: Final = 1000
_LONGEST_WAIT_MS: Final = 60_000


class Form(StrEnum):
    """In which form an answer comes, if not as a call of the tool with the arguments asked for."""

    TEXT = "text"
    """A message in place of the call."""
    PROSE = "prose"
    """The call, with arguments that are no JSON."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What is asked for. A line with another value is passed over, as a model passes over what it does not understand."""

    prefix: str = ""
    """``Prefix: X`` puts X before the answer."""
    wait_ms: int = 0
    """``Wait: 2500``: so many milliseconds longer until the first output."""
    repeat: int = 1
    """``Repeat: 50``: the answer so many times, which a limit of output may cut off."""
    form: Form | None = None
    """``Form: text`` or ``Form: prose``."""

    @classmethod
    def of(cls, instructions: str) -> Manner:
        """The lines of the instructions; of several of one kind the first."""
        found: dict[str, str] = {}
        for name, value in _LINE.findall(instructions):
            found.setdefault(name, value)
        return cls(
            prefix=found.get("Prefix", ""),
            wait_ms=_number(found.get("Wait"), 0, _LONGEST_WAIT_MS),
            repeat=_number(found.get("Repeat"), 1, _MOST_REPEATS),
            form=next((form for form in Form if form == found.get("Form")), None),
        )


def _number(text: str | None, least: int, most: int) -> int:
    return min(max(int(text), least), most) if text is not None and text.isascii() and text.isdecimal() else least
