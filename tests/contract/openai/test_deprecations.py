"""The list of names that end, against what the vendor's own client library says of them."""

from __future__ import annotations

import inspect
import re
from datetime import date

from openai.types.realtime import audio_transcription, realtime_session_create_request

from voiceassist_relay.realtime.providers.deprecations import SHUTDOWN

_SAID = re.compile(r"Deprecated values:\s+- (?P<names>[^:]+):\s+Announced shutdown date:\s+(?P<day>\d{4}-\d{2}-\d{2})")


def test_every_name_that_the_vendor_ends_is_in_the_list_with_its_date() -> None:
    told = {
        name: date.fromisoformat(said["day"])
        for module in (audio_transcription, realtime_session_create_request)
        for said in _SAID.finditer(inspect.getsource(module))
        for name in re.findall(r'"([^"]+)"', said["names"])
    }
    assert len(told) >= 10
    assert told == SHUTDOWN
