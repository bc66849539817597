"""A stream whose creation Twilio holds back while others have gone on with the call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from unit.sync.documents import CALL, document
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.call.dependencies import Timing
from voiceassist_relay.call.start import SUPERSEDED, StreamStarter
from voiceassist_relay.errors import RequestRefused, TwilioBusy, TwilioUnclear
from voiceassist_relay.sync.call_documents import Seen
from voiceassist_relay.twilio.call_streams import TwilioStreams

pytestmark = pytest.mark.looptime


class Rig:
    """Twilio answers a creation `busy` times with 429; `found` is the Document as it is then."""

    def __init__(self, found: CallDocument, busy: int, fault: Exception | None = None) -> None:
        self.found, self.busy, self.fault, self.asked = found, busy, fault, 0
        timing = Timing()
        secrets = SimpleNamespace(auth_tokens=("token",))
        config = SimpleNamespace(
            twilio=SimpleNamespace(account_sid="AC"),
            audio=SimpleNamespace(tracks="Both"),
            stream_url=lambda sid: f"wss://h/{sid}",
            public_url=lambda path: f"https://h{path}",
        )
        current: Any = lambda: SimpleNamespace(config=config, secrets=secrets)  # noqa: E731
        deps: Any = SimpleNamespace(timing=timing, now=lambda: 1e9, current=current)
        streams = TwilioStreams(self, current, lambda: 1e9, timing.ask, stop_seconds=1.0)  # type: ignore[arg-type]
        self.starter = StreamStarter(deps, self, streams, SimpleNamespace(), SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]

    async def request(self, *_: str, **__: Any) -> Any:
        self.asked += 1
        if self.asked <= self.busy:
            raise TwilioBusy("media_create", 429, 1.0)
        return SimpleNamespace(body={"sid": "MZ1"})

    async def read(self, _: str) -> Seen:
        if self.fault is not None:
            raise self.fault
        return Seen(self.found, "ET", "0")

    async def settle(self, _: str, decide: Any, wanted: Any) -> Any:
        return self.found, decide(self.found)


async def test_start_is_given_up_where_another_stream_is_wanted_by_now() -> None:
    rig = Rig(document(CallState.STARTING, generation=3), busy=2)
    with pytest.raises(RequestRefused) as refused:
        await rig.starter.create_stream(CALL, document(CallState.STARTING, generation=2), Timing().follow)
    assert (refused.value.code, rig.asked) == (SUPERSEDED, 1)


@pytest.mark.parametrize("fault", [None, TwilioUnclear("sync", 503, None)], ids=["it is wanted", "Sync does not say"])
async def test_start_goes_on_asking_while_its_stream_is_wanted(fault: Exception | None) -> None:
    wanted = document(CallState.STARTING, generation=2)
    rig = Rig(wanted, busy=2, fault=fault)
    assert await rig.starter.create_stream(CALL, wanted, Timing().follow) == wanted
    assert rig.asked == 3
