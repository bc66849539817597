"""What is played: meters of recordings, files that cannot be used, and the relay's summaries in its log."""

from __future__ import annotations

import json
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from voiceassist_demo.errors import DemoError
from voiceassist_demo.meters import both, levels
from voiceassist_demo.once import recordings
from voiceassist_demo.playing import summaries
from voiceassist_sim.audio import CallRecording, mulaw_encode


def tone(amplitude: float, seconds: float = 1.0) -> bytes:
    return mulaw_encode((amplitude * 32767 * np.sin(2 * np.pi * 400 * np.arange(int(8000 * seconds)) / 8000)).astype(np.int16))


def write(path: Path, seconds: float = 0.1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(int(16000 * seconds)))
    return path


# ---- meters


def test_playing_a_level_for_each_tenth_of_a_second() -> None:
    assert len(levels(tone(0.5, 1.05))) == 10


def test_playing_silence_is_nothing_and_full_scale_is_nearly_one() -> None:
    assert set(levels(b"\xff" * 8000)) == {0.0}
    assert all(0.9 < value <= 1 for value in levels(tone(1.0)))


def test_playing_half_the_amplitude_is_six_decibels_less() -> None:
    assert levels(tone(0.8))[0] - levels(tone(0.4))[0] == pytest.approx(6.02 / 60, abs=0.005)


def test_playing_a_mono_recording_has_no_agent() -> None:
    meters = both(CallRecording(tone(0.5), None))
    assert meters["agent"] == []
    assert len(meters["customer"]) == 10


# ---- which recordings


def test_playing_given_files_come_before_the_samples_and_repeat_up_to_the_count(tmp_path: Path) -> None:
    write(tmp_path / "sample.wav")
    given = [write(tmp_path / "x.wav"), write(tmp_path / "y.wav")]
    assert recordings(given, tmp_path, None) == given
    assert recordings(given, tmp_path, 3) == [*given, given[0]]
    assert recordings(given, tmp_path, 1) == given[:1]


def test_playing_the_samples_in_the_order_of_their_names(tmp_path: Path) -> None:
    expected = [write(tmp_path / name) for name in ("b.wav", "a.wav")]
    assert recordings([], tmp_path, None) == sorted(expected)


def test_playing_no_samples(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no sample calls"):
        recordings([], tmp_path, None)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"not audio at all",
        b"RIFF" + struct.pack("<I", 4) + b"WAVE",
        b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x02\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00",
    ],
    ids=["missing", "empty", "text", "no format", "ADPCM"],
)
def test_playing_a_broken_file_is_named_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DemoError) as caught:
        recordings([path], tmp_path, None)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_playing_a_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"one\.wav"):
        (tmp_path / "one.wav").mkdir()
        recordings([tmp_path / "one.wav"], tmp_path, None)


# ---- summaries


def test_playing_summaries_are_the_last_lines_about_calls_by_hash(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    lines = [
        {"event": "call over", "call": "aaaa", "turns": {"failed": 1}},
        {"event": "listening", "call": "aaaa"},
        {"event": "call over", "call": "bbbb", "turns": {}},
        {"event": "call over", "call": "aaaa", "turns": {"suggested": 2}},
    ]
    log.write_text("Traceback (most recent call last):\n" + "\n".join(map(json.dumps, lines)) + '\n{"event": "call ov')
    found = summaries(log)
    assert set(found) == {"aaaa", "bbbb"}
    assert found["aaaa"]["turns"] == {"suggested": 2}
