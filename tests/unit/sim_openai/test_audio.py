"""Recordings become mu-law by the standard's function, whatever their form, and broken files are one clear line."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from voiceassist_sim.audio import AudioError, alaw_decode, load_call, mulaw_decode, mulaw_encode, read_wav, resample

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    audioop = pytest.importorskip("audioop")

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_BYTE = bytes(range(256))


def wav(
    data: bytes, *, code: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, extensible: bool = False, before: bytes = b""
) -> bytes:
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else code, channels, rate, rate * frame, frame, bits)
    if extensible:
        form += struct.pack("<HHIH14s", 22, bits, 0, code, b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x008\x9bq")
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def unfinished(data: bytes, size: int) -> bytes:
    """A recording whose header was never filled in: RIFF and data have the size that the recorder began with."""
    whole = bytearray(wav(data))
    struct.pack_into("<I", whole, 4, size)
    struct.pack_into("<I", whole, len(whole) - len(data) - 4, size)
    return bytes(whole)


def test_mulaw_is_that_of_the_standard_for_every_value() -> None:
    assert mulaw_encode(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE.tobytes(), 2)
    assert mulaw_decode(EVERY_BYTE).tobytes() == audioop.ulaw2lin(EVERY_BYTE, 2)
    assert alaw_decode(EVERY_BYTE).tobytes() == audioop.alaw2lin(EVERY_BYTE, 2)
    assert mulaw_encode(np.zeros(3, np.int16)) == b"\xff\xff\xff"


TONE = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(1600) / 8000)).astype(np.int16)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("16 bit", wav(TONE.tobytes())),
        ("24 bit", wav(b"".join(struct.pack("<i", int(s) << 8)[:3] for s in TONE), bits=24)),
        ("32 bit", wav((TONE.astype(np.int32) << 16).tobytes(), bits=32)),
        ("extensible", wav(TONE.tobytes(), extensible=True)),
        ("a chunk before", wav(TONE.tobytes(), before=b"LIST\x03\x00\x00\x00abc\x00")),
        ("cut off inside the last sample", wav(TONE.tobytes() + b"\x01")),
        ("of a recorder that was cut off before it wrote the length", unfinished(TONE.tobytes(), 0)),
        ("of a recorder that writes to a pipe", unfinished(TONE.tobytes(), 0xFFFFFFFF)),
    ],
)
def test_samples_at_8000_hz_pass_through_exactly(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "call.wav").write_bytes(content)
    call = load_call(tmp_path / "call.wav")
    assert call.customer == mulaw_encode(TONE)
    assert (call.agent, call.duration_ms) == (None, 200)


@pytest.mark.parametrize(
    ("name", "content", "tolerance"),
    [
        ("8 bit", wav(((TONE >> 8) + 128).astype(np.uint8).tobytes(), bits=8), 256),
        ("float", wav((TONE / 32767).astype("<f4").tobytes(), code=3, bits=32), 1),
        ("double", wav((TONE / 32767).astype("<f8").tobytes(), code=3, bits=64), 1),
        ("mu-law", wav(mulaw_encode(TONE), code=7, bits=8), 300),
    ],
)
def test_other_forms_give_the_same_sound(tmp_path: Path, name: str, content: bytes, tolerance: int) -> None:
    (tmp_path / "call.wav").write_bytes(content)
    rate, (samples,) = read_wav(tmp_path / "call.wav")
    assert rate == 8000
    assert np.abs(samples.astype(int) - TONE).max() <= tolerance


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000, 7350])
def test_resampling_keeps_a_tone_and_drops_what_8000_hz_cannot_hold(rate: int) -> None:
    time = np.arange(rate) / rate
    tone = np.rint(10_000 * np.sin(2 * np.pi * 500 * time)).astype(np.int16)
    out = resample(tone, rate)
    assert len(out) == 8000
    wanted = 10_000 * np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)
    assert np.abs(out - wanted)[400:-400].max() < 30
    if rate > 11025:
        high = np.rint(10_000 * np.sin(2 * np.pi * 5_000 * time)).astype(np.int16)
        assert np.abs(resample(high, rate)[400:-400]).max() < 30


def test_left_is_the_customer_and_right_the_agent_in_whole_frames(tmp_path: Path) -> None:
    left, right = TONE[:1000], TONE[:1000] // 2
    (tmp_path / "call.wav").write_bytes(wav(np.stack([left, right], axis=1).tobytes(), channels=2))
    call = load_call(tmp_path / "call.wav")
    assert call.customer == mulaw_encode(left) + b"\xff" * 120
    assert call.agent == mulaw_encode(right) + b"\xff" * 120


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "not a WAV file"),
        (b"ID3\x03 this is an mp3", "not a WAV file"),
        (b"RIFF\x04\x00\x00\x00WAVE", "no usable 'fmt ' chunk"),
        (wav(b"")[:-8], "no 'data' chunk"),
        (wav(b""), "holds no audio"),
        (wav(b"") + b"LIST\x03\x00\x00\x00abc\x00", "holds no audio"),
        (wav(b"\x00" * 12, channels=3), "3 channels; a call has one (the customer) or two"),
        (wav(b"\x00" * 8, code=2, bits=4), "WAV format 2 with 4 bits is not known"),
        (wav(b"\x00" * 8, code=85), "WAV format 85 with 16 bits is not known"),
        (wav(b"\x00" * 8, rate=0), "at 0 Hz cannot be used"),
        (wav(b"\x00" * 8, channels=0), "0 channels"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "call.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError) as raised:
        load_call(path)
    assert complaint in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_a_folder_is_one_clear_line_too(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be read"):
        load_call(tmp_path)
