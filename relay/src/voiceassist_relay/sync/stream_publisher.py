"""Sends a call's messages on its Stream: two lanes at the coalescer's pace, so that a slow draft holds nothing up that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from voiceassist_crds.messages import Draft, Status, StreamMessage, Transcript

from ..errors import TwilioError, TwilioRefused
from ..lazy_event import LazyEvent
from ..metrics.relay_metrics import RelayMetrics
from .call_objects import CallObjects
from .client import is_missing
from .coalescer import Coalescer, Lane, lane_of
from .health import is_ours_to_mend
from .retry import Backoff, Chance
from .truncation import stream_payload

LATEST_TIMEOUT = 2.0
"""Seconds for a draft: later it is out of date."""
_DRAFTS = 16
"""Suggestions of which it is remembered when their first words went out: the latest."""
_QUEUES = {Draft: "stream_draft", Transcript: "stream_transcript"}

log = structlog.get_logger(__name__)


class StreamPublisher:
    """One call's sender; one message of each lane is under way at a time.

    What is KEPT is repeated until it went out, and may then arrive twice under one id, which a Stream's listeners must bear
    anyway. A draft or transcript that failed goes back and is sent again only while it is the newest.
    """

    def __init__(self, objects: CallObjects, metrics: RelayMetrics, chance: Chance) -> None:
        self._objects, self._metrics, self._chance = objects, metrics, chance
        self._coalescer = Coalescer()
        self._wake = {lane: LazyEvent() for lane in Lane}
        self._under_way: dict[Lane, StreamMessage] = {}
        self._first_words: dict[str, float] = {}
        self._idle = LazyEvent()
        self._idle.set()

    def offer(self, message: StreamMessage) -> None:
        """Takes a message; returns at once."""
        self._count(self._coalescer.offer(message))
        self._idle.clear()
        self._wake[lane_of(message)].set()

    def first_words(self, suggestion: str) -> float | None:
        """When Sync accepted the first draft of a suggestion, in loop seconds; None if it accepted none."""
        return self._first_words.get(suggestion)

    async def idle(self) -> None:
        """Waits until everything that was offered went out."""
        await self._idle.wait()

    def forget_unfinished(self) -> None:
        """The call is over: drafts and unfinished transcripts are of no use any more."""
        self._coalescer.forget_unfinished()
        self._note_idle()

    def abandon(self) -> int:
        """Counts what did not go out as dropped and forgets it; returns how many messages that were."""
        left = [*self._under_way.values(), *self._coalescer.clear()]
        self._under_way.clear()
        self._count(left)
        return len(left)

    async def run(self, lane: Lane) -> None:
        """Sends one lane's messages, for ever."""
        await self._objects.stream.ready.wait()
        loop, wake, backoff = asyncio.get_running_loop(), self._wake[lane], Backoff(self._chance)
        while True:
            ready = self._coalescer.ready_at(lane)
            if ready is None:
                self._note_idle()
                await wake.wait()
                wake.clear()
            elif ready > loop.time():
                await asyncio.sleep(ready - loop.time())
            elif (message := self._coalescer.take(lane, loop.time())) is not None:
                self._under_way[lane] = message
                sent, error = await self._sent(message, lane)
                self._under_way.pop(lane, None)
                if sent:
                    backoff.worked()
                else:
                    self._count(self._coalescer.put_back(message))
                    await backoff.after(error)

    async def _sent(self, message: StreamMessage, lane: Lane) -> tuple[bool, TwilioError | None]:
        """Sends a message once: whether that is done with, or else the fault to wait out, if it was one."""
        objects = self._objects
        stream_sid = objects.stream.sid
        if isinstance(message, Status):
            message = message.model_copy(update={"stream": objects.stream_name})
        try:
            await objects.sync.publish(stream_sid, stream_payload(message), timeout=LATEST_TIMEOUT if lane is Lane.LATEST else None)
        except TwilioRefused as error:
            if is_missing(error):
                await objects.remake_stream(stream_sid)
                return False, None
            if is_ours_to_mend(error):
                return False, error
            log.error("message refused", type=message.type, status=error.status, code=error.code)
            self._count([message])
        except TwilioError as error:
            return False, error
        else:
            if isinstance(message, Draft):
                self._note_first_words(message.id)
        return True, None

    def _note_first_words(self, suggestion: str) -> None:
        if suggestion not in self._first_words:
            self._first_words[suggestion] = asyncio.get_running_loop().time()
            if len(self._first_words) > _DRAFTS:
                del self._first_words[next(iter(self._first_words))]

    def _note_idle(self) -> None:
        if not self._coalescer and not self._under_way:
            self._idle.set()

    def _count(self, dropped: Sequence[StreamMessage]) -> None:
        for message in dropped:
            self._metrics.dropped(_QUEUES.get(type(message), "stream_kept"))
