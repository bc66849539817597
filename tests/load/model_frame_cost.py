"""What a frame costs on its way into the model's session, without the socket: ours, in each format of the audio, beside the barest append.

Run: python tests/load/model_frame_cost.py
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
import time
from collections.abc import Callable

from websockets.speedups import apply_mask

from voiceassist_crds.config import AudioFormat
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.realtime.audio_sender import AudioSender
from voiceassist_relay.realtime.core.audio_format import encoder
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.core.limits import SessionLimits

FRAMES = 100_000
ROUNDS = 9


def sink(_: bytes) -> None:
    """A socket that costs nothing."""


def bare(payload: bytes) -> None:
    """Wraps and masks, and keeps nothing."""
    message = b'{"type":"input_audio_buffer.append","audio":"%b"}' % payload
    mask = random.getrandbits(32).to_bytes(4, "big")
    sink(b"\x81\xfe" + len(message).to_bytes(2, "big") + mask + apply_mask(message, mask))


def fastest(work: Callable[[], None]) -> float:
    """CPU microseconds a frame, the best of some rounds."""
    best = math.inf
    for _ in range(ROUNDS):
        begun = time.thread_time()
        work()
        best = min(best, (time.thread_time() - begun) / FRAMES * 1e6)
    return round(best, 3)


def main() -> None:
    """Prints one JSON object."""
    payload = base64.b64encode(os.urandom(160))

    def ours(form: AudioFormat) -> Callable[[], None]:
        feed = AudioSender("customer", RelayMetrics(), SessionLimits())
        feed.attach(sink, AudioClock(), math.inf, encode=encoder(form))

        def work() -> None:
            put = feed.put
            for number in range(FRAMES):
                put(payload, number / 50)
                if number % 50 == 0:
                    feed.trim(number / 50 - 2)
            feed.trim(math.inf)

        return work

    def barest() -> None:
        for _ in range(FRAMES):
            bare(payload)

    print(json.dumps({"feedUs": {form.value: fastest(ours(form)) for form in AudioFormat}, "bareAppendUs": fastest(barest)}))


if __name__ == "__main__":
    main()
