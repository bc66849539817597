"""A call through a gateway: a model client that dials it, in front of the model's stand-in."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from integration.model_client_rig import SILENCE, Call, calling, relay_config, speech
from servers.gateways import Gateway
from support.eventually import eventually
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.messages import Track
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.health.model_check import check_model
from voiceassist_relay.health.peer_check import Unwell
from voiceassist_relay.realtime.core.limits import SessionLimits
from voiceassist_sim.openai import RealtimeServer

PATIENT = SessionLimits(connect=30, update=30, created=30, first_output=40, next_output=30, backoff_base=0.2, backoff_cap=1.0, tell_after=5)
"""For gateways on a busy machine."""


@dataclass
class Through:
    """A server, the model's stand-in behind it if it is a gateway, and what a relay is configured with to get there."""

    model: RealtimeServer | None
    gateway: Gateway
    key: str
    settings: dict[str, Any]

    def config(self, **changes: Any) -> RelayConfig:
        """`changes` of the model; those of `transcription` are merged."""
        transcription = {**self.settings.get("transcription", {}), **changes.pop("transcription", {})}
        model = {"url": self.gateway.url, **self.settings, **changes, "transcription": transcription}
        return relay_config(self.model, model=model)

    @contextlib.asynccontextmanager
    async def call(self, *, key: str | None = None, **changes: Any) -> AsyncIterator[Call]:
        """A call for as long as the block lasts."""
        async with calling(self.model, config=self.config(**changes), key=self.key if key is None else key, limits=PATIENT) as call:
            yield call

    def snapshot(self, *, key: str | None = None, **changes: Any) -> Snapshot:
        """What a relay reads from its files."""
        return Snapshot(self.config(**changes), Secrets(model_key=self.key if key is None else key), "")

    async def unwell(self, *, key: str | None = None, **changes: Any) -> Unwell | None:
        """What the relay's own check finds; None: all is well."""
        try:
            await check_model(self.snapshot(key=key, **changes))
        except Unwell as found:
            return found
        return None


async def converse(call: Call, turns: int = 2) -> None:
    """The customer speaks, and the agent: each turn of the one has its suggestion, what the other says is written down."""
    await call.live()
    for count in range(turns):
        call.ask(speech(1.0))
        call.say(speech(1.0), inbound=False)
        call.say(SILENCE * 40, inbound=False)
        await call.heard.until(lambda count=count: len(call.heard.turns) > count, "a turn's outcome", 90)  # type: ignore[misc]
    await eventually(lambda: call.heard.final_words(Track.AGENT), "the agent's words", seconds=90)
    assert call.heard.outcomes == ["suggested"] * turns
    assert len(call.heard.suggestions) == turns
