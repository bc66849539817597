"""The model's machine dies in the middle of a question: what the agent sees in Sync, and that the question is answered. All processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import Watch, cut, sessions, start
from integration.faults_rig import hang_up
from support.eventually import eventually
from voiceassist_crds import names
from voiceassist_demo.playing import summaries
from voiceassist_demo.processes import Child, program
from voiceassist_demo.stage import Stage

QUESTION = "c2"


def messages(watch: Watch, call: dict[str, Any]) -> list[tuple[str, str]]:
    """The status item of the call's Map as it went: state and words."""
    name = names.suggestions_map(call["callSid"])
    return [
        (e["data"]["state"], e["data"]["message"])
        for e in watch.events
        if e["type"] == "sync"
        and e["event"] in {"item_added", "item_updated"}
        and e["uniqueName"] == name
        and e.get("key") == names.STATUS_KEY
    ]


async def in_the_middle(stage: Stage, recording: Path, watch: Watch) -> dict[str, Any]:
    """A call whose customer is in the middle of the question; the agent is heard, too."""
    call = await start(stage, recording, hangUp=None)

    async def heard() -> bool:
        (conversation,) = await sessions(stage, "realtime") or [{"bytesHeard": 0, "sent": {}}]
        (agent,) = await sessions(stage, "transcription") or [{"bytesHeard": 0}]
        began = conversation["sent"].get("input_audio_buffer.speech_started") == 1
        return began and conversation["bytesHeard"] > 8000 * 1.2 and agent["bytesHeard"] > 0

    await eventually(heard, seconds=20, what="the beginning of the question")
    return call


async def answered(stage: Stage, watch: Watch, call: dict[str, Any]) -> dict[str, Any]:
    """The suggestion; then the call is over."""
    await eventually(lambda: watch.items(call), seconds=40, what="the suggestion in Sync")
    await hang_up(stage, [call])
    await eventually(lambda: watch.states(call)[-1][0] == "stopped", seconds=30, what="the call's end")
    (item,) = watch.items(call)
    return item


async def test_a_killed_model_that_comes_back_answers_the_question_that_it_heard_half_of(tmp_path: Path) -> None:
    recording = cut(tmp_path, QUESTION)
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        call = await in_the_middle(stage, recording, watch)
        model = next(child for child in stage._children if child.name == "model")
        model.signal(signal.SIGKILL)
        await model.wait()
        await eventually(lambda: ("reconnecting", "ModelUnreachable") in watch.states(call), seconds=15, what="the agent is told")
        state, words = messages(watch, call)[-1]
        assert state == "reconnecting"
        assert "cannot be reached (Connection refused)" in words
        assert "will be heard" in words
        port = stage.model_url.rsplit(":", 1)[1]
        arguments = [program("voiceassist-sim"), "openai", "--port", port, "--api-key", stage.model.key]
        stage._children.append(await Child.start("model-again", arguments, stage.folder))
        assert (await answered(stage, watch, call))["answer"]
        told = [state for state, _ in watch.states(call)]
        assert told == ["starting", "live", "reconnecting", "live", "stopped"], told
        conversations = await sessions(stage, "realtime")
        (turn,) = [turn for session in conversations for turn in session["turns"] if turn["utterances"]]
        (heard,) = turn["utterances"]
        assert heard["exact"]
        assert (heard["cutHead"], heard["cutTail"]) == (0, 0), "the half from before the break too"
        log = stage.relay.child.log
        await eventually(lambda: summaries(log), seconds=15, what="the relay's last line about the call")
        (summary,) = summaries(log).values()
        assert summary["turns"] == {"suggested": 1}
        assert summary["reconnects"] == {"closed": 2}, "both kinds of sessions"
        for track in ("customer", "agent"):
            assert summary["frames"][track]["replayed"] > 0
            assert "dropped" not in summary["frames"][track]


async def test_sessions_that_break_in_the_middle_of_a_question_cost_nothing_that_the_agent_would_see(
    tmp_path: Path,
) -> None:
    recording = cut(tmp_path, QUESTION)
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        call = await in_the_middle(stage, recording, watch)
        status, told = await stage.send("POST", f"{stage.model_url}/_sim/drop", {})
        assert (status, told["dropped"]) == (200, 2)
        assert (await answered(stage, watch, call))["answer"]
        assert [state for state, _ in watch.states(call)] == ["starting", "live", "stopped"]
        first, second = await sessions(stage, "realtime")
        assert first["turns"] == []
        (turn,) = second["turns"]
        (heard,) = turn["utterances"]
        assert heard["exact"]
        assert (heard["cutHead"], heard["cutTail"]) == (0, 0)
        assert len(await sessions(stage, "transcription")) == 2
