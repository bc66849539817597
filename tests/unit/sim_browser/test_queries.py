"""Flex's query language: what its UI asks with, and what is refused."""

from __future__ import annotations

import pytest

from voiceassist_sim.twilio.browser.queries import compile_query
from voiceassist_sim.twilio.errors import TwilioError

ROW = {
    "worker_sid": "WK1",
    "status": "accepted",
    "task_age": 7,
    "available": True,
    "attributes": {"full_name": "Ann O'Neil", "skills": ["cards"]},
    "team_sid": None,
}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", True),
        ("  ", True),
        ('data.worker_sid == "WK1"', True),
        ('worker_sid == "WK1"', True),
        ('data.worker_sid == "WK2"', False),
        ('data.worker_sid != "WK2"', True),
        ("data.worker_sid == 'WK1'", True),
        ('data.worker_sid == "WK1" && (data.status not_in ["completed", "canceled"])', True),
        ('data.worker_sid == "WK1" && (data.status not_in ["accepted"])', False),
        ('data.status in ["accepted"]', True),
        ('data.status not in ["accepted"]', False),
        ('data.worker_sid == "WK2" or data.status == "accepted"', True),
        ('data.worker_sid == "WK2" || data.status == "accepted" and data.task_age > 9', False),
        ('(data.worker_sid == "WK2" OR data.status == "accepted") AND data.task_age >= 7', True),
        ('not data.status == "accepted"', False),
        ('data.attributes.full_name contains "o\'neil"', True),
        ('data.attributes.skills HAS "cards"', True),
        ('data.attributes.skills HAS "loans"', False),
        ("data.available == true", True),
        ("data.task_age < 7.5", True),
        ("data.task_age <= 6", False),
        ('data.nothing.here == "x"', False),
        ('data.nothing.here != "x"', True),
        ("data.worker_sid > 3", False),
        ('data.worker_sid == "a \\" b"', False),
    ],
)
def test_what_is_meant(text: str, meant: bool) -> None:
    assert compile_query(text)(ROW) is meant


@pytest.mark.parametrize(
    "text",
    [
        "data",
        "data.status ==",
        'data.status "accepted"',
        'data.status is "accepted"',
        '(data.status == "a"',
        'data.status == "a")',
        'data.status in ["a"',
        'data.status == "a" data.status == "b"',
        "data.status == accepted",
        'data.status == "a" and',
        'data.status == "a',
        "(" * 30_000,
        "(" * 15_000,
    ],
)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(TwilioError) as caught:
        compile_query(text)
    assert (caught.value.status, caught.value.code) == (400, 54507)
