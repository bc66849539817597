"""Retry-After in seconds and as a date; whatever else it says counts as nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.retry_after import retry_after


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        (" 3 ", 3.0),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:10 GMT", None),
    ],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    assert retry_after(value, now=60.0) == expected


@given(st.text(max_size=40))
def test_retry_after_nothing_raises_and_nobody_waits_for_a_negative_time(value: str) -> None:
    found = retry_after(value, now=1.8e9)
    assert found is None or 0 <= found < float("inf")
