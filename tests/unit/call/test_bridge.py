"""The life of one call, with a scripted model and publisher."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from unit.call.registry_rig import Connection, RegistryRig, config, document, start
from voiceassist_crds.config import PromptModel, RelayConfig
from voiceassist_crds.messages import AssistState, CallDocument, StatusReason
from voiceassist_crds.status import PeerReason
from voiceassist_relay.budget_count import Level
from voiceassist_relay.call import bridge
from voiceassist_relay.call.joining import OVERLAP_FRAMES
from voiceassist_relay.handed_over import HandedCall, HandedModel, HandedTrack
from voiceassist_relay.interfaces import EarlierSuggestion, FinishedSuggestion, OutputForm, TurnTiming


async def test_bridge_frames_go_straight_to_the_model_client() -> None:
    rig = RegistryRig()
    sink, _, model, _ = rig.call()
    sink.frame(True, b"abcd", 0.0)
    assert model.frames == [b"abcd"]
    assert sink.frame == model.frame
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_stop_takes_the_open_turn_then_flushes_then_closes() -> None:
    rig = RegistryRig()
    sink, connection, model, publisher = rig.call()
    model.on_finish = lambda: publisher.log.append("the model's last words")
    assert rig.registry.find(start().call_sid) is sink
    sink.ended("stop")
    assert rig.registry.find(start().call_sid) is None, "a call that only flushes is not live"
    assert await rig.registry.wait_empty(5)
    assert model.log == [("finish", 5.0)]
    assert publisher.log[0] == "the model's last words"
    assert publisher.states() == [(AssistState.STOPPED, StatusReason.CALL_ENDED)]
    assert publisher.log[-1] == ("finish", False)
    assert connection.closed == [(1001, "over")]
    assert rig.metric("active_calls") == 0
    assert rig.metric("streams_lost_total", reason="stop") is None


async def test_bridge_a_lost_socket_has_another_stream_asked_for_at_once() -> None:
    rig = RegistryRig()
    sink, _, _, publisher = rig.call()
    sink.ended("socket")
    assert await rig.registry.wait_empty(5)
    assert rig.cut == [(start().call_sid, 1)]
    assert publisher.states() == [(AssistState.RECONNECTING, StatusReason.STREAM_LOST)]
    assert publisher.log[-1] == ("finish", True)
    assert rig.metric("streams_lost_total", reason="socket") == 1


@pytest.mark.parametrize("reason", ["stop", "drain", "error", "superseded", "model"])
async def test_bridge_asks_for_no_other_stream_where_the_end_was_meant(reason: str) -> None:
    rig = RegistryRig()
    sink, _, _, _ = rig.call()
    sink.ended(reason)
    assert await rig.registry.wait_empty(5)
    assert rig.cut == []


@pytest.mark.parametrize(("reason", "told"), [("socket", StatusReason.STREAM_LOST), ("drain", StatusReason.RELAY_STOPPING)])
async def test_bridge_lost_streams_are_told_and_counted(reason: str, told: StatusReason) -> None:
    rig = RegistryRig()
    rig.may_start_again = False  # too much to do
    sink, _, _, publisher = rig.call()
    sink.ended(reason)
    sink.ended("stop")
    assert await rig.registry.wait_empty(5)
    assert publisher.states() == [(AssistState.LOST, told)]
    assert publisher.log[-1] == ("finish", True)
    assert rig.metric("streams_lost_total", reason=reason) == 1


async def test_bridge_final_failure_of_the_model_ends_the_call_and_says_why() -> None:
    rig = RegistryRig()
    _, connection, model, publisher = rig.call()
    model.listener.state(AssistState.FAILED, StatusReason.MODEL_REFUSED, "The model refused the key.")
    assert await rig.registry.wait_empty(5)
    assert publisher.states() == [(AssistState.FAILED, StatusReason.MODEL_REFUSED)], "no other status on top of the reason"
    assert connection.closed[0][0] == 1011
    assert not rig.health.status.ok


async def test_bridge_one_calls_crash_touches_no_other() -> None:
    rig = RegistryRig()
    _, bad_connection, bad, bad_publisher = rig.call(1)
    good, good_connection, model, _ = rig.call(2)
    bad.failure = RuntimeError("bug")
    bad.over.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert bad_connection.closed[0] == (1011, "error")
    assert bad_publisher.log[-1] == ("finish", True), "what was finished is stored all the same"
    assert good_connection.closed == []
    good.frame(True, b"x", 0.0)
    assert model.frames == [b"x"]
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_a_bridge_that_cannot_be_built_costs_its_own_call() -> None:
    rig = RegistryRig()
    rig.call(1)

    def broken(*_: Any) -> Any:
        raise RuntimeError("bug")

    rig.registry._begin = broken
    assert rig.registry.reserve()
    with pytest.raises(RuntimeError):
        rig.registry.open(start(2), Connection())
    assert len(rig.registry) == 1
    rig.registry._begin = rig.begin
    assert rig.registry.reserve(), "the failed call's place is free again"
    assert rig.registry.reserve()
    assert not rig.registry.reserve()
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_document_says_stopped() -> None:
    rig = RegistryRig()
    _, connection, model, publisher = rig.call()
    publisher.superseded("stopped")
    assert await rig.registry.wait_empty(5)
    assert connection.closed[0] == (1000, "stopped")
    assert publisher.states() == []
    assert publisher.log[-1] == ("finish", None), "the Document is left alone"
    assert model.log == [("finish", 0.0)]


async def test_bridge_pause_and_resume_are_told_and_not_undone_by_a_reconnect() -> None:
    rig = RegistryRig()
    sink, _, model, publisher = rig.call()
    sink.pause()
    sink.pause()
    model.listener.state(AssistState.LIVE, StatusReason.STARTED, "Listening.")
    sink.resume()
    assert model.log == ["pause", "resume"]
    assert [state for state, _ in publisher.states()] == [AssistState.PAUSED, AssistState.PAUSED, AssistState.LIVE]
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_the_last_line_tells_the_whole_call_and_of_this_call_alone() -> None:
    rig = RegistryRig()
    sink, _, model, _ = rig.call(1)
    _, _, other, _ = rig.call(2)
    for metrics, count in ((model.metrics, 100), (other.metrics, 7)):
        metrics.frames("customer", "forwarded", count)
        metrics.dropped("drafts", 2)
        metrics.tokens("m", "audio", "input", True, 30)
        metrics.reconnected("stalled")
        metrics.model_error("server_error")
        metrics.published("ok", 0.1)
        metrics.suggestion_published("r", TurnTiming(1.0, 1.5, finished=1.9), 2.0)
    model.listener.turn("suggested", "r", TurnTiming(1.0, 1.5, finished=1.9))
    model.listener.finished(FinishedSuggestion("i", "q", "a", "r", TurnTiming(1.0, 1.5, finished=1.9)))
    with capture_logs() as logs:
        sink.ended("stop")
        for _ in range(50):
            await asyncio.sleep(0)
    (summary,) = [entry for entry in logs if entry["event"] == "call over"]
    told = {key: summary[key] for key in summary if key not in {"event", "log_level", "call", "seconds", "revision"}}
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
    assert rig.metric("frames_total", track="customer", outcome="forwarded") == 107, "and the process counts both"
    assert rig.metric("realtime_reconnects_total", reason="stalled") == 2
    assert rig.metric("suggestion_latency_seconds_count", revision="other") == 2
    await rig.registry.hang_up_all("drain", 5)


PAUSED = (AssistState.PAUSED, StatusReason.AGENT_REQUEST)


@pytest.mark.parametrize(("token", "said"), [(False, False), (False, True), (True, False), (True, True)])
async def test_bridge_the_model_hears_of_a_call_when_the_document_was_read_and_the_document_decides(token: bool, said: bool) -> None:
    rig = RegistryRig()
    rig.slow_sync = True
    sink, _, model, publisher = rig.call(paused=token)
    sink.frame(True, b"a", 0.0)
    await asyncio.sleep(0.01)
    assert not model.running and model.log == [] and model.frames == [b"a"]  # kept, and nobody reads it
    publisher.document = document(paused=said)
    publisher.read.set()
    await asyncio.sleep(0.01)
    assert model.running
    assert model.log == (["pause"] if said else [])
    assert publisher.states() == ([PAUSED] if said else [])
    sink.ended("stop")
    assert await rig.registry.wait_empty(5)


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_bridge_what_is_asked_while_the_document_is_on_its_way_is_newer_than_it(action: str) -> None:
    rig = RegistryRig()
    rig.slow_sync = True
    sink, _, model, publisher = rig.call()
    getattr(sink, action)()
    publisher.document = document(paused=action == "resume")
    publisher.read.set()
    await asyncio.sleep(0.01)
    assert model.log == (["pause"] if action == "pause" else [])
    sink.ended("stop")
    assert await rig.registry.wait_empty(5)


async def test_bridge_a_call_that_ends_before_its_document_was_read_never_reaches_the_model() -> None:
    rig = RegistryRig()
    rig.slow_sync = True
    sink, _, model, _ = rig.call()
    await asyncio.sleep(0.01)
    sink.ended("stop")
    assert await rig.registry.wait_empty(5)
    assert not model.running


async def eventually(rig: RegistryRig, wanted: object) -> None:
    async with asyncio.timeout(30):
        while wanted not in rig.models[-1].log:
            await asyncio.sleep(0.01)


async def test_bridge_of_a_stream_that_was_started_again_goes_on_with_what_sync_keeps() -> None:
    rig = RegistryRig()
    rig.slow_sync = True
    _, _, model, publisher = rig.call(generation=2)
    publisher.earlier_told = [EarlierSuggestion("g1-a", "Where is it?", "In the depot.")]
    assert model.log == ["wait"]
    publisher.read.set()
    await eventually(rig, ("begin", None))
    assert model.log == ["wait", ("recall", ["In the depot."]), ("begin", None)]
    await rig.registry.hang_up_all("drain", 5)


@pytest.mark.parametrize(("lost_at", "moved", "counted"), [(-6.5, False, 7.5), (0.0, False, None), (-6.5, True, None)])
async def test_bridge_counts_how_long_a_call_was_not_heard(lost_at: float, moved: bool, counted: float | None) -> None:
    rig = RegistryRig()
    rig.slow_sync = True
    _, _, _, publisher = rig.call(generation=2, moved=moved)
    publisher.document = document(generation=2, lost_at=lost_at)  # epoch seconds; the bridge's clock says 1
    publisher.read.set()
    await asyncio.sleep(0.05)
    assert rig.metric("restart_gap_seconds_count") == (0 if counted is None else 1)
    assert rig.metric("restart_gap_seconds_sum") == pytest.approx(counted or 0.0, abs=0.5)
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_goes_on_without_the_conversation_where_sync_does_not_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bridge.RECALL_SECONDS <= 2
    monkeypatch.setattr(bridge, "RECALL_SECONDS", 0.1)
    rig = RegistryRig()
    rig.slow_sync = True
    _, _, model, publisher = rig.call(generation=2)
    publisher.earlier_told = None
    publisher.read.set()
    await eventually(rig, ("begin", None))
    assert model.log == ["wait", ("recall", []), ("begin", None)]
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_of_a_first_stream_waits_for_nothing() -> None:
    rig = RegistryRig()
    _, _, model, _ = rig.call()
    await asyncio.sleep(0.05)
    assert model.log == []
    await rig.registry.hang_up_all("drain", 5)


async def _written(_: int) -> CallDocument:
    return document(generation=2)


async def test_bridge_that_is_braced_outlives_its_stream_and_is_handed_over() -> None:
    rig = RegistryRig()
    sink, _, model, publisher = rig.call()
    await asyncio.sleep(0.05)
    sink.brace()
    sink.ended("stop")
    assert await sink.stream_over(0)
    assert rig.registry.find(start().call_sid) is sink, "the call is here, without a stream"
    handed = await sink.hand_over(0.0, _written)
    assert handed is not None and handed.generation == 2
    assert await rig.registry.wait_empty(5)
    assert publisher.states() == [], "the agent is told nothing"
    assert rig.cut == []
    assert "give" in model.log


@pytest.mark.parametrize(("reason", "asked_again"), [("socket", True), ("stop", False)])
async def test_bridge_that_is_released_after_its_streams_end_ends_as_told(reason: str, asked_again: bool) -> None:
    rig = RegistryRig()
    sink, _, _, _ = rig.call()
    sink.brace()
    sink.ended("stop")
    assert not sink.over
    sink.release(reason)
    assert await rig.registry.wait_empty(5)
    assert rig.cut == ([(start().call_sid, 1)] if asked_again else [])


async def test_bridge_that_is_released_goes_on_and_takes_a_late_stop_for_a_cut() -> None:
    rig = RegistryRig()
    sink, _, _, _ = rig.call()
    sink.brace()
    sink.release("socket")
    assert not sink.over
    sink.ended("stop")
    assert await rig.registry.wait_empty(5)
    assert rig.cut == [(start().call_sid, 1)]


async def test_bridge_is_not_movable_before_it_has_the_conversation_so_far() -> None:
    """What is handed over then would be empty, and the relay that takes it does not ask Sync."""
    rig = RegistryRig()
    rig.slow_sync = True
    sink, _, model, publisher = rig.call(generation=2)
    told = asyncio.Event()

    async def earlier(_: float) -> list[EarlierSuggestion]:
        await told.wait()
        return []

    publisher.earlier = earlier  # type: ignore[method-assign]
    publisher.read.set()
    await asyncio.sleep(0.05)
    assert not sink.movable
    assert await sink.hand_over(0.0, _written) is None
    told.set()
    await eventually(rig, ("begin", None))
    assert sink.movable
    assert "give" not in model.log
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_that_cannot_begin_ends_its_call() -> None:
    rig = RegistryRig()
    rig.slow_sync = True
    _, connection, _, publisher = rig.call(generation=2)

    async def broken(_: float) -> list[EarlierSuggestion]:
        raise RuntimeError("bug")

    publisher.earlier = broken  # type: ignore[method-assign]
    publisher.read.set()
    assert await rig.registry.wait_empty(5)
    assert connection.closed[0] == (1011, "error")


def _prompts(*texts: str) -> RelayConfig:
    before = config()
    prompts = [before.prompts[0].model_copy(update={"instructions": text, "revision": text, "weight": 0}) for text in texts]
    return before.model_copy(update={"prompts": [*prompts[:-1], prompts[-1].model_copy(update={"weight": 100})]})


@pytest.fixture
def without_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the next stream's audio."""
    monkeypatch.setattr(bridge, "OVERLAP_SECONDS", 0.0)


async def _handed(rig: RegistryRig, **changes: Any) -> Any:
    """A call that another relay has handed over, and the Document that this one has read afterwards."""
    sink = rig.begin(start(generation=2, moved=True), Connection())
    written = document(generation=2, prompt_revision="began")
    handed = HandedCall(2, written.wire(), "now", changes.pop("model", HandedModel(HandedTrack())), **changes)

    async def ask(*_: object) -> HandedCall:
        return handed

    sink._ask_for_call = ask
    sink._opened(await sink._take(document(next={"generation": 2, "at": 0.0})))  # type: ignore[arg-type]
    return sink


@pytest.mark.parametrize("frames", [0, OVERLAP_FRAMES])
async def test_bridge_asks_for_a_call_when_both_streams_have_audio_in_common(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """A hand-over at the next stream's first frame lost a frame. A stream without audio is not waited for long."""
    monkeypatch.setattr(bridge, "OVERLAP_SECONDS", 30.0 if frames else 0.2)
    sink = RegistryRig().begin(start(generation=2, moved=True), Connection())
    asked = asyncio.Event()

    async def ask(*_: object) -> HandedCall:
        asked.set()
        return HandedCall(2, document(generation=2).wire(), "now", HandedModel(HandedTrack()))

    sink._ask_for_call = ask
    taking = asyncio.create_task(sink._take(document(next={"generation": 2, "at": 0.0})))
    for number in range(1, frames + 1):
        await asyncio.sleep(0.03)
        assert not asked.is_set(), f"asked for with {number - 1} frames"
        sink.frame(True, b"AQID", asyncio.get_running_loop().time())
    await asyncio.wait_for(taking, 20)
    assert asked.is_set()


@pytest.mark.usefixtures("without_overlap")
async def test_bridge_keeps_the_prompt_that_is_handed_over_not_the_one_the_call_began_with() -> None:
    sink = await _handed(RegistryRig(_prompts("began", "now", "new")))
    assert sink.revision == "now"
    assert sink.movable


@pytest.mark.usefixtures("without_overlap")
@pytest.mark.parametrize("end", ["pause", "hand over", "stop"])
async def test_bridge_lets_audio_that_waits_for_its_place_be_heard_before_anything_else_is_done(end: str) -> None:
    rig = RegistryRig()
    track = HandedTrack(frames=["AAAA"], ages=[0.0])
    sink = await _handed(rig, model=HandedModel(track), until_ms=(1000, -1))
    sink.frame(True, b"AQID", asyncio.get_running_loop().time())
    model = rig.models[-1]
    assert model.frames == []
    if end == "pause":
        sink.pause()
    elif end == "hand over":
        await sink.hand_over(0.0, _written)
    else:
        sink.ended("stop")
    assert model.frames == [b"AQID"]


@pytest.mark.usefixtures("without_overlap")
async def test_bridge_counts_a_call_with_failures_once_wherever_it_goes() -> None:
    rig = RegistryRig(_prompts("began", "now", "new"))
    rig.metrics.revisions.use("r", ["now", "new"])

    def counted(revision: str) -> int:
        return rig.metrics.revisions.snapshot().prompts[revision].calls_with_failures

    sink = await _handed(rig, failed_with=["now"])
    sink.turn("failed", "now", TurnTiming(1.0, 1.5))
    assert counted("now") == 0, "the other relay has counted it"
    sink.turn("failed", "new", TurnTiming(1.0, 1.5))
    assert counted("new") == 1
    passed_on = await sink.hand_over(0.0, _written)
    assert passed_on is not None and passed_on.failed_with == ["new", "now"]
    restarted = rig.begin(start(generation=3), Connection())
    restarted.turn("failed", "new", TurnTiming(1.0, 1.5))
    assert counted("new") == 1, "it may have been counted before the stream was started again"


async def test_bridge_counts_what_could_not_be_read_as_a_turn_without_an_answer() -> None:
    rig = RegistryRig(_prompts("stable", "canary"))
    rig.metrics.revisions.use("r", ["stable", "canary"])
    sink, _, model, _ = rig.call()
    while not sink.movable:
        await asyncio.sleep(0)
    for form in OutputForm:
        model.listener.output("canary", form)
    model.listener.tokens("canary", 900)
    counts = rig.metrics.revisions.snapshot().prompts["canary"]
    assert (counts.outputs, counts.repaired, counts.turns, counts.failed, counts.calls_with_failures) == (3, 2, 1, 1, 1)
    assert (counts.calls, counts.measured_calls, counts.tokens) == (1, 1, 900)


@pytest.mark.parametrize("own_model", [False, True])
async def test_bridge_a_canary_whose_model_refuses_fails_its_calls_and_not_the_relays_health(*, own_model: bool) -> None:
    before = _prompts("stable", "canary")
    stable, canary = before.prompts
    tried = canary.model_copy(update={"model": PromptModel(name="no-such-model") if own_model else None})
    rig = RegistryRig(before.model_copy(update={"prompts": [stable, tried]}))
    rig.metrics.revisions.use("r", ["stable", "canary"])
    rig.health.worked(0.0)
    _, _, model, _ = rig.call()
    model.listener.state(AssistState.FAILED, StatusReason.MODEL_MISCONFIGURED, "The model is not known.")
    assert await rig.registry.wait_empty(5)
    counts = rig.metrics.revisions.snapshot().prompts["canary"]
    assert (counts.turns, counts.failed, counts.calls_with_failures) == (1, 1, 1), "else it would wait for turns for ever"
    assert rig.health.status.ok is own_model, "the model that most calls have is as well as before"


async def test_bridge_audio_that_is_misread_makes_the_model_not_well_until_it_is_heard() -> None:
    rig = RegistryRig()
    _, _, model, publisher = rig.call()
    model.listener.state(AssistState.LIVE, StatusReason.STARTED, "Listening.")
    assert rig.health.status.ok
    model.listener.state(AssistState.LIVE, StatusReason.AUDIO_FORMAT, "It counts 25 %.")
    assert (rig.health.status.ok, rig.health.status.reason, rig.health.status.message) == (
        False,
        PeerReason.AUDIO_FORMAT,
        "It counts 25 %.",
    )
    assert publisher.states()[-1] == (AssistState.LIVE, StatusReason.AUDIO_FORMAT), "the agent is told, and the call goes on"
    model.listener.audio_heard()
    assert rig.health.status.ok
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_a_lost_agents_track_is_the_relays_news_and_not_the_models() -> None:
    rig = RegistryRig()
    _, _, model, _ = rig.call()
    model.listener.state(AssistState.LIVE, StatusReason.STARTED, "Listening.")
    model.listener.agent_track("The agent's words are not heard.")
    assert (rig.agent_health.status.ok, rig.agent_health.status.message) == (False, "The agent's words are not heard.")
    assert rig.health.status.ok
    model.listener.agent_track(None)
    assert rig.agent_health.status.ok
    await rig.registry.hang_up_all("drain", 5)


SPENT = (AssistState.PAUSED, StatusReason.BUDGET_SPENT)


async def test_bridge_a_spent_budget_waits_for_the_answer_under_way_and_goes_on_when_there_is_more() -> None:
    rig = RegistryRig()
    _, _, model, publisher = rig.call()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    model.answers = True
    rig.registry.allow(Level.STOPPED)
    assert (rig.registry.answering, model.log, publisher.states()) == (1, [], [])
    model.answers = False
    for _ in range(3):
        rig.registry.allow(Level.STOPPED)
    assert (model.log, publisher.states()) == (["pause"], [SPENT])
    rig.registry.allow(Level.FREE)
    assert (model.log, publisher.states()) == (["pause", "resume"], [SPENT, (AssistState.LIVE, StatusReason.STARTED)])
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_a_spent_budget_and_the_agents_pause_end_apart() -> None:
    rig = RegistryRig()
    sink, _, model, publisher = rig.call()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    paused, live = (AssistState.PAUSED, StatusReason.AGENT_REQUEST), (AssistState.LIVE, StatusReason.AGENT_REQUEST)
    rig.registry.allow(Level.STOPPED)
    sink.pause()
    sink.resume()  # by an agent whose panel does not know of budgets
    sink.pause()
    assert (model.log, publisher.states()) == (["pause"], [SPENT] * 4)
    rig.registry.allow(Level.FREE)
    assert (model.log, publisher.states()[4:]) == (["pause"], [paused])
    sink.resume()
    assert (model.log, publisher.states()[5:]) == (["pause", "resume"], [live])
    sink.pause()
    rig.registry.allow(Level.STOPPED)
    sink.resume()
    sink.state(AssistState.LIVE, StatusReason.STARTED, "Listening.")
    assert (model.log[2:], publisher.states()[6:]) == (["pause"], [paused, SPENT, SPENT, SPENT])
    await rig.registry.hang_up_all("drain", 5)


async def test_bridge_without_drafts_suggestions_go_on() -> None:
    rig = RegistryRig()
    sink, _, model, publisher = rig.call()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for level in (Level.WARNED, Level.NO_DRAFTS):
        rig.registry.allow(level)
        sink.draft("item", level.name, "r")
    sink.finished(FinishedSuggestion("item", "q", "whole", "r", TurnTiming(None, 0.0)))
    told = [(entry[0], *entry[1:3]) for entry in publisher.log if entry[0] in {"draft", "finished"}]
    assert told == [("draft", "item", "WARNED"), ("finished", FinishedSuggestion("item", "q", "whole", "r", TurnTiming(None, 0.0)))]
    assert model.log == []
    await rig.registry.hang_up_all("drain", 5)
