"""A registry with bridges whose model, publisher and connection are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from voiceassist_crds.config import Prompt, RelayConfig
from voiceassist_crds.messages import AssistState, CallDocument, CallState, StatusReason
from voiceassist_crds.names import CallSid, StreamSid
from voiceassist_relay.call.bridge import CallBridge
from voiceassist_relay.call.registry import Registry
from voiceassist_relay.handed_over import HandedModel, HandedTrack
from voiceassist_relay.interfaces import EarlierSuggestion, ModelListener, StreamClaims, StreamStart
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.peer_health import PeerHealth


def start(call: int = 0, generation: int = 1, paused: bool = False, moved: bool = False) -> StreamStart:
    sid = CallSid(f"CA{call:032x}")
    claims = StreamClaims(sid, "AC" + "0" * 32, generation, 2_000_000_000, paused, moved)
    return StreamStart(sid, StreamSid("MZ" + "0" * 32), ("inbound", "outbound"), claims)


def config(apply_to: str = "NewCalls", text: str = "Help.", max_calls: int = 3, model: str = "m") -> RelayConfig:
    return RelayConfig.model_validate(
        {
            "host": "h",
            "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
            "prompts": [{"instructions": text}],
            "model": {"name": model, "transcription": None},
            "rollout": {"applyTo": apply_to},
            "limits": {"maxCalls": max_calls},
        }
    ).with_revisions()


def document(**changes: object) -> CallDocument:
    fields = {
        "state": CallState.LIVE,
        "generation": 1,
        "stream_name": "a",
        "sync_stream": "S",
        "deadline": 0,
        "worker": "W",
        "identity": "w",
    }
    return CallDocument.model_validate(fields | changes)


class Connection:
    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []

    def close(self, code: int, reason: str) -> None:
        if not self.closed:
            self.closed.append((code, reason))

    def position(self, inbound: bool) -> int:
        return -1

    heard_at = 0.0


class ScriptedModel:
    def __init__(self, listener: ModelListener) -> None:
        self.listener = listener
        self.frames: list[bytes] = []
        self.log: list[Any] = []
        self.over = asyncio.Event()
        self.failure: Exception | None = None
        self.on_finish: Callable[[], None] = lambda: None
        self.metrics: RelayMetrics
        self.running = self.answers = False

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        self.frames.append(payload)

    async def run(self) -> None:
        self.running = True
        await self.over.wait()
        if self.failure:
            raise self.failure

    def pause(self) -> None:
        self.log.append("pause")

    def resume(self) -> None:
        self.log.append("resume")

    def use(self, config: RelayConfig, prompt: Prompt) -> None:
        self.log.append(("use", prompt.instructions))

    def wait_for_call(self) -> None:
        self.log.append("wait")

    async def standing(self, seconds: float) -> bool:
        return True

    def recall(self, earlier: Sequence[EarlierSuggestion]) -> None:
        self.log.append(("recall", [one.answer for one in earlier]))

    def begin_with(self, handed: HandedModel | None, shift: float) -> None:
        self.log.append(("begin", handed))

    @property
    def quiet(self) -> bool:
        return False

    @property
    def answering(self) -> bool:
        return self.answers

    def hold(self) -> None:
        self.log.append("hold")

    def let_go(self) -> None:
        self.log.append("let go")

    def give(self) -> HandedModel:
        self.log.append("give")
        return HandedModel(HandedTrack())

    async def finish(self, grace: float) -> None:
        self.log.append(("finish", grace))
        self.on_finish()
        self.over.set()


class Publisher:
    def __init__(self, superseded: Callable[[str], None], opened: Callable[[CallDocument], None]) -> None:
        self.superseded, self.opened = superseded, opened
        self.document = document()
        self.read = asyncio.Event()
        self.log: list[Any] = []
        self.over = asyncio.Event()
        self.hang = False
        self.earlier_told: list[EarlierSuggestion] | None = []
        self.seq = 0

    async def earlier(self, seconds: float) -> list[EarlierSuggestion] | None:
        if self.earlier_told is None:
            await asyncio.sleep(seconds)
        return self.earlier_told

    async def stored(self, seconds: float) -> bool:
        return True

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **_: self.log.append((name, *arguments))

    async def run(self) -> None:
        await self.read.wait()
        self.opened(self.document)
        await self.over.wait()

    async def finish(self, grace: float, *, lost: bool | None) -> None:
        if self.hang:
            await asyncio.Event().wait()
        self.log.append(("finish", lost))
        self.over.set()

    def states(self) -> list[tuple[AssistState, StatusReason]]:
        return [(entry[1], entry[2]) for entry in self.log if entry[0] == "status"]


class RegistryRig:
    """A registry whose calls have scripted parts."""

    def __init__(self, cfg: RelayConfig | None = None) -> None:
        self.config = cfg or config()
        self.metrics = RelayMetrics()
        self.health, self.agent_health = PeerHealth(0), PeerHealth(0)
        self.slow_sync = False
        """Whether a call's Document is not read until the publisher's `read` is set."""
        self.may_start_again = True
        self.cut: list[tuple[str, int]] = []
        """Calls and generations for which another stream was asked for."""
        self.models: list[ScriptedModel] = []
        self.publishers: list[Publisher] = []
        self.registry = Registry(self.begin, self.metrics, lambda: self.config.limits.max_calls)

    def start_again(self, call_sid: str, generation: int) -> bool:
        self.cut.append((call_sid, generation))
        return self.may_start_again

    def begin(self, begun: StreamStart, connection: Any) -> CallBridge:
        def model(_: StreamStart, __: RelayConfig, ___: Prompt, listener: ModelListener, metrics: RelayMetrics) -> ScriptedModel:
            self.models.append(ScriptedModel(listener))
            self.models[-1].metrics = metrics
            return self.models[-1]

        def publisher(
            _: StreamStart, __: Prompt, ___: RelayMetrics, superseded: Callable[[str], None], opened: Any, _take: Any
        ) -> Publisher:
            self.publishers.append(Publisher(superseded, opened))
            if not self.slow_sync:
                self.publishers[-1].read.set()
            return self.publishers[-1]

        return CallBridge(
            begun,
            connection,
            self.config,
            make_model_client=model,
            start_again=self.start_again,
            make_publisher=publisher,  # type: ignore[arg-type]  # its verbs are made by __getattr__
            metrics=self.metrics,
            model_health=self.health,
            agent_health=self.agent_health,
            loop_time=asyncio.get_running_loop().time,
            epoch=lambda: 1.0,
        )

    def call(self, *arguments: Any, **more: Any) -> tuple[Any, Connection, ScriptedModel, Publisher]:
        assert self.registry.reserve()
        connection = Connection()
        sink = self.registry.open(start(*arguments, **more), connection)
        return sink, connection, self.models[-1], self.publishers[-1]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value("voiceassist_relay_" + name, labels)
