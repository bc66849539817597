"""What a call's Map holds of the conversation (pure): the answers that the agent was given, and the questions that they were for.

A relay that dies takes the call's conversation with it. The suggestions are in Sync anyway, so the next stream's relay goes on from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..interfaces import EarlierSuggestion
from .client import Revisioned
from .numbering import generation_of, number_of

MOST: Final = 50
"""Suggestions that are read: more than the model is told of a long conversation."""


def recollect(items: Iterable[Revisioned]) -> list[EarlierSuggestion]:
    """The suggestions among a Map's items, oldest first. Left out: what no relay wrote, and what is none."""
    found = {}
    for item in items:
        number, data = number_of(item.sid), item.data
        said = (data.get("id"), data.get("question"), data.get("answer"))
        if number is None or item.foreign or generation_of(said[0]) is None:
            continue
        id_, question, answer = (part if isinstance(part, str) else "" for part in said)
        if answer:
            found[number] = EarlierSuggestion(id_, question, answer)
    return [found[number] for number in sorted(found)][-MOST:]
