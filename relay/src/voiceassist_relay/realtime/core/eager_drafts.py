"""Drafts ahead of the turn's end: one response is asked for when the customer's sentence has likely ended, and kept apart until it shows.

It is out of band: it hears the conversation and the audio so far, and the conversation does not hear of it. When the turn ends as expected
it is adopted as the answer; when the customer goes on it is cancelled, its draft withdrawn, and nothing is left of it. Pure.
"""

from __future__ import annotations

import binascii
import contextlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from voiceassist_crds.messages import WithdrawnReason

from ..providers import provider_of
from .audio_format import Encoder, encoder
from .client_events import EARLY_KIND, early_response_create, response_cancel
from .eager_budget import EagerBudget
from .failures import is_already_active, is_rate_limit, label
from .history import ItemOrder
from .outputs import DraftShown, DraftWithdrawn, EarlyOver, EarlyTokens, ModelFault, ResponseOver
from .response import Response
from .responses import ResponseScheduler
from .sentence_end import FRAME, GOES_ON, SentenceEnd
from .server_events import ErrorInfo, ResponseInfo, ServerEvent
from .session_base import SessionState
from .turns import Turn
from .voice_activity import loudness

LONGEST: Final = 15.0
"""Seconds of a turn after which no response is asked for ahead of its end: its audio is sent a second time."""
WORTH: Final = 0.1
"""Seconds by which a response must be ahead of the turn's end to be asked for."""
SILENT_AFTER: Final = 0.2
"""Seconds without a frame after which a track that sends none in silence counts as silent."""
_LOOK: Final = 0.02
_LATE: Final = 0.004
"""Seconds that a frame may be late before it is looked for in vain."""
_MOST_DISCARDED: Final = 8
_MOST_WORDS: Final = 200
"""Characters of the words so far whose end is looked at."""


class EagerDrafts:
    """One session's. `listens_at`, `listens_from` and `listen` are for the owner of the audio; times are loop seconds."""

    def __init__(self, state: SessionState, scheduler: ResponseScheduler, order: ItemOrder, budget: EagerBudget) -> None:
        self.listens_at: float | None = None
        """When `listen` is to be called; None: there is nothing to listen for."""
        self._words = ""
        """The words of the open turn, where they are known before it is over."""
        self._state, self._scheduler, self._order, self._budget = state, scheduler, order, budget
        self._turn: Turn | None = None
        self._voice = SentenceEnd()
        self._heard_until = 0.0
        self._asked = 0
        self._asks = False
        """A response is about to be asked for: the whole turn's audio is wanted for it."""
        self._response: Response | None = None
        self._asked_at = 0.0
        self._audio_until = 0.0
        """Arrival of the last frame that the response hears."""
        self._voice_then = 0.0
        self._discarded: dict[str, None] = {}
        self._unsupported = False

    # the audio

    @property
    def listens_from(self) -> float:
        """Arrival of the first frame that `listen` is to be given: of those not heard yet, or of the whole turn where it is to be sent."""
        began = 0.0 if self._turn is None else self._turn.started or 0.0
        return began if self._asks else max(began, math.nextafter(self._heard_until, math.inf))

    @property
    def busy(self) -> bool:
        """Whether a response is under way that is nobody's answer yet."""
        return self._response is not None

    @property
    def begun(self) -> bool:
        """Whether one has begun and not ended that is nobody's answer yet."""
        return self._response is not None and self._response.created and self._response.ended is None

    def speaks(self, turn: Turn, now: float) -> None:
        """The customer began to speak."""
        self.drop_response("wasted")  # of a turn that the server passed over
        self._words, self._asked, self._asks = "", 0, False
        self._turn, self._voice, self._heard_until = turn, SentenceEnd(), 0.0
        settings = self._state.settings.model
        wanted = settings.turn_detection.eager is not None and not self._unsupported
        if wanted and turn.started is not None and provider_of(settings).capabilities(settings).out_of_band:
            self.listens_at = now

    def said(self, item: str, words: str) -> None:
        """More words of a turn that is not over yet."""
        if self._turn is not None and self._turn.item == item:
            self._words = (self._words + words)[-_MOST_WORDS:]

    def listen(self, frames: Sequence[bytes], arrivals: Sequence[float], now: float) -> None:
        """The turn's audio: base64 mu-law and arrivals, from `listens_from` on."""
        turn, eager = self._turn, self._state.settings.model.turn_detection.eager
        asks, self._asks = self._asks, False
        if turn is None or turn.started is None or eager is None:
            self.listens_at = None
            return
        for index in range(bisect_right(arrivals, self._heard_until), len(frames)):
            self._voice.hear(loudness(frames[index]), arrivals[index])
        self._heard_until = max(self._heard_until, arrivals[-1] if arrivals else 0.0)
        if self._response is not None:
            if self._voice.voice - self._voice_then >= GOES_ON - 1e-6:
                self._withdraw(now)
            self.listens_at = now + _LOOK
            return
        if now - turn.started > LONGEST or self._asked >= eager.max_per_turn:
            self.listens_at = None
            return
        silence = self._silence(eager.silence_ms)
        if self._has_ended(silence, now) and self._may_ask(now):
            if not asks:
                self._asks, self.listens_at = True, now
                return
            self._ask(turn, frames, arrivals, now)
        self.listens_at = now + _LOOK if self._response is not None else self._next_look(silence, now)

    def _silence(self, silence_ms: int) -> float:
        return silence_ms / 1000 * self._budget.caution

    def _has_ended(self, silence: float, now: float) -> bool:
        voice = self._voice
        if now - self._heard_until >= SILENT_AFTER and voice.last_voice is not None:
            voice.quiet = max(voice.quiet, now - voice.last_voice)
        return voice.ended(silence, self._words)

    def _next_look(self, silence: float, now: float) -> float:
        voice = self._voice
        if voice.last_voice is None:
            return now + silence
        at = voice.last_voice + round(voice.needed(silence, self._words) / FRAME) * FRAME + _LATE
        return at if at > now else now + (_LOOK / 2 if self._heard_until < at - _LATE else 2 * _LOOK)

    def _may_ask(self, now: float) -> bool:
        model = self._state.settings.model
        ends_at = (self._voice.last_voice or now) + (model.turn_detection.silence_ms or 0) / 1000
        worth_it = ends_at - now >= WORTH
        free = self._scheduler.takes_early and self._scheduler.free_for_early(now)
        return worth_it and free and self._budget.allows(now, model.max_responses_per_minute)

    def _ask(self, turn: Turn, frames: Sequence[bytes], arrivals: Sequence[float], now: float) -> None:
        state, voice = self._state, self._voice
        model = state.settings.model
        if not frames or arrivals[0] > (turn.started or 0.0) + FRAME:
            return  # it is not kept as a whole any more
        self._asked += 1
        self._response = response = Response(state.name("e"), [])
        response.early = True
        self._asked_at, self._audio_until, self._voice_then = now, self._heard_until, voice.voice
        self._scheduler.asked_early(now)
        audio = _joined(frames, encoder(provider_of(model).audio_format(model)))
        state.send(early_response_create(model, response.event_id, turn.item, self._order.items, audio))

    # the turn

    def stopped(self, turn: Turn, now: float) -> None:
        """The server says where speech ended (`turn.timeline.stopped_speaking`): behind what the response heard, or not."""
        if turn is self._turn:
            ended = turn.timeline.stopped_speaking
            if self._response is not None and ended is not None and ended > self._audio_until + 1e-3:
                self._withdraw(now)
            self.listens_at = None

    def claim(self, turn: Turn) -> Response | None:
        """The turn was committed: the response that is its answer, if one is. It is no longer kept here."""
        self._budget.turn()
        if turn is not self._turn:
            return None
        if not self._scheduler.takes_early:
            self.drop_response("wasted")
        response, self._response = self._response, None
        self._turn, self.listens_at = None, None
        if response is not None:
            turn.timeline.requested = self._asked_at
            self._budget.right()
            self._state.event(EarlyOver("used"))
        return response

    def drop(self, reason: WithdrawnReason) -> None:
        """The speech is thrown away, or the session is."""
        response, self._response = self._response, None
        if response is not None:
            self._state.event(EarlyOver("wasted"))
            self._discard(response, reason)
        self._turn, self.listens_at = None, None

    def _withdraw(self, now: float) -> None:
        response, self._response = self._response, None
        if response is not None:
            self._budget.wrong(now, shown=response.drafted is not None)
            self._state.event(EarlyOver("wasted"))
            self._discard(response, WithdrawnReason.SPOKE_ON)

    def _discard(self, response: Response, reason: WithdrawnReason) -> None:
        state = self._state
        if self._turn is not None:
            self._turn.timeline.again()
        if response.drafted is not None:
            state.event(DraftWithdrawn(response.drafted, state.settings.revision, reason))
        if response.ended is not None:
            self._wasted(response.ended)
            return
        self._discarded[response.id or response.event_id] = None
        while len(self._discarded) > _MOST_DISCARDED:
            del self._discarded[next(iter(self._discarded))]
        if response.id is not None:
            state.send(response_cancel(state.name("c"), response.id))

    def _wasted(self, ended: ResponseInfo) -> None:
        tokens = 0 if ended.usage is None else ended.usage.total
        self._budget.wasted(tokens)
        if tokens:
            self._state.event(EarlyTokens(tokens))

    # the response

    def created(self, info: ResponseInfo, now: float) -> bool:
        """A response began; whether it is one of these."""
        response, metadata = self._response, info.metadata or {}
        kind, ask, state = metadata.get("kind"), metadata.get("ask"), self._state
        waits = response is not None and not response.created
        unmarked = kind is None and waits and not self._scheduler.active
        if (kind != EARLY_KIND and not unmarked) or self._scheduler.awaits(ask):
            return False
        if response is None or not waits or (ask != response.event_id and not unmarked):  # it was given up before it began
            self._discarded.pop(ask or "", None)
            if info.id is not None:
                self._discarded[info.id] = None
                state.send(response_cancel(state.name("c"), info.id))
            return True
        response.created, response.id = True, info.id
        if unmarked or info.conversation_id is not None:  # this server cannot tell them apart, or writes all into the conversation
            self._give_up()
        elif self._turn is not None:
            self._turn.timeline.created = now
        return True

    def output(self, event: ServerEvent, now: float) -> bool:
        """Any event between a response's beginning and its end; whether it is about one of these."""
        response = self._response
        if event.response_id is None or response is None or response.id != event.response_id:
            return event.response_id is not None and event.response_id in self._discarded
        draft = response.take(event)
        if response.begun and self._turn is not None and self._turn.timeline.first_delta is None:
            self._turn.timeline.first_delta = now
        if draft is not None and response.call_item is not None:
            state = self._state
            response.drafted, response.latest = state.key(response.call_item), draft
            state.event(DraftShown(response.drafted, draft, state.settings.revision, early=True))
        return True

    def done(self, info: ResponseInfo, now: float) -> bool:
        """A response ended; whether it is one of these."""
        response, discarded = self._response, info.id is not None and info.id in self._discarded
        mine = response is not None and response.created and response.id == info.id
        if not discarded and not mine:
            return False
        if info.usage is not None:
            self._state.event(ResponseOver(self._state.settings.revision, info.usage.total))
        if response is None or not mine:
            self._discarded.pop(info.id or "", None)
            self._wasted(info)
            return True
        response.ended = info
        if info.status != "completed":  # the turn will be answered in the ordinary way
            error = info.status_details.error if info.status_details is not None else None
            self._failed(error or ErrorInfo(), now)
        return True

    def refused(self, event_id: str | None, error: ErrorInfo, now: float) -> bool:
        """An error event; whether it is about a request of these."""
        response = self._response
        if response is not None and event_id == response.event_id:
            self._failed(error, now)
            return True
        if event_id is not None and event_id in self._discarded:
            del self._discarded[event_id]
            return True
        if self._scheduler.awaits(event_id) and not is_rate_limit(error):
            self._unsupported = True
            self._state.event(ModelFault("early_refused"))
        return False

    def _failed(self, error: ErrorInfo, now: float) -> None:
        if is_rate_limit(error):
            self._state.event(ModelFault(label(error.code, error.type)))
            self._scheduler.limited(now, None)
            self.drop_response()
        elif is_already_active(error) or "server_error" in {error.code, error.type} or (self._response and self._response.created):
            self.drop_response()
        else:
            self._give_up()

    def _give_up(self) -> None:
        """This server does not do it: nothing is asked ahead in this session any more."""
        self._unsupported = True
        self._state.event(ModelFault("early_refused"))
        self.drop_response()
        self.listens_at = None

    def drop_response(self, outcome: str = "refused") -> None:
        """The response comes to nothing, for no fault of the guess."""
        response, self._response = self._response, None
        if response is not None:
            self._state.event(EarlyOver(outcome))
            self._discard(response, WithdrawnReason.FAILED)


def _joined(frames: Sequence[bytes], encode: Encoder | None) -> bytes:
    """Frames of base64 mu-law as one piece of base64 in the session's format; a frame that cannot be read is no audio."""
    pieces = []
    for payload in frames:
        with contextlib.suppress(binascii.Error):
            pieces.append(binascii.a2b_base64(payload if encode is None else encode(payload)))
    return binascii.b2a_base64(b"".join(pieces), newline=False)
