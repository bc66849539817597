"""Names of models that their vendor ends, and when: the one list of them. Pure.

From the vendor's own client library (PyPI `openai`, types of realtime sessions and of transcription).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

SHUTDOWN: Final[dict[str, date]] = {
    "gpt-realtime": date(2027, 1, 20),
    "gpt-realtime-2025-08-28": date(2027, 1, 20),
    "gpt-realtime-mini": date(2027, 1, 20),
    "gpt-realtime-mini-2025-12-15": date(2027, 1, 20),
    "gpt-audio-mini": date(2027, 1, 20),
    "gpt-audio-mini-2025-12-15": date(2027, 1, 20),
    "whisper-1": date(2027, 2, 26),
    "gpt-4o-transcribe": date(2027, 2, 26),
    "gpt-4o-transcribe-diarize": date(2027, 2, 26),
    "gpt-4o-mini-transcribe": date(2027, 2, 26),
    "gpt-4o-mini-transcribe-2025-12-15": date(2027, 2, 26),
}
AHEAD: Final = timedelta(days=60)
"""So long before its end a name is warned of."""


def retiring(names: Iterable[str], today: date) -> list[str]:
    """What is to be told of these names, the first to end first."""
    known = sorted((SHUTDOWN[short], name) for name in names if (short := name.rpartition("/")[2]) in SHUTDOWN)
    return [_told(name, end, today) for end, name in known if today >= end - AHEAD]


def _told(name: str, end: date, today: date) -> str:
    left = (end - today).days
    when = f"ends in {left} days" if left > 0 else "has ended"
    return f"{name} {when} ({end.isoformat()}); choose another"
