"""Reads and writes calls' Documents: every change is conditional, and an unclear answer is cleared up by reading."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from voiceassist_crds.messages import CallDocument
from voiceassist_crds.names import call_document

from ..errors import RequestRefused, TwilioRefused, TwilioUnclear, UnknownCallState
from ..logs import call_hash
from ..metrics.relay_metrics import RelayMetrics
from ..twilio.retry import RetryPolicy, retrying
from .client import Revisioned, SyncClient, is_missing, is_stale, is_taken
from .document_mac import FIELD, is_marked, marked
from .stored_document import UnknownState, read_document, unknown_fields

CONFLICTS: Final = 12
"""How often a decision is taken anew because somebody else was quicker."""

log = structlog.get_logger("voiceassist.documents")

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Seen:
    """A Document as it was read: whoever writes over it names its revision."""

    document: CallDocument
    sid: str
    revision: str


class DocumentStore:
    """One attempt at a time at the calls' Documents of one Sync service."""

    def __init__(self, sync: SyncClient, ttl: Callable[[], int], metrics: RelayMetrics) -> None:
        """`ttl` gives seconds."""
        self._sync, self._ttl, self._metrics = sync, ttl, metrics

    async def fetch(self, call_sid: str) -> Seen | None:
        """The call's Document; None if there is none, or one that no relay wrote: that is removed. Raises TwilioError; UnknownCallState
        if a later version is about something."""
        try:
            found = await self._sync.fetch_document(call_document(call_sid))
        except TwilioRefused as error:
            if is_missing(error):
                return None
            raise
        if not await self._is_ours(call_sid, found):
            await self._replace(call_sid, found)
            return None
        found.data.pop(FIELD, None)
        document = read_document(call_sid, found.data)
        if isinstance(document, UnknownState):
            self._metrics.other_version("document_state")
            log.warning("call left alone", call=call_hash(call_sid), state=document.state, generation=document.generation)
            raise UnknownCallState(document.state)
        if document.state.value != found.data.get("state"):
            log.error("a call's Document is damaged and counts as lost", call=call_hash(call_sid), fields=sorted(found.data)[:20])
        if unknown := unknown_fields(document):
            self._metrics.other_version("document_field", len(unknown))
        return Seen(document, found.sid, found.revision)

    async def put(self, call_sid: str, document: CallDocument, over: Seen | None) -> Seen:
        """Writes over what was seen (None: creates), with its time to live anew. Gives what is there now. Raises TwilioError."""
        data = marked(call_sid, document.wire(), self._sync.auth_tokens)
        if over is None:
            written = await self._sync.create_document(call_document(call_sid), data, self._ttl())
        else:
            written = await self._sync.update_document(over.sid, data, if_match=over.revision, ttl=self._ttl())
        return Seen(document, written.sid, written.revision)

    async def _is_ours(self, call_sid: str, found: Revisioned) -> bool:
        """Whether a relay wrote it: made through REST, and marked. Relays of version 0.1.0 do not mark; what they write counts where the
        service lets nobody else write to it."""
        if found.foreign:
            return False
        tokens = self._sync.auth_tokens
        if not tokens or is_marked(call_sid, found.data, tokens):
            return True
        if not await self._sync.is_guarded():
            return False
        self._metrics.other_version("document_mark")
        return True

    async def _replace(self, call_sid: str, found: Revisioned) -> None:
        self._sync.not_ours("document", call_sid)
        try:
            await self._sync.delete_document(found.sid)
        except TwilioRefused as error:
            if not is_missing(error):
                raise

    async def renew(self, call_sid: str) -> None:
        """Begins the Document's time to live anew. Raises TwilioError."""
        await self._sync.set_document_ttl(call_document(call_sid), self._ttl())


class CallDocuments:
    """The Documents of all calls, with the patience of one who has to answer."""

    def __init__(self, store: DocumentStore, policy: RetryPolicy) -> None:
        self._store, self._policy = store, policy

    async def read(self, call_sid: str) -> Seen | None:
        """The call's Document; None if there is none. Raises TwilioError or UnknownCallState."""
        return await retrying(self._policy, lambda: self._store.fetch(call_sid), idempotent=True)

    async def write(self, call_sid: str, document: CallDocument, over: Seen | None) -> bool:
        """Writes over what was seen (None: creates). False: somebody else was quicker. Raises TwilioError or UnknownCallState.

        After an unclear answer the Document is read: it counts as written if it says exactly what was to be written. That no
        other relay wrote the very same is certain enough: every start carries its deadline to the microsecond. If nothing was
        written, it is tried again; should an attempt that was given up arrive after all, the next one is refused for it, and
        reading tells that it was ours.
        """
        loop, failures = asyncio.get_running_loop(), 0
        began = loop.time()
        while True:
            try:
                await retrying(self._policy, lambda: self._store.put(call_sid, document, over), idempotent=False)
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

        Returns the Document that the decision was taken on, and the decision. Raises TwilioError, UnknownCallState; RequestRefused
        (503) if others were quicker all the time.
        """
        for _ in range(CONFLICTS):
            seen = await self.read(call_sid)
            before = seen.document if seen else None
            decision = decide(before)
            after = wanted(decision)
            if after is None or await self.write(call_sid, after, seen):
                return before, decision
        raise contended()


def contended() -> RequestRefused:
    """Others changed the call's state all the time."""
    return RequestRefused(503, "contended", "callSid: others keep changing this call's state.", "Try again in a second.", retry_after=1.0)
