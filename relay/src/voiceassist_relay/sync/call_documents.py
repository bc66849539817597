"""Reads and writes calls' Documents: every change is conditional, and an unclear answer is cleared up by reading."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import call_document, stream_name

from ..config.snapshot import CurrentSnapshot
from ..errors import RequestRefused, TwilioRefused, TwilioUnclear
from ..twilio.retry import RetryPolicy, retrying
from .client import Revisioned, SyncClient, is_missing, is_stale, is_taken

CONFLICTS: Final = 12
"""How often a decision is taken anew because somebody else was quicker."""
_FIELDS: Final = frozenset(info.alias or name for name, info in CallDocument.model_fields.items())

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Seen:
    """A Document as it was read: whoever writes over it names its revision."""

    document: CallDocument
    sid: str
    revision: str


class CallDocuments:
    """The Documents of all calls, at one Sync service."""

    def __init__(self, sync: SyncClient, current: CurrentSnapshot, policy: RetryPolicy) -> None:
        self._sync, self._current, self._policy = sync, current, policy

    async def read(self, call_sid: str) -> Seen | None:
        """The call's Document; None if there is none. Raises TwilioError."""
        try:
            found = await retrying(self._policy, lambda: self._sync.fetch_document(call_document(call_sid)), idempotent=True)
        except TwilioRefused as error:
            if is_missing(error):
                return None
            raise
        return _seen(call_sid, found)

    async def write(self, call_sid: str, document: CallDocument, over: Seen | None) -> bool:
        """Writes over what was seen (None: creates). False: somebody else was quicker. Raises TwilioError.

        After an unclear answer the Document is read: it counts as written if it says exactly what was to be written. That no
        other relay wrote the very same is certain enough: every start carries its deadline to the microsecond. If nothing was
        written, it is tried again; should an attempt that was given up arrive after all, the next one is refused for it, and
        reading tells that it was ours.
        """
        loop, failures = asyncio.get_running_loop(), 0
        began = loop.time()
        while True:
            try:
                await retrying(self._policy, lambda: self._put(call_sid, document, over), idempotent=False)
            except TwilioUnclear as error:
                now = await self.read(call_sid)
                if now is not None and now.document == document:
                    return True
                if (now.revision if now else None) != (over.revision if over else None):
                    return False
                failures += 1
                delay = self._policy.delay(failures, random.random(), error.retry_after, loop.time() - began)  # noqa: S311 - jitter
                if delay is None:
                    raise  # nothing was written, and Sync is not well
            except TwilioRefused as error:
                if not (is_taken(error) or is_stale(error) or (over is not None and is_missing(error))):
                    raise
                now = await self.read(call_sid) if failures else None
                return now is not None and now.document == document
            else:
                return True
            await asyncio.sleep(delay)

    async def settle(
        self, call_sid: str, decide: Callable[[CallDocument | None], D], wanted: Callable[[D], CallDocument | None]
    ) -> tuple[CallDocument | None, D]:
        """Decides on the Document as it is and writes what the decision wants (None: nothing), until both fit together.

        Returns the Document that the decision was taken on, and the decision. Raises TwilioError; RequestRefused (503) if
        others were quicker all the time.
        """
        for _ in range(CONFLICTS):
            seen = await self.read(call_sid)
            before = seen.document if seen else None
            decision = decide(before)
            after = wanted(decision)
            if after is None or await self.write(call_sid, after, seen):
                return before, decision
        raise contended()

    async def _put(self, call_sid: str, document: CallDocument, over: Seen | None) -> Revisioned:
        data = document.model_dump(mode="json", by_alias=True)
        ttl = self._current().config.twilio.sync_ttl_seconds
        if over is None:
            return await self._sync.create_document(call_document(call_sid), data, ttl)
        return await self._sync.update_document(over.sid, data, if_match=over.revision, ttl=ttl)


def contended() -> RequestRefused:
    """Others changed the call's state all the time."""
    return RequestRefused(503, "contended", "callSid: others keep changing this call's state.", "Try again in a second.", retry_after=1.0)


def _seen(call_sid: str, found: Revisioned) -> Seen:
    return Seen(_document(call_sid, found.data), found.sid, found.revision)


def _document(call_sid: str, data: dict[str, Any]) -> CallDocument:
    """What another relay wrote. Fields of a later version are passed over; what cannot be read counts as lost, so that it never
    stands in the way of a later start."""
    try:
        return CallDocument.model_validate({name: value for name, value in data.items() if name in _FIELDS})
    except ValidationError:
        generation = data.get("generation")
        known = generation if isinstance(generation, int) and generation > 0 else 1
        return CallDocument(
            state=CallState.LOST,
            generation=known,
            stream_name=stream_name(call_sid, known),
            sync_stream=str(data.get("syncStream") or ""),
            deadline=0,
            worker="",
            identity="",
        )
