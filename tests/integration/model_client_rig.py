"""A model client on real sockets against the OpenAI stand-in, with a listener that records what the bridge would be told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.load import slowdown
from voiceassist_crds.config import Prompt, RelayConfig
from voiceassist_crds.messages import AssistState, StatusReason, Track, WithdrawnReason
from voiceassist_relay.interfaces import FinishedSuggestion, OutputForm, TurnTiming
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.realtime.core.limits import SessionLimits
from voiceassist_relay.realtime.model_client import ModelClient
from voiceassist_sim.openai import RealtimeServer

PATIENCE = 60.0
FRAME = 160
SILENCE = b"\xff" * FRAME
QUICK = SessionLimits(
    connect=2,
    update=1,
    created=1,
    first_output=2,
    next_output=1,
    ping_every=0.3,
    pong=0.7,
    backoff_base=0.02,
    backoff_cap=0.1,
    tell_after=0.3,
    replay_idle=0.3,
    housekeeping=0.1,
)


_OF_PEERS = ("connect", "update", "created", "first_output", "next_output", "pong", "tell_after")


def patient(limits: SessionLimits = QUICK) -> SessionLimits:
    """With as much more time for the peer, and for the agent's patience, as the machine has other work."""
    return replace(limits, **{name: getattr(limits, name) * slowdown() for name in _OF_PEERS})


def relay_config(server: RealtimeServer | None, **changes: Any) -> RelayConfig:
    """A configuration that points at the stand-in; `model` and `audio` are merged, the rest replaced."""
    document: dict[str, Any] = {
        "host": "assist.example.com",
        "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
        "prompts": [{"instructions": "Help the agent."}],
        "model": {"provider": "Compatible", "url": server and server.ws_url, "name": "gpt-realtime-2.1-mini"} | changes.pop("model", {}),
    } | changes
    return RelayConfig.model_validate(document).with_revisions()


def speech(seconds: float, level: float = 0.5) -> bytes:
    """A tone that no sample call has, as mu-law."""
    return bytes(mu_law(int(level * 30000 * math.sin(2 * math.pi * 440 * n / 8000))) for n in range(int(seconds * 8000)))


def mu_law(sample: int) -> int:
    """One 16-bit sample as mu-law."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 0x84
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


def frames(audio: bytes) -> list[bytes]:
    """Whole frames of 20 ms, the last one filled up with silence."""
    return [audio[at : at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(audio), FRAME)]


@dataclass
class Recorder:
    """A listener that keeps everything and can be waited for."""

    drafts: list[tuple[str, str, str]] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    """Items of drafts that were marked as early."""
    suggestions: list[FinishedSuggestion] = field(default_factory=list)
    withdrawals: list[tuple[str, WithdrawnReason]] = field(default_factory=list)
    turns: list[tuple[str, str, TurnTiming]] = field(default_factory=list)
    words: list[tuple[Track, str, str, bool]] = field(default_factory=list)
    states: list[tuple[AssistState, StatusReason, str]] = field(default_factory=list)
    tracks: list[str | None] = field(default_factory=list)
    heard_right: list[bool] = field(default_factory=list)
    forms: list[tuple[str, OutputForm]] = field(default_factory=list)
    spent: list[tuple[str, int]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def draft(self, item: str, answer: str, revision: str, *, early: bool = False) -> None:
        if early:
            self.early.append(item)
        self._add(self.drafts, (item, answer, revision))

    def finished(self, suggestion: FinishedSuggestion) -> None:
        self._add(self.suggestions, suggestion)

    def withdrawn(self, item: str, revision: str, reason: WithdrawnReason) -> None:
        self._add(self.withdrawals, (item, reason))

    def turn(self, outcome: str, revision: str, timing: TurnTiming) -> None:
        self._add(self.turns, (outcome, revision, timing))

    def transcript(self, track: Track, item: str, text: str, final: bool) -> None:
        self._add(self.words, (track, item, text, final))

    def state(self, state: AssistState, reason: StatusReason, message: str) -> None:
        self._add(self.states, (state, reason, message))

    def output(self, revision: str, form: OutputForm) -> None:
        self._add(self.forms, (revision, form))

    def tokens(self, revision: str, count: int) -> None:
        self._add(self.spent, (revision, count))

    def audio_heard(self) -> None:
        self._add(self.heard_right, True)

    def agent_track(self, lost: str | None) -> None:
        self._add(self.tracks, lost)

    def _add(self, where: list[Any], what: Any) -> None:
        where.append(what)
        self._news.set()

    @property
    def outcomes(self) -> list[str]:
        return [outcome for outcome, _, _ in self.turns]

    def final_words(self, track: Track) -> list[str]:
        return [text for who, _, text, final in self.words if who is track and final]

    async def until(self, condition: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> None:
        """Waits for news until the condition holds."""
        try:
            async with asyncio.timeout(patience):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"did not happen: {what}; {self}") from None


@dataclass
class Call:
    """One running model client."""

    client: ModelClient
    heard: Recorder
    metrics: RelayMetrics
    task: asyncio.Task[None]
    said: dict[bool, bytes] = field(default_factory=lambda: {True: b"", False: b""})

    def say(self, audio: bytes, *, inbound: bool = True) -> None:
        """Frames as fast as they can be handed over."""
        now = asyncio.get_running_loop().time()
        for frame in frames(audio):
            self.said[inbound] += frame
            self.client.frame(inbound, base64.b64encode(frame), now)

    async def talk(self, audio: bytes, *, inbound: bool = True, speed: float = 1.0) -> None:
        """Frames at their pace, or faster."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for count, frame in enumerate(frames(audio)):
            self.said[inbound] += frame
            self.client.frame(inbound, base64.b64encode(frame), loop.time())
            ahead = begun + (count + 1) * 0.02 / speed - loop.time()
            if ahead > 0.005:
                await asyncio.sleep(ahead)

    def ask(self, audio: bytes, pause: float = 0.8) -> None:
        """Speech, and the silence that ends the turn."""
        self.say(audio)
        self.say(SILENCE * int(pause * 50))

    async def live(self) -> None:
        await self.heard.until(lambda: self.heard.states and self.heard.states[-1][0] is AssistState.LIVE, "live")

    def count(self, track: str, outcome: str) -> int:
        return int(self.metrics.registry.get_sample_value("voiceassist_relay_frames_total", {"track": track, "outcome": outcome}) or 0)

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"voiceassist_relay_{name}", labels) or 0.0


@asynccontextmanager
async def calling(
    server: RealtimeServer | None,
    *,
    config: RelayConfig | None = None,
    key: str | Callable[[], str] = "sk-test",
    limits: SessionLimits | None = None,
    paused: bool = False,
    grace: float = 0.0,
    chance: Callable[[], float] = lambda: 0.5,
    **options: Any,
) -> AsyncIterator[Call]:
    """A call for as long as the block lasts; with limits of its own, or quick ones of a machine with other work."""
    config = config or relay_config(server)
    heard, metrics = Recorder(), RelayMetrics()
    metrics.use_models(config.model.names)
    client = ModelClient(
        config=config,
        prompt=config.prompts[0],
        key=key if callable(key) else lambda: key,
        listener=heard,
        metrics=metrics,
        call_hash="test",
        paused=paused,
        limits=limits or patient(),
        chance=chance,
        **options,
    )
    call = Call(client, heard, metrics, asyncio.create_task(client.run()))
    try:
        yield call
    finally:
        async with asyncio.timeout(PATIENCE):
            await client.finish(grace)
            await call.task


def prompt(config: RelayConfig, instructions: str) -> Prompt:
    """Another prompt for the same configuration."""
    return config.model_copy(update={"prompts": [Prompt(instructions=instructions)]}).with_revisions().prompts[0]


def ledgers(server: RealtimeServer, kind: str = "realtime") -> list[Any]:
    """The ledgers of all sessions of a kind, oldest first."""
    return [session.protocol.ledger for session in server.sessions if session.protocol.kind == kind]


def digest(audio: bytes) -> str:
    """As the stand-in's ledger has it."""
    return hashlib.sha256(audio).hexdigest()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths
