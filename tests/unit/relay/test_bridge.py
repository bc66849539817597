"""The life of one call and of the registry, with a scripted line and publisher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from voiceassist_crds.config import Limits, Prompt, RelayConfig
from voiceassist_crds.messages import AssistState, StatusReason
from voiceassist_crds.names import CallSid, StreamSid
from voiceassist_relay.boundaries import Finished, ModelListener, StreamClaims, StreamStart, TurnTiming
from voiceassist_relay.bridge import CallBridge
from voiceassist_relay.drain import Drain
from voiceassist_relay.metrics import RelayMetrics
from voiceassist_relay.peer_health import PeerHealth
from voiceassist_relay.registry import Registry


def start(call: int = 0, generation: int = 1, paused: bool = False) -> StreamStart:
    sid = CallSid(f"CA{call:032x}")
    claims = StreamClaims(sid, "AC" + "0" * 32, generation, 2_000_000_000, paused)
    return StreamStart(sid, StreamSid("MZ" + "0" * 32), ("inbound", "outbound"), claims)


def config(apply_to: str = "NewCalls", text: str = "Help.", max_calls: int = 3) -> RelayConfig:
    return RelayConfig.model_validate(
        {
            "host": "h",
            "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
            "prompts": [{"instructions": text}],
            "rollout": {"applyTo": apply_to},
            "limits": {"maxCalls": max_calls},
        }
    ).with_revisions()


class Connection:
    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []

    def close(self, code: int, reason: str) -> None:
        if not self.closed:
            self.closed.append((code, reason))


class Line:
    def __init__(self, listener: ModelListener) -> None:
        self.listener = listener
        self.frames: list[bytes] = []
        self.log: list[Any] = []
        self.over = asyncio.Event()
        self.failure: Exception | None = None
        self.on_finish: Callable[[], None] = lambda: None
        self.metrics: RelayMetrics

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        self.frames.append(payload)

    async def run(self) -> None:
        await self.over.wait()
        if self.failure:
            raise self.failure

    def pause(self) -> None:
        self.log.append("pause")

    def resume(self) -> None:
        self.log.append("resume")

    def use(self, config: RelayConfig, prompt: Prompt) -> None:
        self.log.append(("use", prompt.instructions))

    async def finish(self, grace: float) -> None:
        self.log.append(("finish", grace))
        self.on_finish()
        self.over.set()


class Publisher:
    def __init__(self, superseded: Callable[[str], None]) -> None:
        self.superseded = superseded
        self.log: list[Any] = []
        self.over = asyncio.Event()
        self.hang = False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.log.append((name, *arguments))

    async def run(self) -> None:
        await self.over.wait()

    async def finish(self, grace: float, *, lost: bool | None) -> None:
        if self.hang:
            await asyncio.Event().wait()
        self.log.append(("finish", lost))
        self.over.set()

    def states(self) -> list[tuple[AssistState, StatusReason]]:
        return [(entry[1], entry[2]) for entry in self.log if entry[0] == "status"]


class House:
    """A registry whose calls have scripted parts."""

    def __init__(self, cfg: RelayConfig | None = None) -> None:
        self.config = cfg or config()
        self.metrics = RelayMetrics()
        self.health = PeerHealth(0)
        self.lines: list[Line] = []
        self.publishers: list[Publisher] = []
        self.registry = Registry(self.begin, self.metrics, lambda: self.config.limits.max_calls)

    def begin(self, begun: StreamStart, connection: Any) -> CallBridge:
        def line(_: StreamStart, __: RelayConfig, ___: Prompt, listener: ModelListener, metrics: RelayMetrics) -> Line:
            self.lines.append(Line(listener))
            self.lines[-1].metrics = metrics
            return self.lines[-1]

        def publisher(_: StreamStart, __: Prompt, ___: RelayMetrics, superseded: Callable[[str], None], ____: Any) -> Publisher:
            self.publishers.append(Publisher(superseded))
            return self.publishers[-1]

        return CallBridge(
            begun,
            connection,
            self.config,
            make_line=line,
            make_publisher=publisher,  # type: ignore[arg-type]  # its verbs are made by __getattr__
            metrics=self.metrics,
            model_health=self.health,
            loop_time=asyncio.get_running_loop().time,
            epoch=lambda: 1.0,
        )

    def call(self, *arguments: Any, **more: Any) -> tuple[Any, Connection, Line, Publisher]:
        assert self.registry.reserve()
        connection = Connection()
        sink = self.registry.open(start(*arguments, **more), connection)
        return sink, connection, self.lines[-1], self.publishers[-1]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value("voiceassist_relay_" + name, labels)


async def test_frames_go_straight_to_the_line() -> None:
    house = House()
    sink, _, line, _ = house.call()
    sink.frame(True, b"abcd", 0.0)
    assert line.frames == [b"abcd"]
    assert sink.frame == line.frame
    await house.registry.hang_up_all("drain", 5)


async def test_stop_takes_the_open_turn_then_flushes_then_closes() -> None:
    house = House()
    sink, connection, line, publisher = house.call()
    line.on_finish = lambda: publisher.log.append("the model's last words")
    assert house.registry.find(start().call_sid) is sink
    sink.ended("stop")
    assert house.registry.find(start().call_sid) is None, "a call that only flushes is not live"
    assert await house.registry.wait_empty(5)
    assert line.log == [("finish", 5.0)]
    assert publisher.log[0] == "the model's last words"
    assert publisher.states() == [(AssistState.STOPPED, StatusReason.CALL_ENDED)]
    assert publisher.log[-1] == ("finish", False)
    assert connection.closed == [(1001, "over")]
    assert house.metric("active_calls") == 0
    assert house.metric("streams_lost_total", reason="stop") is None


@pytest.mark.parametrize(("reason", "told"), [("socket", StatusReason.STREAM_LOST), ("drain", StatusReason.RELAY_STOPPING)])
async def test_lost_streams_are_told_and_counted(reason: str, told: StatusReason) -> None:
    house = House()
    sink, _, _, publisher = house.call()
    sink.ended(reason)
    sink.ended("stop")
    assert await house.registry.wait_empty(5)
    assert publisher.states() == [(AssistState.LOST, told)]
    assert publisher.log[-1] == ("finish", True)
    assert house.metric("streams_lost_total", reason=reason) == 1


async def test_final_failure_of_the_model_ends_the_call_and_says_why() -> None:
    house = House()
    _, connection, line, publisher = house.call()
    line.listener.state(AssistState.FAILED, StatusReason.MODEL_REFUSED, "The model refused the key.")
    assert await house.registry.wait_empty(5)
    assert publisher.states() == [(AssistState.FAILED, StatusReason.MODEL_REFUSED)], "no farewell on top of the reason"
    assert connection.closed[0][0] == 1011
    assert not house.health.status.ok


async def test_one_calls_crash_touches_no_other() -> None:
    house = House()
    _, bad_connection, bad, bad_publisher = house.call(1)
    good, good_connection, line, _ = house.call(2)
    bad.failure = RuntimeError("bug")
    bad.over.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert bad_connection.closed[0] == (1011, "error")
    assert bad_publisher.log[-1] == ("finish", True), "what was finished is stored all the same"
    assert good_connection.closed == []
    good.frame(True, b"x", 0.0)
    assert line.frames == [b"x"]
    await house.registry.hang_up_all("drain", 5)


async def test_a_bridge_that_cannot_be_built_costs_its_own_call() -> None:
    house = House()
    house.call(1)

    def broken(*_: Any) -> Any:
        raise RuntimeError("bug")

    house.registry._begin = broken
    assert house.registry.reserve()
    with pytest.raises(RuntimeError):
        house.registry.open(start(2), Connection())
    assert len(house.registry) == 1
    house.registry._begin = house.begin
    assert house.registry.reserve(), "the failed call's place is free again"
    assert house.registry.reserve()
    assert not house.registry.reserve()
    await house.registry.hang_up_all("drain", 5)


async def test_newer_generation_wins_and_an_older_one_is_sent_away() -> None:
    house = House()
    _, first, _, old = house.call(1, 1)
    _, second, line, _ = house.call(1, 2)
    assert first.closed == [(1008, "replaced")]
    assert house.registry.reserve()
    late = Connection()
    nowhere = house.registry.open(start(1, 1), late)
    nowhere.frame(True, b"x", 0.0)
    assert late.closed == [(1008, "superseded")]
    assert line.frames == []
    assert second.closed == []
    for _ in range(20):
        await asyncio.sleep(0)
    assert old.states() == [], "the newer one tells the agent"
    assert len(house.registry) == 1
    assert house.registry.find(start(1).call_sid) is not None
    await house.registry.hang_up_all("drain", 5)


async def test_a_second_stream_of_a_live_generation_is_sent_away() -> None:
    house = House()
    _, first, line, _ = house.call(1, 1)
    assert house.registry.reserve()
    second = Connection()
    other = replace(start(1, 1), stream_sid=StreamSid("MZ" + "1" * 32))
    house.registry.open(other, second).frame(True, b"x", 0.0)
    assert (first.closed, second.closed, line.frames) == ([], [(1008, "superseded")], [])
    await house.registry.hang_up_all("drain", 5)


async def test_the_same_stream_again_replaces_its_older_connection() -> None:
    house = House()
    _, first, _, _ = house.call(1, 1)
    _, second, _, _ = house.call(1, 1)
    assert (first.closed, second.closed) == ([(1008, "replaced")], [])
    await house.registry.hang_up_all("drain", 5)


async def test_places() -> None:
    house = House(config(max_calls=2))
    assert house.registry.reserve()
    assert house.registry.reserve()
    assert not house.registry.reserve()
    house.registry.release()
    assert house.registry.reserve()


async def test_document_says_stopped() -> None:
    house = House()
    _, connection, line, publisher = house.call()
    publisher.superseded("stopped")
    assert await house.registry.wait_empty(5)
    assert connection.closed[0] == (1000, "stopped")
    assert publisher.states() == []
    assert publisher.log[-1] == ("finish", None), "the Document is left alone"
    assert line.log == [("finish", 0.0)]


async def test_pause_and_resume_are_told_and_not_undone_by_a_reconnect() -> None:
    house = House()
    sink, _, line, publisher = house.call()
    sink.pause()
    sink.pause()
    line.listener.state(AssistState.LIVE, StatusReason.STARTED, "Listening.")
    sink.resume()
    assert line.log == ["pause", "resume"]
    assert [state for state, _ in publisher.states()] == [AssistState.PAUSED, AssistState.PAUSED, AssistState.LIVE]
    await house.registry.hang_up_all("drain", 5)


@pytest.mark.parametrize(("apply_to", "expected"), [("NewCalls", []), ("AllCalls", [("use", "New.")])])
async def test_a_new_prompt_reaches_live_calls_only_if_asked(apply_to: str, expected: list[Any]) -> None:
    house = House()
    sink, _, line, _ = house.call()
    before = sink.revision
    sink.use(config(apply_to, "New."))
    assert line.log == expected
    assert (sink.revision == before) == (expected == [])
    await house.registry.hang_up_all("drain", 5)


async def test_a_call_that_cannot_take_a_configuration_ends_and_the_others_take_it() -> None:
    house = House()
    _, first, bad, _ = house.call(1)
    _, second, good, _ = house.call(2)

    def broken(*_: Any) -> None:
        raise RuntimeError("bug")

    bad.use = broken  # type: ignore[method-assign]
    house.registry.use(config("AllCalls", "New."))
    assert first.closed == [(1001, "error")]
    assert second.closed == []
    assert good.log == [("use", "New.")]
    await house.registry.hang_up_all("drain", 5)


async def test_drain_serves_then_waits_then_ends_in_order() -> None:
    house = House()
    _, connection, _, publisher = house.call(1)
    drain = Drain(house.registry, house.metrics, lambda: Limits(drain_grace_seconds=0.05, drain_timeout_seconds=3600))
    running = asyncio.create_task(drain.run())
    drain.ask()
    await asyncio.sleep(0.01)
    assert drain.draining
    assert not house.registry.refusing, "new upgrades are served during the grace"
    await asyncio.sleep(0.1)
    assert house.registry.refusing
    assert connection.closed == []
    assert not running.done(), "a live call goes on"
    drain.ask()
    await asyncio.wait_for(running, 5)
    assert connection.closed == [(1001, "drain")]
    assert publisher.log[-1] == ("finish", True)


async def test_drain_ends_at_once_when_the_last_call_is_over() -> None:
    house = House()
    sink, *_ = house.call(1)
    drain = Drain(house.registry, house.metrics, lambda: Limits(drain_grace_seconds=0, drain_timeout_seconds=3600))
    running = asyncio.create_task(drain.run())
    drain.ask()
    await asyncio.sleep(0.05)
    sink.ended("stop")
    await asyncio.wait_for(running, 5)


async def test_drain_timeout_ends_what_goes_on() -> None:
    house = House()
    _, connection, _, _ = house.call(1)
    drain = Drain(house.registry, house.metrics, lambda: Limits(drain_grace_seconds=0, drain_timeout_seconds=0))
    drain.ask()
    await asyncio.wait_for(drain.run(), 5)
    assert connection.closed == [(1001, "drain")]


async def test_a_call_that_does_not_end_is_cancelled() -> None:
    house = House()
    _, _, _, publisher = house.call(1)
    publisher.hang = True
    await house.registry.hang_up_all("drain", 0.1)
    assert len(house.registry) == 0


async def test_the_last_line_tells_the_whole_story_of_this_call_alone() -> None:
    house = House()
    sink, _, line, _ = house.call(1)
    _, _, other, _ = house.call(2)
    for metrics, count in ((line.metrics, 100), (other.metrics, 7)):
        metrics.frames("customer", "forwarded", count)
        metrics.dropped("drafts", 2)
        metrics.tokens("m", "audio", "input", True, 30)
        metrics.reconnected("stalled")
        metrics.model_error("server_error")
        metrics.published("ok", 0.1)
        metrics.suggestion_published("r", TurnTiming(1.0, 1.5, finished=1.9), 2.0)
    line.listener.turn("suggested", "r", TurnTiming(1.0, 1.5, finished=1.9))
    line.listener.finished(Finished("i", "q", "a", "r", TurnTiming(1.0, 1.5, finished=1.9)))
    with capture_logs() as logs:
        sink.ended("stop")
        for _ in range(50):
            await asyncio.sleep(0)
    (story,) = [entry for entry in logs if entry["event"] == "call over"]
    told = {key: story[key] for key in story if key not in {"event", "log_level", "call", "seconds", "revision"}}
    assert told == {
        "generation": 1,
        "reason": "stop",
        "suggestions": 1,
        "turns": {"suggested": 1},
        "latency_p50_ms": 900,
        "latency_max_ms": 900,
        "frames": {"customer": {"forwarded": 100}},
        "drops": {"drafts": 2},
        "tokens": {"audio_input_cached": 30},
        "reconnects": {"stalled": 1},
        "model_errors": {"server_error": 1},
        "sync_writes": {"ok": 1},
    }
    assert house.metric("frames_total", track="customer", outcome="forwarded") == 107, "and the process counts both"
    assert house.metric("realtime_reconnects_total", reason="stalled") == 2
    assert house.metric("suggestion_latency_seconds_count", revision="other") == 2
    await house.registry.hang_up_all("drain", 5)
