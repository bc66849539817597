"""Audio levels of a recording, for the page's meters. Pure."""

from __future__ import annotations

import numpy as np

from voiceassist_sim.audio import CallRecording, mulaw_decode

STEP_MS = 100
FLOOR_DB = -60.0


def levels(audio: bytes | None) -> list[float]:
    """Loudness of each 100 ms, from 0 (silence) to 1 (full scale), on a scale of decibels."""
    if not audio:
        return []
    samples = mulaw_decode(audio).astype(np.float64)
    step = 8 * STEP_MS
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    power = np.sqrt((blocks**2).mean(axis=1)) / 32768
    decibels = 20 * np.log10(np.maximum(power, 1e-6))
    return [round(float(value), 3) for value in np.clip(1 - decibels / FLOOR_DB, 0, 1)]


def both(recording: CallRecording) -> dict[str, list[float]]:
    """The meters of both sides."""
    return {"customer": levels(recording.customer), "agent": levels(recording.agent)}
