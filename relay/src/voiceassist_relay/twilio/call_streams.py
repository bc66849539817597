"""Twilio's Streams and Calls resources as the functions use them: create, stop, and whether a call is in progress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from voiceassist_crds.config import Tracks
from voiceassist_crds.messages import CallDocument
from voiceassist_crds.names import CALLBACK_PATH, SECRET_AUTH_TOKEN, TOKEN_PARAMETER, CallSid

from ..auth import mint_stream_token
from ..config.snapshot import CurrentSnapshot
from ..errors import RequestRefused, TwilioError, TwilioRefused
from ..interfaces import StreamClaims
from ..logs import call_hash
from .error_answers import is_gone
from .rest import Answer, Form, TwilioRest, segment
from .retry import RetryPolicy, retrying

TOKEN_SECONDS: Final = 120
"""How long after its creation a stream may connect."""
IN_PROGRESS: Final = "in-progress"

log = structlog.get_logger("voiceassist.functions")


class TwilioStreams:
    """The forked audio streams of the account's calls."""

    def __init__(
        self, rest: TwilioRest, current: CurrentSnapshot, now: Callable[[], float], policy: RetryPolicy, *, stop_seconds: float
    ) -> None:
        """`now` gives epoch seconds; `policy`: how long a browser waits; `stop_seconds`: to stop what should not be there."""
        self._rest = rest
        self._current = current
        self._now = now
        self._policy = policy
        self._stop_seconds = stop_seconds

    async def create(
        self,
        call_sid: str,
        document: CallDocument,
        *,
        moved: bool = False,
        policy: RetryPolicy | None = None,
        before_repeat: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        """Creates the stream of the Document's generation, once: only a 429 is repeated, since nothing was done then; by `policy`, else
        as for a browser that waits.

        `moved`: another relay has the call, or had it, and hands it over to the one to which the stream comes. `before_repeat` is called
        before each repetition; it raises where the stream is not wanted any more.

        Returns its SID (MZ…). Raises TwilioError; TwilioUnclear: it may have been created.
        """
        form = self._form(call_sid, document, moved)
        path = f"{self._calls()}/{segment(call_sid)}/Streams.json"
        asked = False

        async def attempt() -> Answer:
            nonlocal asked
            if asked and before_repeat is not None:
                await before_repeat()
            asked = True
            return await self._rest.request("media_create", "api", "POST", path, form=form)

        answer = await retrying(policy or self._policy, attempt, idempotent=False)
        return str(answer.body.get("sid") or "")

    async def stop(self, call_sid: str, document: CallDocument) -> None:
        """Stops the stream of the Document's generation, patiently; one that does not run (any more) is fine. Raises TwilioError."""
        reference = document.stream_sid or document.stream_name
        try:
            await retrying(self._policy, lambda: self._stop(call_sid, reference, None), idempotent=True)
        except TwilioRefused as error:
            if not is_gone(error):
                raise

    async def stop_quietly(self, call_sid: str, reference: str) -> None:
        """Tries once, for a short time, to stop a stream (SID or name) that should not be there."""
        try:
            await self._stop(call_sid, reference, self._stop_seconds)
        except TwilioError as error:
            if not (isinstance(error, TwilioRefused) and is_gone(error)):
                log.warning("stream not stopped", call=call_hash(call_sid), status=error.status, code=error.code)

    async def in_progress(self, call_sid: str) -> bool:
        """Whether the call goes on. True if Twilio does not say: the next request will tell."""
        path = f"{self._calls()}/{segment(call_sid)}.json"
        try:
            answer = await retrying(self._policy, lambda: self._rest.request("call_fetch", "api", "GET", path), idempotent=True)
        except TwilioError as error:
            return not (isinstance(error, TwilioRefused) and is_gone(error))
        return bool(answer.body.get("status") == IN_PROGRESS)

    async def _stop(self, call_sid: str, reference: str, timeout: float | None) -> None:
        path = f"{self._calls()}/{segment(call_sid)}/Streams/{segment(reference)}.json"
        await self._rest.request("media_stop", "api", "POST", path, form={"Status": "stopped"}, timeout=timeout)

    def _calls(self) -> str:
        return f"/2010-04-01/Accounts/{segment(self._current().config.twilio.account_sid)}/Calls"

    def _form(self, call_sid: str, document: CallDocument, moved: bool) -> Form:
        snapshot = self._current()
        config = snapshot.config
        if not snapshot.secrets.auth_tokens:
            raise RequestRefused(
                500,
                "no_auth_token",
                "The relay has no Twilio auth token to sign the stream with.",
                f"An administrator has to set authToken in the Secret (file {SECRET_AUTH_TOKEN}).",
            )
        claims = StreamClaims(
            call=CallSid(call_sid),
            account=config.twilio.account_sid,
            generation=document.generation,
            exp=int(self._now()) + TOKEN_SECONDS,
            paused=document.paused,
            moved=moved,
        )
        return {
            "Url": config.stream_url(call_sid),
            "Name": document.stream_name,
            "Track": "both_tracks" if config.audio.tracks is Tracks.BOTH else "inbound_track",
            "StatusCallback": config.public_url(CALLBACK_PATH),
            "StatusCallbackMethod": "POST",
            "Parameter1.Name": TOKEN_PARAMETER,
            "Parameter1.Value": mint_stream_token(snapshot.secrets.auth_tokens[0], claims),
        }
