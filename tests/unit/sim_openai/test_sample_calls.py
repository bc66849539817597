"""The sample calls: one turn for each utterance of the customer, whole, with its suggestion; and the script that makes them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from unit.sim_openai.rig import call, session_config, transcribe
from voiceassist_sim.audio import load_call
from voiceassist_sim.openai import Behaviour, CallsError, RealtimeServer, SampleCall, default_calls, load_sample_calls

FOLDER = default_calls()
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_there_are_three_of_30_to_60_seconds(calls: list[SampleCall]) -> None:
    assert len(NAMES) == 3 == len(calls)
    for name in NAMES:
        assert 30_000 <= load_call(FOLDER / f"{name}.wav").duration_ms <= 60_000


@pytest.mark.parametrize("name", NAMES)
def test_gaps_are_silent_and_long(calls: list[SampleCall], name: str) -> None:
    (sample,) = [one for one in calls if one.name == name]
    recording = load_call(FOLDER / f"{name}.wav")
    for speaker, track in (("customer", recording.customer), ("agent", recording.agent)):
        assert track is not None
        at, first = 0, True
        for utterance in (one for one in sample.utterances if one.speaker == speaker):
            gap = track[at : utterance.start_ms * 8]
            assert gap.strip(b"\xff") == b""
            assert first or len(gap) >= 900 * 8
            at, first = utterance.end_ms * 8, False
        assert track[at:].strip(b"\xff") == b"" and len(track) - at >= 900 * 8
    kinds = [utterance.relevant for utterance in sample.utterances if utterance.speaker == "customer"]
    assert any(kinds) and not all(kinds)
    assert all(one.question and one.answer for one in sample.utterances if one.relevant)
    assert not any(one.question or one.answer for one in sample.utterances if not one.relevant)


@pytest.mark.parametrize("silence_ms", [500, 200])
@pytest.mark.parametrize("name", NAMES)
async def test_each_utterance_of_the_customer_is_one_whole_turn(calls: list[SampleCall], name: str, silence_ms: int) -> None:
    (sample,) = [one for one in calls if one.name == name]
    behaviour = Behaviour(first_token_ms=0, delta_ms=0)
    turns = {"type": "server_vad", "silence_duration_ms": silence_ms, "interrupt_response": False, "create_response": True}
    async with RealtimeServer(behaviour=behaviour, calls=calls) as server:
        async with call(server, config=session_config(turn_detection=turns)) as caller:
            spoken = [one for one in sample.utterances if one.speaker == "customer"]
            audio = load_call(FOLDER / f"{name}.wav").customer
            for index in range(len(spoken)):
                begin = 0 if index == 0 else spoken[index].start_ms * 8 - 4000
                end = len(audio) if index + 1 == len(spoken) else spoken[index + 1].start_ms * 8 - 4000
                await caller.append(audio[begin:end])
                await caller.until("response.done")
        report = server.sessions[0].to_json()
    assert [turn["recognised"] for turn in report["turns"]] == [one.id for one in spoken]
    assert all(turn["exact"] for turn in report["turns"])
    for turn, one in zip(report["turns"], spoken, strict=True):
        assert turn["startMs"] < one.start_ms + 100
        assert one.end_ms - 100 < turn["spokenMs"] <= turn["endMs"] - silence_ms < one.end_ms + 100
    said = [json.loads(response["arguments"]) for response in report["responses"]]
    assert said == [{"relevant": one.relevant, "answer": one.answer, "question": one.question} for one in spoken]


@pytest.mark.parametrize("name", NAMES)
async def test_the_words_of_the_agent_are_transcribed(calls: list[SampleCall], name: str) -> None:
    (sample,) = [one for one in calls if one.name == name]
    behaviour = Behaviour(transcription_delay_ms=0, transcription_delta_ms=0)
    spoken = [one for one in sample.utterances if one.speaker == "agent"]
    async with (
        RealtimeServer(behaviour=behaviour, calls=calls) as server,
        transcribe(server, transcription={"model": "gpt-transcribe"}, turn_detection={"type": "server_vad"}) as caller,
    ):
        await caller.append(load_call(FOLDER / f"{name}.wav").agent or b"")
        heard = [await caller.until("conversation.item.input_audio_transcription.completed") for _ in spoken]
        order = [turn.item for turn in server.sessions[0].protocol.ledger.turns]
    heard.sort(key=lambda event: order.index(event["item_id"]))
    assert [event["transcript"] for event in heard] == [one.text for one in spoken]


def test_the_script_writes_the_files_that_are_here() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    if "1.51" not in version:
        pytest.skip(f"the files were made by espeak-ng 1.51, not by {version.strip()}")
    check = subprocess.run([sys.executable, FOLDER / "make_calls.py", "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


UTTERANCE = {"id": "c1", "speaker": "customer", "startMs": 0, "endMs": 900, "text": "a", "relevant": True, "question": "q", "answer": "a"}


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("{", "cannot be read as JSON"),
        ([], "an object with the list 'utterances' is expected"),
        ({"utterances": 5}, "an object with the list 'utterances' is expected"),
        ({"utterances": [5]}, "utterances[0].id must be given as str"),
        ({"utterances": [UTTERANCE, {**UTTERANCE, "relevant": "yes"}]}, "utterances[1].relevant must be given as bool"),
        ({"utterances": [{**UTTERANCE, "startMs": 1.5}]}, "utterances[0].startMs must be given as int"),
        ({"utterances": [{**UTTERANCE, "speaker": "agent"}]}, "'agent' has no track in the recording"),
        ({"utterances": [{**UTTERANCE, "speaker": "robot"}]}, "'robot' has no track in the recording"),
        ({"utterances": [{**UTTERANCE, "endMs": 1001}]}, "utterances[0] lies outside the recording"),
        ({"utterances": [{**UTTERANCE, "startMs": 900}]}, "utterances[0] lies outside the recording"),
    ],
)
def test_a_script_that_does_not_fit_is_one_clear_line(tmp_path: Path, script: object, complaint: str) -> None:
    path = tmp_path / "call.json"
    path.write_text(script if isinstance(script, str) else json.dumps(script))
    with wave.open(str(tmp_path / "call.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16_000))
    with pytest.raises(CallsError) as raised:
        load_sample_calls(tmp_path)
    assert complaint in str(raised.value) and str(raised.value).startswith(f"{path}: ")
    path.write_text(json.dumps({"utterances": [UTTERANCE]}))
    assert [one.id for one in load_sample_calls(tmp_path)[0].utterances] == ["call/c1"]


def test_a_folder_that_does_not_exist_makes_everything_unknown(tmp_path: Path) -> None:
    assert load_sample_calls(tmp_path / "nowhere") == []
