"""The stand-in's journal: what it forgets, and what it counts all the same."""

from __future__ import annotations

import pytest

from voiceassist_sim.twilio.journal import MARKS_KEPT, REQUESTS_KEPT, Journal, RequestEntry


def entry(method: str, path: str) -> RequestEntry:
    return RequestEntry(1.0, method, path, 200, 1.0)


def test_counts_are_exact_when_entries_are_forgotten() -> None:
    journal = Journal()
    journal.add_request(entry("GET", "/sync/v1/Services"))
    mark = journal.mark()
    for _ in range(REQUESTS_KEPT):
        journal.add_request(entry("GET", "/sync/v1/Services"))
        journal.add_request(entry("POST", "/flex-api/v1/Configuration"))
    count = journal.since(mark)
    assert (count.total, count.by) == (2 * REQUESTS_KEPT, {"flex-api": {"POST": REQUESTS_KEPT}, "sync": {"GET": REQUESTS_KEPT}})
    assert journal.since().of("sync") == REQUESTS_KEPT + 1
    assert len(journal.requests()) == REQUESTS_KEPT


def test_marks_are_bounded() -> None:
    journal = Journal()
    marks = [journal.mark() for _ in range(MARKS_KEPT + 1)]
    assert journal.since(marks[1]).total == 0
    with pytest.raises(ValueError, match="no mark"):
        journal.since(marks[0])
