"""Which refusals of Twilio's mean what."""

from __future__ import annotations

import pytest

from voiceassist_relay.errors import TwilioRefused
from voiceassist_relay.twilio.error_answers import leaves_no_room


@pytest.mark.parametrize(
    ("status", "code", "wanted"),
    [
        (400, 20001, True),
        (409, 20409, True),
        (400, 21220, False),
        (404, 20404, False),
        (401, 20003, False),
        (400, 20003, False),
        (403, 20005, False),
    ],
)
def test_error_answers_a_second_stream_that_has_no_room_is_told_from_other_refusals(status: int, code: int, wanted: bool) -> None:
    assert leaves_no_room(TwilioRefused("media_create", status, code, "")) is wanted
