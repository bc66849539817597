"""Lines of the instructions that the stand-in obeys."""

from __future__ import annotations

import pytest

from voiceassist_sim.openai.manner import Form, Manner


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ("You help.", Manner()),
        ("You help.\n  Prefix: Dear agent,  \nPrefix: Hey", Manner(prefix="Dear agent,")),
        ("Wait: 2500\nRepeat: 30\nForm: prose", Manner(wait_ms=2500, repeat=30, form=Form.PROSE)),
        ("Form: text", Manner(form=Form.TEXT)),
        ("Wait: long\nRepeat: -3\nForm: verse\nMore Wait: 7", Manner()),
        ("Wait: 99999999\nRepeat: 99999999", Manner(wait_ms=60_000, repeat=1000)),
        ("Repeat: 0", Manner()),
    ],
)
def test_manner_is_what_lines_of_the_instructions_ask_for(instructions: str, expected: Manner) -> None:
    assert Manner.of(instructions) == expected
