"""What the functions write for the agent: Map, Stream, read permission, and a call's status where no relay has its audio."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from voiceassist_crds.endpoint_report import EndpointReport
from voiceassist_crds.messages import AssistState, CallDocument, Status, StatusReason
from voiceassist_crds.names import STATUS_KEY, suggestions_map
from voiceassist_crds.reasons import Reason, Refusal

from ..config.snapshot import CurrentSnapshot
from ..errors import TwilioError, TwilioRefused
from ..logs import call_hash
from ..twilio.retry import RetryPolicy, retrying
from .client import SyncClient, is_missing, is_stale, is_taken

log = structlog.get_logger("voiceassist.functions")

STARTING = (AssistState.STARTING, StatusReason.STARTED, "Assist is starting.")
STOPPED = (AssistState.STOPPED, StatusReason.AGENT_REQUEST, "Assist was stopped.")
CALL_ENDED = (AssistState.STOPPED, StatusReason.CALL_ENDED, "The call is over.")
LOST = (AssistState.LOST, StatusReason.STREAM_LOST, "The call's audio no longer reaches the assistant. Start it again to go on.")
CUT = (AssistState.RECONNECTING, StatusReason.STREAM_LOST, "The call's audio was cut off. It is being connected again.")
NOT_CONNECTED = (
    AssistState.LOST,
    StatusReason.STREAM_LOST,
    "The call's audio did not reach the assistant. Start it again to try once more.",
)

Told = tuple[AssistState, StatusReason, str]

_REFUSED: dict[str, str] = {
    Refusal.NO_SIGNATURE: "a proxy before the relay drops Twilio's signature",
    Refusal.BAD_SIGNATURE: "Twilio's signature does not fit the address or the auth token that the relay knows",
    Refusal.QUERY: "a proxy before the relay adds a query to the address",
    Refusal.NO_UPGRADE: "a proxy before the relay passes no websockets on",
    Refusal.BAD_HANDSHAKE: "a proxy before the relay damages the websocket's handshake",
    Refusal.BAD_PATH: "a proxy before the relay changes the path of the address",
    Refusal.FULL: "no relay had room for it",
}
"""By the relay's own word."""
_FOUND = {
    Reason.DNS_FAILED: "the public address has no entry in DNS",
    Reason.CERTIFICATE_INVALID: "the certificate of the public address is not valid",
    Reason.CONNECTION_FAILED: "nothing answers at the public address",
    Reason.PATH_NOT_ROUTED: "the public address does not lead to the relays",
    Reason.UPGRADE_NOT_PASSED: "a proxy before the relay passes no websockets on",
    Reason.REQUEST_ALTERED: "a proxy before the relay alters what Twilio sends",
    Reason.ENDPOINT_OK: "the public address answers inside the cluster, so it may be closed to the internet, or Twilio has refused it",
}
"""By what the operator found when it dialled the public address."""


def never_came(refusal: Refusal | None, report: EndpointReport | None) -> Told:
    """What an agent is told of a stream that was created and of which nothing more was heard.

    `refusal` is why a stream of the call was turned away here, which says most; `report` is what the operator found.
    """
    if refusal is not None:
        why = _REFUSED.get(refusal, f"the relay refused it ({refusal})")
    elif report is not None and report.reason in _FOUND:
        told = _REFUSED.get(report.cause) if report.reason is not Reason.ENDPOINT_OK else None
        why = told or _FOUND[report.reason]
    else:
        why = "nothing of it was seen here; the condition EndpointReachable of the VoiceAssist says what stands in the way"
    message = f"The call's audio did not reach the assistant: {why}. Tell your administrator, and start it again to try once more."
    return AssistState.LOST, StatusReason.STREAM_LOST, message


class AgentStatus:
    """Everything here may be done twice without harm, and is retried."""

    def __init__(self, sync: SyncClient, current: CurrentSnapshot, now: Callable[[], float], policy: RetryPolicy) -> None:
        """`now` gives epoch seconds; `policy` is for what follows an answer."""
        self._sync = sync
        self._current = current
        self._now = now
        self._policy = policy

    async def make_readable(self, call_sid: str, identity: str, policy: RetryPolicy, *, look: bool = False) -> str:
        """Makes sure of the call's Map and lets the identity read it. `look`: it is there already, as a rule. Returns the Map's SID. Raises
        TwilioError."""
        found = await retrying(policy, lambda: self._sync.ensure_map(suggestions_map(call_sid), self._ttl, look=look), idempotent=True)
        await retrying(policy, lambda: self._sync.grant(found.sid, identity), idempotent=True)
        return found.sid

    async def follow_start(self, call_sid: str, document: CallDocument, identity: str) -> None:
        """What a start leaves for later: Map, permission, Stream, and the first status if there is none yet."""
        look = document.generation > 1
        try:
            map_sid = await self.make_readable(call_sid, identity, self._policy, look=look)
            await retrying(self._policy, lambda: self._sync.ensure_stream(document.sync_stream, self._ttl, look=look), idempotent=True)
            await self._first_status(map_sid, document)
        except TwilioError as error:
            log.error(
                "the agent may see nothing of this call",
                call=call_hash(call_sid),
                operation=error.operation,
                status=error.status,
                code=error.code,
            )

    async def hand_over(self, call_sid: str, document: CallDocument) -> bool:
        """The call has another worker, or a watch has ended: they alone may read from now on. Tells whether that is done.

        The former Stream is not removed here: the relay with the audio may be about to write to it.
        """
        readers = {document.identity} | ({document.successor.identity} if document.successor is not None else set())
        try:
            map_sid = await self.make_readable(call_sid, document.identity, self._policy)
            for identity in await retrying(self._policy, lambda: self._sync.readers(map_sid), idempotent=True):
                if identity not in readers:
                    await self._revoke(map_sid, identity)
            await retrying(self._policy, lambda: self._sync.ensure_stream(document.sync_stream, self._ttl), idempotent=True)
        except TwilioError as error:
            log.error(
                "who was in the call before may read on",
                call=call_hash(call_sid),
                operation=error.operation,
                status=error.status,
                code=error.code,
            )
            return False
        return True

    async def end_watch(self, call_sid: str, identity: str) -> bool:
        """Takes the permission of one who reads along back; whether there was one. Raises TwilioError."""
        name = suggestions_map(call_sid)
        try:
            if not await retrying(self._policy, lambda: self._sync.may_read(name, identity), idempotent=True):
                return False
        except TwilioRefused as error:
            if is_missing(error):
                return False
            raise
        await self._revoke(name, identity)
        return True

    async def remove_stream(self, name: str) -> None:
        """Removes a Stream that nobody shall hear any more."""
        try:
            await retrying(self._policy, lambda: self._sync.delete_stream(name), idempotent=True)
        except TwilioError as error:
            if not (isinstance(error, TwilioRefused) and is_missing(error)):
                log.error("a call's former Stream is left", operation=error.operation, status=error.status, code=error.code)

    async def _revoke(self, map_sid: str, identity: str) -> None:
        await retrying(self._policy, lambda: self._sync.grant(map_sid, identity, read=False), idempotent=True)

    async def tell(self, call_sid: str, document: CallDocument, what: Told) -> None:
        """Writes a status into the Map and sends it on the Stream.

        Not if a newer generation has written one already, nor a loss where the relay with the audio has said why it failed: that
        relay ends the stream itself, and Twilio's callback may be here before the Document says so.
        """
        status = self._status(document, what)
        try:
            map_sid = (
                await retrying(
                    self._policy, lambda: self._sync.ensure_map(suggestions_map(call_sid), self._ttl, look=True), idempotent=True
                )
            ).sid
            if not await retrying(self._policy, lambda: self._put_status(map_sid, status), idempotent=True):
                return
            stream = await retrying(
                self._policy, lambda: self._sync.ensure_stream(document.sync_stream, self._ttl, look=True), idempotent=True
            )
            message = status.wire()
            await retrying(self._policy, lambda: self._sync.publish(stream.sid, message), idempotent=True)
        except TwilioError as error:
            log.error("the agent was not told", call=call_hash(call_sid), operation=error.operation, status=error.status, code=error.code)

    async def _first_status(self, map_sid: str, document: CallDocument) -> None:
        data = self._status(document, STARTING).wire()
        try:
            await retrying(self._policy, lambda: self._sync.create_item(map_sid, STATUS_KEY, data, self._ttl), idempotent=True)
        except TwilioRefused as error:
            if not is_taken(error):  # the relay with the audio was quicker, and knows more
                raise

    async def _put_status(self, map_sid: str, status: Status) -> bool:
        """Whether it is the status now; one that was just written by somebody else is overtaken, and is told all the same."""
        data = status.wire()
        try:
            found = await self._sync.fetch_item(map_sid, STATUS_KEY)
            written = found.data.get("generation")
            if isinstance(written, int) and written > status.generation:
                return False
            if written == status.generation and status.state is AssistState.LOST and found.data.get("state") == AssistState.FAILED.value:
                return False
            await self._sync.update_item(map_sid, STATUS_KEY, data, if_match=found.revision, ttl=self._ttl)
        except TwilioRefused as error:
            if is_missing(error):
                await self._sync.create_item(map_sid, STATUS_KEY, data, self._ttl)
            elif not is_stale(error):  # somebody has just written a later one
                raise
        return True

    def _status(self, document: CallDocument, what: Told) -> Status:
        state, reason, message = what
        return Status(
            id=f"g{document.generation}-{state.value}",
            revision=document.prompt_revision,
            state=state,
            reason=reason,
            message=message,
            generation=document.generation,
            stream=document.sync_stream,
            at=int(self._now() * 1000),
        )

    @property
    def _ttl(self) -> int:
        return self._current().config.twilio.sync_ttl_seconds
