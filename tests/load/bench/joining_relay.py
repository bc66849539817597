"""Our relay, changed for one question: what it saves to join frames into one append, and what that costs in latency.

joining_relay.py FRAMES [the relay's own arguments]
"""

from __future__ import annotations

import sys
from binascii import a2b_base64, b2a_base64

from voiceassist_relay.cli import main
from voiceassist_relay.realtime.audio_sender import SAMPLE, AudioSender
from voiceassist_relay.realtime.core.audio_buffer import FRAME_CHARACTERS
from voiceassist_relay.realtime.core.client_events import append
from voiceassist_relay.realtime.websocket import text_frame

FRAMES = int(sys.argv.pop(1))
_held: dict[int, list[bytes]] = {}
_put = AudioSender.put


def put(feed: AudioSender, payload: bytes, arrived: float) -> None:
    """As `AudioSender.put`, but written only when enough frames are there; what is not of the common size goes the usual way."""
    if feed._fast is None or len(payload) != FRAME_CHARACTERS:
        _put(feed, payload, arrived)
        return
    held = _held.setdefault(id(feed), [])
    held.append(a2b_base64(payload))
    if len(held) == FRAMES:
        feed._fast(text_frame(append(b2a_base64(b"".join(held), newline=False))))
        held.clear()
    feed._keep(payload)
    feed._arrived(arrived)
    feed._slot(arrived)
    feed._left -= 1
    if not feed._left:
        feed._sample(arrived)


assert SAMPLE > FRAMES
if FRAMES > 1:
    AudioSender.put = put  # type: ignore[method-assign]  # this is the experiment
main()
