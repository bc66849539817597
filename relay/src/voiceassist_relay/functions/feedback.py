"""What agents report of suggestions: their verdict, and the paint. Counted for a suggestion that was published to them, and once."""

from __future__ import annotations

from typing import Final

from ..call.access import left_alone
from ..call.dependencies import FunctionDependencies
from ..errors import RequestRefused, UnknownCallState
from ..sync import receipts, verdict_rules
from ..sync.call_documents import CallDocuments
from ..sync.receptions import Published, Receptions
from ..sync.verdict_rules import Reception
from ..twilio.person import Person
from .painted import painted_seconds
from .requests import FeedbackFields

PAINTED: Final = "painted"


class Feedback:
    """The reports on suggestions."""

    def __init__(self, deps: FunctionDependencies, documents: CallDocuments) -> None:
        self._deps, self._documents = deps, documents
        self._receptions = Receptions(deps.sync, deps.sync_ttl, deps.timing.ask)

    async def take(self, fields: FeedbackFields, person: Person) -> None:
        """Counts a report; one that says again what is known changes nothing. Raises RequestRefused, TwilioError."""
        now = self._deps.now()
        published = await self._receptions.find(fields.call_sid, fields.id, fields.seq)
        known = published is not None and published.suggestion.revision == fields.revision
        if published is None or not known or not await self._is_for(fields.call_sid, person, published):
            raise _not_published()
        if fields.verdict == PAINTED:
            await self._painted(fields, published, now)
        else:
            await self._judged(fields, published)

    async def _painted(self, fields: FeedbackFields, published: Published, now: float) -> None:
        suggestion = published.suggestion
        seconds = painted_seconds(suggestion.at, suggestion.latency_ms, fields.ago_ms or 0, now)
        if seconds is None:
            return
        before, after = await self._receptions.change(fields.call_sid, published.seq, verdict_rules.painted)
        if before != after:
            self._deps.metrics.suggestion_painted(seconds)

    async def _judged(self, fields: FeedbackFields, published: Published) -> None:
        def change(before: Reception) -> Reception:
            return verdict_rules.judged(before, fields.verdict, fields.reason or "")

        before, after = await self._receptions.change(fields.call_sid, published.seq, change)
        metrics, revision = self._deps.metrics, published.suggestion.revision
        if before.verdict != after.verdict:
            metrics.feedback(revision, after.verdict, instead_of=before.verdict, call=fields.call_sid)
        if before.reason != after.reason:
            metrics.feedback_reason(after.reason, instead_of=before.reason)

    async def _is_for(self, call_sid: str, person: Person, published: Published) -> bool:
        """Whether it was published to this worker: its receipt says so. Without one (relays of version 0.1.0 write none, nor does anybody
        without an auth token) it counts for the worker in charge of the call, where nobody but us writes to the Map."""
        if published.foreign:
            return False
        tokens = self._deps.current().secrets.auth_tokens
        if published.suggestion.receipt is not None:
            return receipts.is_for(call_sid, person.worker, published.suggestion, tokens)
        if tokens and not await self._deps.sync.is_guarded():
            return False
        try:
            seen = await self._documents.read(call_sid)
        except UnknownCallState as error:
            raise left_alone("feedback", error.state) from error
        if seen is None or not person.worker or seen.document.worker != person.worker:
            return False
        if tokens:
            self._deps.metrics.other_version("suggestion_receipt")
        return True


def _not_published() -> RequestRefused:
    """One answer for all: who may not read a call learns nothing of what is in it."""
    return RequestRefused(
        403,
        "not_published",
        "id: no suggestion of this id and revision was published to this worker in this call, or it is there no more.",
        "Only the worker who was in charge of the call when it came can judge it, for as long as it is in Sync.",
    )
