"""EndpointReport: what the operator found when it last dialled the public address, told to relays with each question for their status.

A header of that request bears it. Only words of closed lists travel: whoever else may ask a relay can put no text before an agent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .reasons import Reason

ENDPOINT_HEADER: Final = "X-VoiceAssist-Endpoint"
_FORM: Final = re.compile(r"([A-Za-z]{1,40})(?:/([a-z_]{1,40}))?")


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """What a dial found."""

    reason: Reason
    """The reason of condition EndpointReachable."""
    cause: str = ""
    """What the relay said that the dial reached, a word such as `no_signature`; empty where it said nothing."""

    def as_header(self) -> str:
        """The header's value."""
        return f"{self.reason}/{self.cause}" if self.cause else str(self.reason)

    @classmethod
    def read(cls, value: str) -> EndpointReport | None:
        """Reads what an operator of any version sent; None for a reason that this version does not know, or another form."""
        form = _FORM.fullmatch(value)
        if form is None:
            return None
        try:
            return cls(Reason(form[1]), form[2] or "")
        except ValueError:
            return None
