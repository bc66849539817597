"""Audio sender: one track's way into its session, frame by frame. The hot path; everything unusual happens beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import monotonic

from websockets.speedups import apply_mask

from ..metrics.relay_metrics import RelayMetrics
from .core.audio_buffer import FRAME_CHARACTERS, AudioBuffer
from .core.audio_format import Encoder
from .core.audio_time import FRAME as SILENCE
from .core.audio_time import FRAME_SECONDS, AudioClock, RealTimeLimiter, payload_ms
from .core.client_events import APPEND_HEAD, APPEND_TAIL, append
from .core.limits import SessionLimits
from .websocket import masks, text_frame

SAMPLE = 50
"""Of so many frames one is timed, and then it is checked whether the track runs ahead of real time."""
_MOST_CHARACTERS = 16_384
_HEAD = b"\x81\xfe" + (len(APPEND_HEAD) + FRAME_CHARACTERS + len(APPEND_TAIL)).to_bytes(2, "big")

Write = Callable[[bytes], None]
Tap = Callable[[bytes, float], None]


class AudioSender:
    """Frames go straight to the session while it takes them; otherwise they wait in the ring, at most 30 s, the oldest dropped.

    Frames of a stream that is faster than real time are dropped: on the way straight through this is looked at once in `SAMPLE` frames.
    """

    __slots__ = (
        "_again",
        "_arrived",
        "_buffer",
        "_clock",
        "_closed",
        "_dropped",
        "_encode",
        "_fast",
        "_filled",
        "_forwarded",
        "_held",
        "_held_frames",
        "_keep",
        "_left",
        "_metrics",
        "_paused",
        "_paused_count",
        "_real_time",
        "_slot",
        "_tap",
        "_too_fast",
        "_track",
        "_writable",
        "_write",
    )

    def __init__(self, track: str, metrics: RelayMetrics, limits: SessionLimits) -> None:
        self._track = track
        self._metrics = metrics
        self._buffer = AudioBuffer(limits.replay_seconds)
        self._keep = self._buffer.latest.append
        self._arrived = self._buffer.arrivals.append
        self._clock = AudioClock()
        self._slot = self._clock.slots.append
        self._fast: Write | None = None
        self._write: Write | None = None
        self._encode: Encoder | None = None
        self._tap: Tap | None = None
        self._writable = True
        self._paused = False
        self._closed = False
        self._held = False
        self._held_frames = 0
        self._left = SAMPLE
        self._real_time = RealTimeLimiter()
        self._forwarded = self._again = self._filled = self._paused_count = self._dropped = self._too_fast = 0

    def put(self, payload: bytes, arrived: float) -> None:
        """One frame of base64 mu-law, as it came. Never raises."""
        write = self._fast
        if write is not None and len(payload) == FRAME_CHARACTERS:
            encode = self._encode
            try:
                if encode is None:
                    mask = next(masks)
                    write(_HEAD + mask + apply_mask(APPEND_HEAD + payload + APPEND_TAIL, mask))
                else:
                    write(text_frame(append(encode(payload))))
            except (RuntimeError, OSError):  # the socket just broke: its protocol will hear of it; the next session gets the frame
                self._fast = self._write = None
                self._wait(payload, arrived)
                return
            keep, note, slot = self._keep, self._arrived, self._slot
            keep(payload)
            note(arrived)
            slot(arrived)
            self._left -= 1
            if not self._left:
                self._sample(arrived)
        else:
            self._slow(payload, arrived)

    def attach(self, write: Write, clock: AudioClock, since: float, tap: Tap | None = None, encode: Encoder | None = None) -> float:
        """A session takes over: it gets the frames that arrived at `since` or later and those that no session got, then all new ones.

        `encode`: makes of mu-law what the session takes. Returns the arrival of the first of them, or `since` if that is earlier; both by
        the loop's clock, in seconds.
        """
        first = min(since, self._buffer.rewind(since))
        self._clock = clock
        self._slot = clock.slots.append
        self._write, self._tap, self._encode, self._writable = write, tap, encode, True
        self._pump()
        return first

    def detach(self) -> None:
        """The session is gone."""
        self._fast = self._write = self._tap = None

    def writable(self, yes: bool) -> None:
        """The session's socket stopped taking bytes, or began again."""
        self._writable = yes
        self._fast = None
        if yes:
            self._pump()

    def hold(self) -> None:
        """Frames wait from now on: the call is about to be handed over. `kept` is what was there before."""
        self._count()
        self._held, self._held_frames, self._fast = True, 0, None

    def let_go(self) -> None:
        """The call stays: what has waited goes out."""
        self._held = False
        self._pump()

    def kept(self) -> tuple[list[bytes], list[float], int]:
        """The latest frames until `hold`, oldest first, when they arrived, and how many at their end the session did not get."""
        buffer, end = self._buffer, max(0, len(self._buffer) - self._held_frames)
        missing = max(buffer.fresh, buffer.pending) - self._held_frames
        return buffer.kept(0, end), buffer.arrivals[:end].tolist(), max(0, missing)

    def since(self, arrival: float) -> tuple[Sequence[bytes], Sequence[float]]:
        """The frames that arrived at `arrival` (loop seconds) or later, oldest first, and when each arrived."""
        return self._buffer.since(arrival)

    def begin_with(self, frames: Sequence[bytes], arrivals: Sequence[float], fresh: int) -> None:
        """Goes on with the audio that another relay kept; to be called before the first frame."""
        if not self._paused:
            self._buffer.begin_with(frames, arrivals, fresh)

    def pause(self) -> None:
        """No byte goes out from now on, and none is kept."""
        self._paused, self._fast, self._held_frames = True, None, 0
        self._paused_count += self._buffer.clear()

    def resume(self) -> None:
        """Frames go out again."""
        self._paused = False
        self._pump()

    def close(self) -> None:
        """There will be no session any more."""
        self.detach()
        self._closed = True
        self._dropped += self._buffer.clear()
        self.flush()

    def fill(self, count: int, now: float) -> None:
        """Appends silence of our own, unless audio is still on its way."""
        if self._write is None or self._paused or self._held or not self._writable or self._buffer.pending:
            return
        for _ in range(count):
            self._put_out(SILENCE, now)
        self._filled += count

    def trim(self, before: float) -> None:
        """Forgets audio that arrived earlier; about once a second."""
        self._buffer.trim(before)
        self._clock.trim()

    def acknowledge(self, before: float) -> None:
        """Forgets audio that arrived earlier, as soon as it is known that the server has it."""
        self._buffer.trim(before)

    def flush(self) -> None:
        """Writes the counters."""
        self._count()
        metrics, track = self._metrics, self._track
        if self._forwarded:
            metrics.frames(track, "forwarded", self._forwarded)
        if self._again:
            metrics.frames(track, "replayed", self._again)
        if self._filled:
            metrics.frames(track, "filled", self._filled)
        if self._paused_count:
            metrics.frames(track, "paused", self._paused_count)
        if self._dropped:
            metrics.frames(track, "dropped", self._dropped)
            metrics.dropped("model_audio", self._dropped)
        if self._too_fast:
            metrics.frames(track, "dropped", self._too_fast)
            metrics.dropped("too_fast", self._too_fast)
        self._forwarded = self._again = self._filled = self._paused_count = self._dropped = self._too_fast = 0

    @property
    def last_arrival(self) -> float:
        """When the latest frame that is still known arrived, in the loop's seconds; -inf if none is."""
        last = self._buffer.last_arrival
        return -math.inf if last is None else last

    @property
    def flowing(self) -> bool:
        """Whether nothing waits for the session."""
        return self._write is not None and not self._buffer.pending

    @property
    def waiting(self) -> bool:
        """Whether there is audio that no session got yet."""
        return self._buffer.fresh > 0

    def _slow(self, payload: bytes, arrived: float) -> None:
        if self._paused:
            self._paused_count += 1
        elif self._closed or len(payload) > _MOST_CHARACTERS:
            self._dropped += 1
        elif not self._real_time.room(arrived):
            self._too_fast += 1
        else:
            self._real_time.took(payload_ms(payload) / 1000)
            if self._held:
                self._held_frames += 1
            if self._write is None or not self._writable or self._held or self._buffer.pending:
                self._wait(payload, arrived)
            else:
                self._buffer.sent(arrived, payload)
                self._put_out(payload, arrived)
                self._forwarded += 1
                self._dropped += self._buffer.shrink()
                if self._fast is None:
                    self._pump()
        self._left_slow()

    def _wait(self, payload: bytes, arrived: float) -> None:
        self._dropped += self._buffer.wait(arrived, payload)

    def _left_slow(self) -> None:
        if self._forwarded + self._paused_count + self._dropped + self._too_fast >= SAMPLE:
            self.flush()

    def _pump(self) -> None:
        """Writes what waits, as far as the socket takes it."""
        if self._write is None or self._paused or self._held:
            return
        if self._buffer.pending and self._writable:
            for arrived, payload, again in self._buffer.take():
                self._put_out(payload, arrived)
                if again:
                    self._again += 1
                else:
                    self._forwarded += 1
                if not self._writable or self._write is None:
                    break
        if self._write is not None and self._writable and not self._buffer.pending and self._tap is None:
            self._fast = self._write

    def _put_out(self, payload: bytes, arrived: float) -> None:
        if self._write is None:
            return
        try:
            self._write(text_frame(append(payload if self._encode is None else self._encode(payload))))
        except (RuntimeError, OSError):
            self._fast = self._write = None
            return
        self._clock.wrote(payload_ms(payload), arrived)
        if self._tap is not None:
            self._tap(payload, arrived)

    def _count(self) -> None:
        """Counts the frames that went straight through, and holds the audio buffer's bound for them."""
        straight = SAMPLE - self._left
        self._dropped += self._buffer.shrink()
        self._buffer.pack()
        self._forwarded += straight
        self._real_time.took(straight * FRAME_SECONDS)
        self._left = SAMPLE

    def _sample(self, arrived: float) -> None:
        self._metrics.frame_forwarded(max(0.0, monotonic() - arrived))
        self._count()
        if not self._real_time.room(arrived):
            self._fast = None
