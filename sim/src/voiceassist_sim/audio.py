"""Reads call recordings (WAV, any usual rate, width and channel count) and turns them into G.711 mu-law at 8 kHz.

Both stand-ins use these very bytes: the Twilio one sends them, the OpenAI one recognises them. The exact way from WAV to mu-law:

1. samples become 16-bit integers (8-bit: minus 128, times 256; 24 and 32-bit: arithmetic shift right; float: times 32767, rounded and
   clipped; A-law and mu-law: decoded by the tables of G.711);
2. if the rate is not 8000 Hz, each channel is resampled with a Hann-windowed sinc and rounded back to 16 bits; a recording that is
   8000 Hz already is not touched;
3. each sample is encoded by :func:`mulaw_encode`, the segment search of ITU-T G.711 on the upper 14 bits with bias 33 and clip 8159, which
   gives the same byte as ``audioop.lin2ulaw(…, 2)`` for every 16-bit value; digital silence becomes 0xFF;
4. each track is filled up with 0xFF to whole 20 ms frames (160 bytes).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE: Final = 8000
"""Samples (and mu-law bytes) per second of everything this module returns."""
FRAME_BYTES: Final = 160
"""Bytes of one 20 ms mu-law frame."""
MULAW_SILENCE: Final = 0xFF
"""The mu-law byte of a zero sample."""
MAX_SECONDS: Final = 4 * 3600
"""Longest recording that is read."""

_SINC_ZERO_CROSSINGS: Final = 24
_RESAMPLE_CHUNK: Final = 8192


class AudioError(ValueError):
    """A recording cannot be used; the text is one line that names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class CallRecording:
    """The two sides of a recorded call as mu-law, 8000 bytes a second, in whole 20 ms frames and of equal length."""

    customer: bytes
    agent: bytes | None
    """None for a mono recording, which is the customer alone."""

    @property
    def duration_ms(self) -> int:
        """Length in milliseconds."""
        return len(self.customer) * 1000 // RATE


def _mulaw_encode_table() -> npt.NDArray[np.uint8]:
    pcm = np.arange(-32768, 32768, dtype=np.int32) >> 2
    mask = np.where(pcm < 0, 0x7F, 0xFF)
    magnitude = np.minimum(np.abs(pcm), 8159) + 33
    segment = np.searchsorted(np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF]), magnitude)
    code = np.where(segment >= 8, 0x7F, (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F))
    # Index by the sample's two's complement so that a lookup needs no offset.
    return np.roll((code ^ mask).astype(np.uint8), -32768)


def _mulaw_decode_table() -> Samples:
    inverted = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((inverted & 0x0F) << 3) + 0x84) << ((inverted & 0x70) >> 4)) - 0x84
    return np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_decode_table() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    magnitude = (code & 0x0F) << 4
    value = np.where(segment == 0, magnitude + 8, (magnitude + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, value, -value).astype(np.int16)


_ENCODE: Final = _mulaw_encode_table()
MULAW_LINEAR: Final = _mulaw_decode_table()
"""The 16-bit sample of each mu-law byte."""
ALAW_LINEAR: Final = _alaw_decode_table()
"""The 16-bit sample of each A-law byte."""


def mulaw_encode(samples: Samples) -> bytes:
    """Encode 16-bit samples as G.711 mu-law, one byte each (see the module's text for the exact function)."""
    return _ENCODE[samples.astype(np.int16, copy=False).view(np.uint16)].tobytes()


def mulaw_decode(audio: bytes) -> Samples:
    """Decode G.711 mu-law into 16-bit samples."""
    return MULAW_LINEAR[np.frombuffer(audio, dtype=np.uint8)]


def alaw_decode(audio: bytes) -> Samples:
    """Decode G.711 A-law into 16-bit samples."""
    return ALAW_LINEAR[np.frombuffer(audio, dtype=np.uint8)]


def resample(samples: Samples, rate: int) -> Samples:
    """Resample one channel from ``rate`` Hz to 8000 Hz; at 8000 Hz the very same samples come back."""
    if rate == RATE or not len(samples):
        return samples
    divisor = math.gcd(rate, RATE)
    up, down = RATE // divisor, rate // divisor
    cutoff = min(1.0, up / down) * 0.95
    reach = math.ceil(_SINC_ZERO_CROSSINGS / cutoff)
    offsets = np.arange(-reach + 1, reach + 1)
    phases = np.arange(up)[:, None] / up
    distance = offsets[None, :] - phases
    window = np.where(np.abs(distance) < reach, 0.5 + 0.5 * np.cos(np.pi * distance / reach), 0.0)
    bank = cutoff * np.sinc(cutoff * distance) * window
    bank /= bank.sum(axis=1, keepdims=True)
    padded = np.concatenate([np.zeros(reach, np.float64), samples.astype(np.float64), np.zeros(reach + 1, np.float64)])
    total = len(samples) * up // down
    out = np.empty(total, np.float64)
    for start in range(0, total, _RESAMPLE_CHUNK):
        position = np.arange(start, min(start + _RESAMPLE_CHUNK, total), dtype=np.int64) * down
        index = (position // up)[:, None] + (offsets + reach)[None, :]
        out[start : start + len(position)] = (padded[index] * bank[position % up]).sum(axis=1)
    return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


def read_wav(path: Path) -> tuple[int, list[Samples]]:
    """Read a WAV file: its rate in Hz and one array of 16-bit samples per channel.

    Knows PCM of 8, 16, 24 and 32 bits, float of 32 and 64 bits, A-law and mu-law, each also as WAVE_FORMAT_EXTENSIBLE. A file that ends
    inside its data is read as far as whole samples go; so is one whose header says that the data has 0 bytes although audio follows, which
    is what a recorder leaves that was cut off before it wrote the length.

    Raises:
        AudioError: the file cannot be read, is no WAV file, or has a form that is not known.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise AudioError(f"{path}: not a WAV file (no RIFF/WAVE header)")
    form: bytes | None = None
    body: bytes | None = None
    at = 12
    while at + 8 <= len(data) and body is None:
        (size,) = struct.unpack_from("<I", data, at + 4)
        chunk = data[at + 8 : at + 8 + size]
        if data[at : at + 4] == b"data" and size == 0 and not _whole_chunks(data, at + 8):
            chunk = data[at + 8 :]
        if data[at : at + 4] == b"fmt ":
            form = chunk
        elif data[at : at + 4] == b"data":
            body = chunk
        at += 8 + size + (size & 1)
    if form is None or len(form) < 16:
        raise AudioError(f"{path}: no usable 'fmt ' chunk before the audio")
    if body is None:
        raise AudioError(f"{path}: no 'data' chunk, so no audio")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if code == 0xFFFE and len(form) >= 26:
        (code,) = struct.unpack_from("<H", form, 24)
    if not 1 <= channels <= 64 or not 1000 <= rate <= 768_000:
        raise AudioError(f"{path}: {channels} channels at {rate} Hz cannot be used (1 to 64 channels, 1000 to 768000 Hz)")
    frame = channels * (bits // 8)
    if frame and len(body) // frame > MAX_SECONDS * rate:
        raise AudioError(f"{path}: longer than {MAX_SECONDS // 3600} hours")
    flat = _to_int16(path, code, bits, body)
    usable = len(flat) - len(flat) % channels
    if not usable:
        raise AudioError(f"{path}: holds no audio")
    return rate, [np.ascontiguousarray(flat[start:usable:channels]) for start in range(channels)]


def _whole_chunks(data: bytes, at: int) -> bool:
    """Whether the file from here on is nothing but chunks that end where it ends: then what follows an empty data chunk is no audio."""
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        if not all(0x20 <= letter < 0x7F for letter in data[at : at + 4]):
            return False
        at += 8 + size + (size & 1)
    return at in (len(data), len(data) + 1)


def _to_int16(path: Path, code: int, bits: int, body: bytes) -> Samples:
    width = bits // 8
    body = body[: len(body) - len(body) % width] if width else b""
    match code, bits:
        case 1, 8:
            return (np.frombuffer(body, np.uint8).astype(np.int16) - 128) << 8
        case 1, 16:
            return np.frombuffer(body, "<i2").astype(np.int16)
        case 1, 24:
            octets = np.frombuffer(body, np.uint8).reshape(-1, 3)
            return np.ascontiguousarray(octets[:, 1:]).view("<i2").reshape(-1).astype(np.int16)
        case 1, 32:
            return (np.frombuffer(body, "<i4") >> 16).astype(np.int16)
        case 3, 32 | 64:
            real = np.frombuffer(body, "<f4" if bits == 32 else "<f8").astype(np.float64)
            return np.clip(np.rint(np.nan_to_num(real) * 32767.0), -32768, 32767).astype(np.int16)
        case 6, 8:
            return alaw_decode(body)
        case 7, 8:
            return mulaw_decode(body)
    raise AudioError(f"{path}: WAV format {code} with {bits} bits is not known (PCM 8/16/24/32, float 32/64, A-law, mu-law)")


def load_call(path: Path | str) -> CallRecording:
    """Read a recording as a call: a mono file is the customer; of a stereo file left is the customer and right is the agent.

    Raises:
        AudioError: as :func:`read_wav`, or more than two channels.
    """
    path = Path(path)
    rate, channels = read_wav(path)
    if len(channels) > 2:
        raise AudioError(f"{path}: {len(channels)} channels; a call has one (the customer) or two (customer, agent)")
    tracks = [_whole_frames(mulaw_encode(resample(channel, rate))) for channel in channels]
    if not tracks[0]:
        raise AudioError(f"{path}: holds no audio")
    return CallRecording(customer=tracks[0], agent=tracks[1] if len(tracks) == 2 else None)


def _whole_frames(audio: bytes) -> bytes:
    return audio + bytes([MULAW_SILENCE]) * (-len(audio) % FRAME_BYTES)
