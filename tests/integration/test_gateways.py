"""What gateways and self-hosted servers do to a call, on the wire as it was seen; a scripted server stands for each."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from integration.light_model import LightModel, Manner
from integration.model_client_rig import QUICK, SILENCE, Call, calling, relay_config, speech
from support.eventually import eventually
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_relay.realtime.core.limits import DEFAULT_LIMITS

LOUD = speech(0.02)


@dataclass
class Session:
    """One session as its server sees it."""

    socket: ServerConnection
    path: str
    update: dict[str, Any] = field(default_factory=dict)
    heard_ms: float = 0.0
    """Audio that came, in ms of mu-law."""
    spoken: bool = False
    """Whether a sound came, and not silence alone."""

    @property
    def transcribes(self) -> bool:
        return "intent=transcription" in self.path

    def header(self, name: str) -> str | None:
        assert self.socket.request is not None
        return self.socket.request.headers.get(name)

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, "event_id": "event", **fields}))

    async def refuse(self, event: dict[str, Any], **error: Any) -> None:
        await self.say("error", error={"event_id": event.get("event_id"), **error})


Answer = Callable[[Session, dict[str, Any]], Any]


@asynccontextmanager
async def gateway(answer: Answer) -> AsyncIterator[tuple[str, list[Session]]]:
    """A server whose every client event goes to `answer`, but for what is the same everywhere; its address, and its sessions."""
    sessions: list[Session] = []

    async def session(socket: ServerConnection) -> None:
        assert socket.request is not None
        one = Session(socket, socket.request.path)
        sessions.append(one)
        await one.say("session.created", session={"type": "realtime"})
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "session.update":
                one.update = event["session"]
            elif event["type"] == "input_audio_buffer.append":
                audio = base64.b64decode(event["audio"])
                one.heard_ms += len(audio) / 8
                one.spoken = one.spoken or audio == LOUD
            await answer(one, event)

    async with serve(session, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", sessions


def config_of(url: str, *, tracks: str = "Customer", **model: Any) -> RelayConfig:
    return relay_config(None, model={"url": url, "audioFormat": "PCMU"} | model, audio={"tracks": tracks})


# the audio's format


class Count:
    """A server's clock of the audio: it runs at the share that is in force."""

    def __init__(self, share: float) -> None:
        self.share, self.sent, self.heard = share, 0.0, 0.0

    def at(self, sent: float) -> float:
        self.heard += (sent - self.sent) * self.share
        self.sent = sent
        return self.heard


async def test_gateways_a_server_that_counts_a_quarter_is_told_of_until_it_counts_rightly() -> None:
    """Mu-law that is read as PCM of 16 kHz, as speech-to-speech 1.1.0 does: four seconds of speech, four of none."""
    count, signs = Count(0.25), 0

    async def answer(session: Session, event: dict[str, Any]) -> None:
        nonlocal signs
        if event["type"] == "session.update":
            await session.say("session.updated", session={})
        elif event["type"] == "input_audio_buffer.append" and session.heard_ms % 4000 == 0:
            kind, which = ("started", "start") if signs % 2 == 0 else ("stopped", "end")
            item = f"item_{signs // 2}"
            await session.say(f"input_audio_buffer.speech_{kind}", item_id=item, **{f"audio_{which}_ms": count.at(session.heard_ms)})
            signs += 1
            await session.say("conversation.item.input_audio_transcription.completed", item_id=f"mark_{signs}", transcript=f"mark {signs}")

    async def hear(call: Call, times: int, done: Callable[[], bool]) -> None:
        """Four seconds at a time: what the server says of them is read before there are more."""
        for _ in range(times):
            if not done():
                call.say(SILENCE * 200)
                marks = len(call.heard.final_words(Track.CUSTOMER))
                await call.heard.until(lambda marks=marks: len(call.heard.final_words(Track.CUSTOMER)) > marks, "the server's signs")  # type: ignore[misc]
        assert done(), call.heard.states

    async with gateway(answer) as (url, _), calling(None, config=config_of(url)) as call:
        await call.live()
        await hear(call, 6, lambda: call.heard.states[-1][1] is StatusReason.AUDIO_FORMAT)
        state, _, message = call.heard.states[-1]
        assert state is AssistState.LIVE, "suggestions may come all the same"
        assert "counts 2" in message and "model.audioFormat" in message
        assert call.sample("realtime_errors_total", code="audio_format") == 1
        assert not call.heard.heard_right
        count.share = 1.0
        await hear(call, 8, lambda: bool(call.heard.heard_right))
        assert call.heard.states[-1][:2] == (AssistState.LIVE, StatusReason.STARTED), "the alarm is over"


@pytest.mark.parametrize(("form", "size"), [("PCMU", 20), ("PCM16k", 80), ("PCM24k", 120)])
async def test_gateways_both_sessions_get_audio_in_the_format_that_is_set_and_the_secret_headers(form: str, size: float) -> None:
    """A second of audio: Portkey wants a header of its own with each session, which may be a secret."""

    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            await session.say("session.updated", session={})

    secret, name = (("X-Portkey-Config", "secret"),), "audio/pcmu" if form == "PCMU" else "audio/pcm"
    async with gateway(answer) as (url, sessions):
        config = config_of(url, tracks="Both", audioFormat=form)
        async with calling(None, config=config, headers=lambda: secret) as call:
            await call.heard.until(lambda: call.heard.tracks == [None] and call.heard.states, "both sessions")
            call.say(SILENCE * 50)
            call.say(SILENCE * 50, inbound=False)
            await eventually(lambda: all(session.heard_ms > 49 * size for session in sessions), "the audio", seconds=60)
            assert all(50 * size - 1 <= session.heard_ms <= 50 * size for session in sessions)
            assert [session.header("X-Portkey-Config") for session in sessions] == ["secret", "secret"]
            assert [session.update["audio"]["input"]["format"]["type"] for session in sessions] == [name, name]


# settings while a call goes on


async def test_gateways_what_is_taken_back_during_a_call_is_said_and_what_cannot_be_changed_is_not() -> None:
    """The strength of the noise reduction keeps its value where a later update leaves it out; tracing cannot be set twice."""
    updates: dict[bool, list[dict[str, Any]]] = {True: [], False: []}

    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            updates[session.transcribes].append(event["session"])
            await session.say("session.updated", session={})

    async with gateway(answer) as (url, _):
        before = config_of(url, tracks="Both", noiseReduction="FarField", noiseReductionStrength=0.4, tracing="Auto")
        after = config_of(url, tracks="Both", noiseReduction="FarField", tracing="Auto")
        async with calling(None, config=before) as call:
            await call.heard.until(lambda: call.heard.tracks == [None] and call.heard.states, "both sessions")
            call.client.use(after, after.prompts[0])
            await eventually(lambda: all(len(told) == 2 for told in updates.values()), "both are told", seconds=60)
    for told in updates.values():
        strengths = [update["audio"]["input"]["noise_reduction"]["strength"] for update in told]
        assert strengths == [0.4, 1.0]
    assert ["tracing" in update for update in updates[False]] == [True, False]


@pytest.mark.loop("virtual")
async def test_gateways_a_session_is_replaced_before_a_life_ends_that_the_server_does_not_tell() -> None:
    async with LightModel(clock=asyncio.get_running_loop().time) as server:
        config = relay_config(server, model={"sessionSeconds": 60}, audio={"tracks": "Customer"})
        async with calling(server, config=config, limits=DEFAULT_LIMITS) as call:
            await call.live()
            await asyncio.sleep(40)
            assert len(server.opened) == 1
            await asyncio.sleep(20)
            assert len(server.opened) == 2
            assert [state for state, _, _ in call.heard.states] == [AssistState.LIVE]


# refusals behind a 101


async def test_gateways_an_error_before_the_session_stands_is_told_in_the_gateways_words() -> None:
    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            await session.say("error", error={"type": "invalid_request_error", "code": 503.5, "message": "No deployment of x left"})
            await session.socket.close(1011)

    async with gateway(answer) as (url, _), calling(None, config=config_of(url)) as call:
        await call.heard.until(lambda: call.heard.states, "it is told")
        state, reason, message = call.heard.states[-1]
        assert (state, reason) == (AssistState.RECONNECTING, StatusReason.MODEL_MISCONFIGURED)
        assert "refuses the session: “No deployment of x left”" in message


async def test_gateways_an_error_behind_which_nothing_comes_is_told_in_the_gateways_words() -> None:
    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] == "session.update" and session.transcribes:
            await session.say("error", error="No deployment of x left")
        elif event["type"] == "session.update":
            await session.say("session.updated", session={})

    limits = replace(QUICK, update=0.5)
    async with gateway(answer) as (url, _), calling(None, config=config_of(url, tracks="Both"), limits=limits) as call:
        await call.heard.until(lambda: any(call.heard.tracks), "it is told")
        (told,) = [one for one in call.heard.tracks if one is not None][:1]
        assert "refuses the session: “No deployment of x left”" in told


# a policy


async def test_gateways_a_turn_that_a_guardrail_blocks_is_told_and_its_words_are_no_suggestion() -> None:
    """LiteLLM 1.110.2: an error, the item deleted, a user's item of its own, and a response to that."""
    blocked = asyncio.Event()

    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            await session.say("session.updated", session={})
        elif event["type"] == "input_audio_buffer.append" and session.heard_ms == 2000:
            await session.say("input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=100)
            await session.say("input_audio_buffer.speech_stopped", item_id="item_1", audio_end_ms=1500)
            await session.say("input_audio_buffer.committed", item_id="item_1")
        elif event["type"] == "response.create":
            await session.say("error", error={"type": "guardrail_violation", "code": "content_policy_violation", "message": "blocked"})
            await session.say("conversation.item.deleted", item_id="item_1")
            told = {"id": "item_2", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "I cannot discuss that."}]}
            await session.say("response.created", response={"id": "theirs"})
            await session.say("response.output_item.added", response_id="theirs", item=told)
            await session.say("response.output_item.done", response_id="theirs", item=told)
            await session.say("response.done", response={"id": "theirs", "status": "completed", "output": [told]})
            blocked.set()

    async with gateway(answer) as (url, _), calling(None, config=config_of(url)) as call:
        await call.live()
        call.say(SILENCE * 100)
        await asyncio.wait_for(blocked.wait(), 60)
        await call.heard.until(lambda: call.heard.turns, "the turn's outcome")
        await eventually(lambda: call.sample("realtime_errors_total", code="foreign_response") == 1, "theirs is seen", seconds=60)
        assert call.heard.outcomes == ["blocked"]
        assert call.heard.states[-1][:2] == (AssistState.LIVE, StatusReason.TURN_BLOCKED)
        assert call.sample("realtime_errors_total", code="blocked") == 1
        assert not call.heard.suggestions and not call.heard.drafts


# audio that makes a gateway close


@pytest.mark.parametrize("code", [1007, 1009, 1011])
async def test_gateways_audio_over_which_two_sessions_were_closed_is_heard_by_no_third(code: int) -> None:
    """Seen seven times in a row: what a session had not answered was told to the next one, which closed over it as well."""
    loud = LOUD

    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            await session.say("session.updated", session={})
        elif event["type"] == "input_audio_buffer.append" and session.spoken and loud:
            await session.say("input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=max(0, session.heard_ms - 100))
            await session.socket.close(code, "cannot decode this")
        elif event["type"] == "response.create":
            await session.say("response.created", response={"id": "resp_1", "metadata": event["response"]["metadata"]})

    async with gateway(answer) as (url, sessions), calling(None, config=config_of(url)) as call:
        await call.live()
        call.say(SILENCE * 50 + LOUD * 25)
        await eventually(lambda: call.sample("realtime_errors_total", code="audio_refused") == 1, "the audio is given up", seconds=60)
        await eventually(lambda: len(sessions) == 3, "a third session", seconds=60)
        call.say(SILENCE * 50)
        await eventually(lambda: sessions[2].heard_ms >= 1000, "what is said from now on is heard", seconds=60)
        assert [session.spoken for session in sessions] == [True, True, False]
        await asyncio.sleep(0.3)
        assert len(sessions) == 3, "and the third one stays"
        call.say(LOUD * 5)  # new audio has both its chances again
        await eventually(lambda: call.sample("realtime_errors_total", code="audio_refused") == 2, "given up, too", seconds=60)
        assert [session.spoken for session in sessions[2:4]] == [True, True]


# the agent's track


async def test_gateways_a_server_without_transcription_sessions_is_asked_for_one_that_never_answers() -> None:
    """As speech-to-speech 1.1.0 refuses them: it knows no such session.update."""

    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] != "session.update":
            return
        if event["session"]["type"] == "transcription":
            message = "Unknown or invalid event: session.update: transcription sessions are not supported"
            await session.refuse(event, type="unknown_or_invalid_event", message=message)
        else:
            await session.say("session.updated", session={})

    async with gateway(answer) as (url, sessions), calling(None, config=config_of(url, tracks="Both")) as call:
        await call.heard.until(lambda: call.heard.tracks == [None], "the agent's session")
        assert [session.update["type"] for session in sessions if session.transcribes] == ["transcription"]
        (agents,) = [one for one in sessions if one.update["type"] == "realtime" and "tools" not in one.update]
        assert agents.update["audio"]["input"]["turn_detection"]["create_response"] is False
        assert all(reason is not StatusReason.AGENT_TRACK_LOST for _, reason, _ in call.heard.states)


async def test_gateways_tokens_of_words_are_counted_for_the_model_that_a_gateway_puts_in_place_of_ours() -> None:
    """LiteLLM 1.110.2 forces `gpt-realtime-whisper` into a session whose address names no model."""
    forced = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}}

    async def answer(session: Session, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            await session.say("session.updated", session=forced if session.transcribes else {"type": "realtime"})
        elif event["type"] == "input_audio_buffer.append" and session.heard_ms == 1000:
            await session.say("input_audio_buffer.committed", item_id="item_1")
            usage = {"type": "tokens", "input_tokens": 7, "input_token_details": {"audio_tokens": 7}, "output_tokens": 3}
            kind = "conversation.item.input_audio_transcription.completed"
            await session.say(kind, item_id="item_1", transcript="Hello.", usage=usage)

    async with gateway(answer) as (url, _), calling(None, config=config_of(url, tracks="Both")) as call:
        await call.heard.until(lambda: call.heard.tracks == [None], "the agent's session")
        call.say(SILENCE * 50)
        call.say(SILENCE * 50, inbound=False)
        await call.heard.until(lambda: len([one for one in call.heard.words if one[3]]) == 2, "both tracks' words")

        def tokens(model: str) -> float:
            return call.sample("tokens_total", model=model, modality="audio", direction="input", cached="false")

        await eventually(lambda: tokens("gpt-transcribe") == tokens("gpt-realtime-whisper") == 7, "each is counted for its own")
        assert tokens("other") == 0
        call.metrics.use_models(["gpt-realtime-2.1-mini", "gpt-transcribe"])
        assert tokens("gpt-realtime-whisper") == 7, "what was counted stays while there is room"
        call.metrics.use_models(["a", "b", "c", "d"])
        assert tokens("gpt-realtime-whisper") == 0


@pytest.mark.loop("virtual")
@pytest.mark.parametrize(
    ("error", "tries"),
    [("400: {'error': 'Invalid model name passed in model=gpt-realtime-whisper'}", 1), ("No deployments of gpt-realtime-whisper", 5)],
    ids=["final", "unclear"],
)
async def test_gateways_a_lost_agents_track_is_tried_a_few_times_and_then_once_a_minute(error: str, tries: int) -> None:
    """A gateway was dialled 30 times in three calls, with everything said to be well."""
    server = LightModel(clock=asyncio.get_running_loop().time)
    server.agents_manner = Manner(error=error)
    async with server, calling(server, config=relay_config(server), limits=DEFAULT_LIMITS) as call:
        await call.heard.until(lambda: call.heard.tracks, "it is told", 600)
        told = call.heard.tracks[-1]
        assert told is not None and f"(the service refuses the session: “{error}”)" in told
        await call.heard.until(lambda: call.heard.states and call.heard.states[-1][1] is StatusReason.AGENT_TRACK_LOST, "the agent", 60)
        assert call.heard.states[-1][0] is AssistState.LIVE, "suggestions go on"
        before = len(server.agents_dials)
        assert before == tries
        await asyncio.sleep(600)
        assert 8 <= len(server.agents_dials) - before <= 10, "once in sixty to seventy-five seconds"
        assert call.sample("realtime_errors_total", code="agent_track") == 1
        server.agents_manner = Manner()
        await call.heard.until(lambda: call.heard.tracks[-1] is None, "it is heard again", 120)
        assert call.heard.states[-1][:2] == (AssistState.LIVE, StatusReason.STARTED)
        assert len([peer for peer in server.peers if peer.kind == "realtime"]) == 1
