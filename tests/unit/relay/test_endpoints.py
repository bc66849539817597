"""What /status and /metrics say of the model: the agent's track, and names that their vendor ends."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.status import PeerReason
from voiceassist_relay.call.drain import Drain
from voiceassist_relay.call.registry import Registry
from voiceassist_relay.call.unreached_relays import UnreachedRelays
from voiceassist_relay.health.endpoints import PrivateEndpoints
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.peer_health import PeerHealth
from voiceassist_relay.public_address import PublicAddress

if TYPE_CHECKING:
    from voiceassist_relay.config.watch import ConfigWatch


class Rig:
    """The endpoints of a relay without calls."""

    def __init__(self, *prompts: dict[str, Any], **model: Any) -> None:
        self.metrics, self.agents, well = RelayMetrics(), PeerHealth(0), PeerHealth(0)
        given = {"host": "a", "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32}, "model": model}
        first = {"instructions": "Help.", "weight": 100 - 10 * len(prompts)}
        config = RelayConfig.parse(json.dumps({**given, "prompts": [first, *prompts]}))
        watch = SimpleNamespace(current=lambda: SimpleNamespace(config=config, secrets_version=""), error="")
        registry = Registry(NotImplemented, self.metrics, lambda: 1)
        self.endpoints = PrivateEndpoints(
            cast("ConfigWatch", watch),
            registry,
            Drain(registry, self.metrics, lambda: config.limits),
            self.metrics,
            well,
            well,
            UnreachedRelays(),
            PublicAddress(),
            agent_track=self.agents,
            model_trial=lambda: "PCMU: answers with a tool call",
        )

    def up(self, peer: str) -> float | None:
        self.endpoints.refresh()
        return self.metrics.registry.get_sample_value("voiceassist_relay_peer_up", {"peer": peer})


def test_endpoints_a_lost_agents_track_is_in_the_status_and_a_metric() -> None:
    rig = Rig()
    assert rig.endpoints.status().agent_track is None, "no call has told"
    assert rig.up("agent_track") is None
    rig.agents.failed(PeerReason.MISCONFIGURED, "The agent's words are not heard.", 1)
    told = rig.endpoints.status().agent_track
    assert told is not None and (told.ok, told.message) == (False, "The agent's words are not heard.")
    assert rig.up("agent_track") == 0
    rig.agents.worked(2)
    told = rig.endpoints.status().agent_track
    assert told is not None and told.ok
    assert rig.up("agent_track") == 1


def test_endpoints_the_status_names_models_that_end() -> None:
    assert Rig(name="gpt-realtime-2.1-mini").endpoints.status().retiring == []
    (told,) = Rig(name="openai/gpt-realtime-mini").endpoints.status().retiring
    assert told.startswith("openai/gpt-realtime-mini ") and "2027-01-20" in told
    own = {"instructions": "Other.", "weight": 10, "model": {"name": "gpt-realtime"}}
    (told,) = Rig(own).endpoints.status().retiring
    assert told.startswith("gpt-realtime "), "a canary's own model too"


def test_endpoints_the_status_says_what_is_known_of_the_model() -> None:
    status = Rig(name="assist", provider="Compatible", url="ws://h/v1").endpoints.status()
    assert status.model_family == "Other (guessed), PCMU not chosen"
    assert status.model_trial == "PCMU: answers with a tool call"
    longest = Rig(name="gpt-realtime-2", provider="Compatible", url="ws://h/v1").endpoints.status()
    assert longest.model_family == "GPTRealtime2 (guessed), PCMU not chosen"
    assert Rig(family="GPTRealtime1").endpoints.status().model_family == "GPTRealtime1"
