"""Stops, pauses and resumes a call's stream: they count from the worker now in the call."""

from __future__ import annotations

import asyncio
from typing import Any

from voiceassist_crds.messages import CallDocument, CallState

from ..errors import RequestRefused, TwilioError
from ..sync.agent_status import STOPPED, AgentStatus
from ..sync.call_documents import CallDocuments
from ..sync.document_rules import NotRunning, NotYours, SetPaused, Stop, Succession, decide_paused, decide_stop, is_running
from ..twilio.call_streams import TwilioStreams
from ..twilio.error_answers import stop_failed
from ..twilio.person import Person
from .access import not_in_the_call, nothing_to
from .dependencies import FunctionDependencies
from .peer_relays import Asked, PeerRelays
from .start import StreamStarter, shown_state

_LOOK_SECONDS = 0.25
_OWNERS = 3
"""Relays that are asked in turn while a call moves on and on."""


class StreamControl:
    """The actions on a stream that runs."""

    def __init__(
        self,
        deps: FunctionDependencies,
        documents: CallDocuments,
        streams: TwilioStreams,
        status: AgentStatus,
        peers: PeerRelays,
        starts: StreamStarter,
    ) -> None:
        self._deps, self._documents, self._streams = deps, documents, streams
        self._status, self._peers, self._starts = status, peers, starts

    async def stop(self, call_sid: str, person: Person) -> dict[str, Any]:
        """Stops the stream. What does not run is stopped; another worker's call goes on. Raises RequestRefused, TwilioError.

        The Document comes first, so that the stream's end is nobody's surprise; a stop that fails at Twilio may be repeated.
        """
        before, decision = await self._decide_stop(call_sid, person, settled=False)
        left = isinstance(decision, Succession) and decision.document.worker == person.worker
        if isinstance(decision, Succession):
            await self._starts.succession(call_sid, decision.document)
            before, decision = await self._decide_stop(call_sid, person, settled=True)
        match decision:
            case NotRunning() | Succession():
                return {"state": "stopped", "callSid": call_sid}
            case NotYours(document=document):
                ignored = "another worker is in the call now; this stop does not count"
                if not document.worker:
                    ignored = "it is not known which worker is in the call; start assist to take charge of it, then stop it"
                elif not left and await self._starts.end_watch(call_sid, person):
                    ignored = "the assist goes on for the worker in the call; you read along no more"
                return {"state": shown_state(document), "callSid": call_sid, "ignored": ignored}
            case Stop(document=document):
                try:
                    await self._streams.stop(call_sid, document)
                except TwilioError as error:
                    raise stop_failed(error, self._deps.current().secrets) from error
                if before is not None and decision.changed:
                    self._deps.background.spawn("tell stopped", self._tell_stopped(call_sid, before, document))
                return {"state": "stopped", "callSid": call_sid, "generation": document.generation}

    async def set_paused(self, call_sid: str, person: Person, paused: bool) -> dict[str, Any]:
        """Holds the call's audio back from the model, or lets it go on. Raises RequestRefused, TwilioError.

        Writes the Document first: a relay that gets the audio later reads it there. The answer comes when the relay that has
        the audio has done it.
        """
        action = "pause" if paused else "resume"
        decision = await self._decide_paused(call_sid, person, paused, settled=False)
        if isinstance(decision, Succession):
            await self._starts.succession(call_sid, decision.document)
            decision = await self._decide_paused(call_sid, person, paused, settled=True)
        match decision:
            case NotRunning() | Succession():
                raise nothing_to(action)
            case NotYours():
                raise not_in_the_call(action)
            case SetPaused(document=document, tell=tell):
                if tell:
                    document = await self._told(call_sid, document, action)
                shown = {"state": shown_state(document), "callSid": call_sid, "generation": document.generation}
                # Without audio at any relay it is in the Document, which every relay reads before a byte goes to the model.
                return {**shown, "confirmed": document.state is CallState.LIVE}

    async def _tell_stopped(self, call_sid: str, before: CallDocument, stopped: CallDocument) -> None:
        """The relay with the audio tells the agent, unless there is none, or it is no more."""
        if before.state is CallState.LIVE and await self._peers.has(call_sid, before) not in {Asked.GONE, Asked.NEVER, Asked.UNKNOWN}:
            return
        await self._status.tell(call_sid, stopped, STOPPED)

    async def _told(self, call_sid: str, document: CallDocument, action: str) -> CallDocument:
        """The Document as it is when the relay that has the audio has done it, or when none has it. One that has just handed the call
        over says so, and its successor is asked; a call whose relay is gone is waited for, for it is about to be started again. Raises
        RequestRefused."""
        deadline = self._deps.monotonic() + self._deps.timing.restarted_seconds
        owners = 0
        while owners < _OWNERS:
            asked, owner = await self._peers.tell(call_sid, document, action), document.owner
            owners += 1
            if asked is Asked.DONE:
                return document
            while document.owner == owner:
                seen = await self._documents.read(call_sid)
                if seen is None or not is_running(seen.document):
                    raise _not_told(action)
                document = seen.document
                if document.state is CallState.STARTING:
                    return document
                if document.owner == owner:
                    if asked not in {Asked.GONE, Asked.NEVER} or self._deps.monotonic() >= deadline:
                        raise _not_told(action)
                    await asyncio.sleep(_LOOK_SECONDS)
        raise _not_told(action)

    async def _decide_stop(
        self, call_sid: str, person: Person, *, settled: bool
    ) -> tuple[CallDocument | None, NotRunning | NotYours | Stop | Succession]:
        return await self._documents.settle(
            call_sid,
            lambda found: decide_stop(found, worker=person.worker, settled=settled),
            lambda wanted: wanted.document if isinstance(wanted, Stop) and wanted.changed else None,
        )

    async def _decide_paused(
        self, call_sid: str, person: Person, paused: bool, *, settled: bool
    ) -> NotRunning | NotYours | SetPaused | Succession:
        _, decision = await self._documents.settle(
            call_sid,
            lambda found: decide_paused(found, paused, worker=person.worker, settled=settled),
            lambda wanted: wanted.document if isinstance(wanted, SetPaused) and wanted.changed else None,
        )
        return decision


def _not_told(action: str) -> RequestRefused:
    if action == "pause":
        message = "The relay that has the call's audio did not confirm the pause: the audio is STILL being sent to the model."
        hint = "Do not let the caller say what must not be heard. Try again, or stop assist."
    else:
        message = "The relay that has the call's audio did not confirm: the call may still be paused."
        hint = "Try again, or stop assist and start it again."
    return RequestRefused(503, f"{action}_failed", message, hint, retry_after=1.0)
