"""What the last look at a VoiceAssist's Twilio account found. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

from .desired import TwilioRecord
from .functions import FunctionsOutcome
from .outcome import FlexOutcome, Problem, SyncOutcome


@dataclass(frozen=True, slots=True)
class TwilioFact:
    """The last look at Twilio; a part that was not looked at yet is None."""

    generation: int | None = None
    """The newest generation of the object that asks for what was looked at."""
    sync: SyncOutcome | None = None
    functions: FunctionsOutcome | None = None
    functions_problem: Problem | None = None
    flex: FlexOutcome | None = None
    record: TwilioRecord = field(default_factory=TwilioRecord)
    """What is to be remembered in the status."""
