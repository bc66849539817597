"""Response scheduler: which committed turns wait, when the next response is asked for, and what became of each. Pure."""

from __future__ import annotations

from voiceassist_crds.messages import WithdrawnReason

from ...interfaces import FinishedSuggestion, OutputForm
from .client_events import EARLY_KIND, KIND, call_item, call_output, response_cancel, response_create, text_item
from .failures import RATE_CODES, from_code, is_already_active, is_blocked, is_rate_limit, label, wait_in
from .history import History, ItemOrder
from .limits import ResponseLimiter
from .outputs import DraftShown, DraftWithdrawn, GiveUp, ModelFault, OutputRead, Replace, ResponseOver, TurnHandled
from .response import Response
from .server_events import ErrorInfo, ResponseInfo, ServerEvent
from .session_base import SessionState
from .suggestion_parser import Arguments, from_text
from .turns import Turn

_CREATED = "response.created"
_OUTPUT = "response.output"
_ABOUT_REQUESTS = RATE_CODES | {"server_error"}
"""Errors that are about our request for a response if they name no event and one is outstanding."""


class ResponseScheduler:
    """One response at a time. It handles all turns committed before it was asked for: the last is answered, the others are merged."""

    def __init__(self, state: SessionState, history: History, limiter: ResponseLimiter, order: ItemOrder) -> None:
        self.waiting: list[Turn] = []
        self.held = True
        """Nothing is asked for: not begun yet, paused, or the settings are just changing."""
        self.ask_at: float | None = None
        self.resets_in: float | None = None
        """Seconds after which a limit that was used up is whole again, as the server last said."""
        self._state = state
        self._history = history
        self._limiter = limiter
        self._order = order
        self._current: Response | None = None
        self._foreign: str | None = None
        self._echoes = False
        """Whether the server gives our responses' metadata back: a response without them is not ours, then."""
        self._intruder = False
        """Somebody between us and the model is about to ask for a response of its own."""
        self._blocked_until = 0.0

    @property
    def active(self) -> bool:
        """Whether a response is under way or asked for, ours or not."""
        return self._current is not None or self._foreign is not None

    @property
    def answering(self) -> bool:
        """Whether a response of ours is asked for or under way."""
        return self._current is not None

    @property
    def begun(self) -> bool:
        """Whether a response of ours has begun and not ended."""
        return self._current is not None and self._current.created

    @property
    def idle(self) -> bool:
        """Whether no turn waits for its outcome."""
        return not self.waiting and (self._current is None or self._current.settled)

    def unanswered(self) -> list[Turn]:
        """Turns without an outcome, oldest first."""
        current = self._current
        return ([] if current is None or current.settled else current.turns) + self.waiting

    def committed(self, turn: Turn, now: float) -> None:
        """A turn ended."""
        self.waiting.append(turn)
        if len(self.waiting) > self._state.limits.waiting_turns:
            self._handled(self.waiting.pop(0), "dropped", now)
        self.ask(now)

    def ask(self, now: float) -> None:
        """Asks for a response if one is wanted and allowed; else `ask_at` says when to try again."""
        if self.ask_at is not None and now >= self.ask_at:
            self.ask_at = None
            self._foreign = None  # a response that is not ours had its time
        if self.held or self.active or not self.waiting:
            return
        state = self._state
        free = max(self._blocked_until, self._limiter.free_at(now))
        if free > now:
            self.ask_at = free
            return
        turns, self.waiting = self.waiting, []
        turn = turns[-1]
        turn.attempts += 1
        turn.timeline.requested = now
        self._current = Response(state.name("r"), turns)
        self._limiter.asked(now)
        state.live.expect(_CREATED, now, state.limits.created)
        state.send(response_create(state.settings.model, self._current.event_id, turn.item))

    # the response's events

    @property
    def takes_early(self) -> bool:
        """Whether a response may be asked for that is ahead of its turn: none else is under way or waits."""
        return not (self.held or self.active or self.waiting)

    def free_for_early(self, now: float) -> bool:
        """Whether the limits leave room for one response that may come to nothing, and one more."""
        return self._blocked_until <= now and self._limiter.has_room_early(now)

    def asked_early(self, now: float) -> None:
        """A response was asked for ahead of its turn: it counts as any other."""
        self._limiter.asked(now)

    def adopt(self, early: Response, turn: Turn, now: float) -> None:
        """The turn ended as the response ahead of it had expected: it is the answer, and no other is asked for."""
        state, self._current = self._state, early
        early.turns = [turn]
        turn.attempts += 1
        if early.whole:
            self._called(early, now)
        elif early.drafted is not None and early.latest is not None:
            state.event(DraftShown(early.drafted, early.latest, state.settings.revision))
        if early.ended is not None:
            self._current = None
            if not early.settled:
                self._ended(early, early.ended, now)
            self.ask(now)
        elif early.created:
            state.live.expect(_OUTPUT, now, state.limits.first_output)
        else:
            state.live.expect(_CREATED, now, state.limits.created)

    def created(self, response: ResponseInfo, now: float) -> None:
        """A response began."""
        current = self._current
        metadata = response.metadata or {}
        kind = metadata.get("kind")
        self._echoes = self._echoes or kind == KIND
        ours = kind == KIND or self.awaits(metadata.get("ask")) or (kind is None and not self._echoes and not self._intruder)
        if current is None or (not ours and not current.created):
            self._intruder = False
            self._foreign = response.id or ""
            self._state.event(ModelFault("foreign_response"))
            self.ask_at = now + self._state.limits.first_output
            return
        if current.created or not ours:
            return
        current.created, current.id = True, response.id
        self._state.live.received(_CREATED)
        self._state.live.expect(_OUTPUT, now, self._state.limits.first_output)
        if current.settled:
            self._cancel(current)
            return
        if self.waiting and not current.early:  # committed before the response began, so it hears them too
            self.waiting[-1].attempts = current.turns[-1].attempts
            self.waiting[-1].timeline.requested = current.turns[-1].timeline.requested
            current.turns, self.waiting, self.ask_at = current.turns + self.waiting, [], None
        current.turns[-1].timeline.created = now

    def output(self, event: ServerEvent, now: float) -> None:
        """Any event between a response's beginning and its end."""
        current = self._current
        if current is None or not current.created or not _same(event.response_id, current.id):
            return
        self._state.live.expect(_OUTPUT, now, self._state.limits.next_output)
        if current.settled:
            return
        draft = current.take(event)
        if current.begun:
            self._first(current, now)
        if current.whole:
            self._called(current, now)
        elif draft is not None and current.call_item is not None:
            current.drafted = self._state.key(current.call_item)
            self._state.event(DraftShown(current.drafted, draft, self._state.settings.revision))

    def done(self, response: ResponseInfo, now: float) -> None:
        """A response ended."""
        current = self._current
        ours = current is not None and (
            _same(response.id, current.id) if current.created else (response.metadata or {}).get("kind") in {KIND, EARLY_KIND}
        )
        if current is None or not ours:
            if self._foreign is not None and self._foreign in {"", response.id}:
                self._foreign = self.ask_at = None
                self.ask(now)
            return
        self._current = None
        if response.usage is not None:
            self._state.event(ResponseOver(self._state.settings.revision, response.usage.total))
        self._state.live.received(_CREATED)
        self._state.live.received(_OUTPUT)
        if not current.settled:
            self._ended(current, response, now)
        self.ask(now)

    def refused(self, event_id: str | None, error: ErrorInfo, now: float) -> bool:
        """An error event; returns whether it was about our request for a response."""
        current = self._current
        taken = is_already_active(error)
        nameless = event_id is None and (taken or (not current.created and error.code in _ABOUT_REQUESTS)) if current is not None else False
        if current is None or not (nameless or event_id == current.event_id):
            return False
        if current.created:
            return True  # a response of the server's own was taken for ours: it answers the same turns
        self._current = None
        self._state.live.received(_CREATED)
        if taken:
            self._foreign = ""
            self.ask_at = now + self._state.limits.first_output
            if not current.settled:  # a pause in between has told its turns' outcome
                self._again(current)
        elif not current.settled:
            self._failed(current, error, now)
            self.ask(now)
        return True

    def awaits(self, request: str | None) -> bool:
        """Whether this request was made ahead of its turn, is the turn's answer by now, and has not begun yet."""
        current = self._current
        return current is not None and current.early and not current.created and request == current.event_id

    def blocked(self, item: str | None, now: float) -> bool:
        """A policy does not let a turn through: the one of this item or, where none is named, the one that is being answered.

        Who blocked it may say something in the conversation itself: that is never a suggestion. Returns whether a turn was open.
        """
        current = self._current
        for turn in [turn for turn in self.waiting if turn.item == item]:
            self.waiting.remove(turn)
            self._block(turn, now)
            return True
        if current is None or current.settled or (item is not None and all(turn.item != item for turn in current.turns)):
            return False
        if item is None or current.turn is None or current.turn.item == item:
            self._withdraw(current, WithdrawnReason.FAILED)
            for turn in current.turns:
                self._history.forget({turn.key})
            self._settle(current, "blocked", now)
            if current.created:
                self._cancel(current)
            return True
        turn = next(turn for turn in current.turns if turn.item == item)  # one that was merged: the others are answered without it
        current.turns.remove(turn)
        self._block(turn, now)
        return True

    def expect_intruder(self) -> None:
        """The next response that is not marked as ours is somebody else's."""
        self._intruder = True

    def _block(self, turn: Turn, now: float) -> None:
        self._history.forget({turn.key})
        self._handled(turn, "blocked", now)

    def limited(self, now: float, wait: float | None) -> None:
        """The server wants fewer requests: none for `wait` seconds, if it said so."""
        limits = self._state.limits
        for known in (wait, self.resets_in, limits.rate_limit_wait):
            if known is not None:
                self._blocked_until = now + min(known, limits.rate_limit_longest)
                return

    def drop(self, outcome: str, reason: WithdrawnReason, now: float) -> None:
        """Every turn without an outcome gets this one; a running response is cancelled and its draft withdrawn."""
        current = self._current
        if current is not None and not current.settled:
            self._withdraw(current, reason)
            self._settle(current, outcome, now)
            if current.created:
                self._cancel(current)
        for turn in self.waiting:
            self._handled(turn, outcome, now)
        self.waiting, self.ask_at = [], None

    def abandon(self) -> list[Turn]:
        """The session is gone: the draft is withdrawn, the turns without an outcome are handed out."""
        turns = self.unanswered()
        if self._current is not None and not self._current.settled:
            self._withdraw(self._current, WithdrawnReason.FAILED)
        self._current, self.waiting, self.ask_at = None, [], None
        for turn in turns:
            turn.timeline.again()
        return turns

    # outcomes

    def _called(self, current: Response, now: float) -> None:
        """Our call is whole: its turn has its outcome, whatever becomes of the response."""
        state, item = self._state, current.call_item or ""
        arguments = current.call()
        self._told(current, state.key(item), arguments, now)
        if current.call_id is None:
            return
        name, shown = state.name("o"), arguments is not None and arguments.relevant
        if current.early and current.turn is not None:
            call, turn = state.name("f"), current.turn.item
            state.send(call_item(state.name("i"), call, current.call_id, current.arguments, turn))
            state.send(call_output(state.name("i"), name, current.call_id, shown=shown, previous=call))
            self._order.follow(turn, call, name)
        else:
            self._order.append(item, now)
            self._order.append(name, now)
            state.send(call_output(state.name("i"), name, current.call_id, shown=shown))

    def _told(self, current: Response, item: str, arguments: Arguments | None, now: float) -> None:
        turn = current.turn
        if turn is None:
            return
        self._read(arguments)
        if arguments is None:
            self._state.event(ModelFault("bad_arguments"))
            self._withdraw(current, WithdrawnReason.INCOMPLETE)
            self._settle(current, "dropped", now)
        elif not arguments.relevant:
            self._withdraw(current, WithdrawnReason.NOT_RELEVANT)
            self._settle(current, "not_relevant", now)
        else:
            if current.drafted != item:
                self._withdraw(current, WithdrawnReason.INCOMPLETE)
            state, turn.timeline.finished = self._state, now
            question = arguments.question or self._history.words(turn.key)
            state.event(FinishedSuggestion(item, question, arguments.answer, state.settings.revision, turn.timeline.timing(now)))
            self._history.suggestion(item, now, arguments.answer, turn.key, arguments.question)
            self._settle(current, "suggested", now)

    def _read(self, arguments: Arguments | None) -> None:
        form = OutputForm.UNREADABLE if arguments is None else OutputForm.REPAIRED if arguments.repaired else OutputForm.CLEAN
        self._state.event(OutputRead(self._state.settings.revision, form))

    def _ended(self, current: Response, response: ResponseInfo, now: float) -> None:
        details = response.status_details
        match response.status:
            case "completed":
                for item in response.output or ():
                    if current.done(item):
                        self._called(current, now)
                        return
                item_id, text = current.text()
                if item_id:
                    self._told(current, self._state.key(item_id), from_text(text), now)
                    self._placed(current, item_id, text, now)
                else:
                    self._read(None)
                    self._state.event(ModelFault("empty_response"))
                    self._withdraw(current, WithdrawnReason.INCOMPLETE)
                    self._settle(current, "dropped", now)
            case "incomplete" if details is not None and details.reason == "content_filter":
                self._withdraw(current, WithdrawnReason.INCOMPLETE)
                self._settle(current, "blocked", now)
            case "incomplete":
                self._withdraw(current, WithdrawnReason.INCOMPLETE)
                self._settle(current, "incomplete", now)
            case "cancelled":
                self._retry(current, now)
            case _:
                error = details.error if details is not None and details.error is not None else ErrorInfo()
                self._failed(current, error, now)

    def _placed(self, current: Response, item: str, text: str, now: float) -> None:
        """An answer without a call has its place in the conversation; one that was asked for ahead is put there."""
        state = self._state
        if current.early and current.turn is not None:
            name = state.name("m")
            state.send(text_item(state.name("i"), name, "assistant", text, current.turn.item))
            self._order.follow(current.turn.item, name)
        else:
            self._order.append(item, now)

    def _failed(self, current: Response, error: ErrorInfo, now: float) -> None:
        self._state.event(ModelFault(label(error.code, error.type)))
        if is_blocked(error):
            self._withdraw(current, WithdrawnReason.FAILED)
            self._settle(current, "blocked", now)
            return
        fatal = from_code(error.code, error.type)
        if fatal is not None:
            self._withdraw(current, WithdrawnReason.FAILED)
            self._settle(current, "failed", now)
            self._state.command(GiveUp(fatal))
        elif is_rate_limit(error):
            self.limited(now, wait_in(error.message))
            self._retry(current, now)
        elif "server_error" in {error.code, error.type}:
            second = current.turn is not None and current.turn.attempts == 2
            self._retry(current, now)
            if second:
                self.held = True
                self._state.command(Replace("error", now=True))
        elif current.early:  # the ordinary way may do
            self._retry(current, now)
        else:
            self._withdraw(current, WithdrawnReason.FAILED)
            self._settle(current, "failed", now)

    def _retry(self, current: Response, now: float) -> None:
        self._withdraw(current, WithdrawnReason.FAILED)
        if current.turn is not None and current.turn.attempts >= self._state.limits.attempts:
            self._settle(current, "failed", now)
        else:
            self._again(current)

    def _again(self, current: Response) -> None:
        for turn in current.turns:
            turn.timeline.again()
        self.waiting[:0] = current.turns

    def _settle(self, current: Response, outcome: str, now: float) -> None:
        current.settled = True
        for turn in current.turns:
            self._handled(turn, outcome if turn is current.turn else "merged", now)

    def _handled(self, turn: Turn, outcome: str, now: float) -> None:
        self._state.event(TurnHandled(outcome, self._state.settings.revision, turn.timeline.timing(now)))

    def _withdraw(self, current: Response, reason: WithdrawnReason) -> None:
        if current.drafted is not None:
            self._state.event(DraftWithdrawn(current.drafted, self._state.settings.revision, reason))
            current.drafted = None

    def _cancel(self, current: Response) -> None:
        if current.id is not None:
            self._state.send(response_cancel(self._state.name("c"), current.id))

    def _first(self, current: Response, now: float) -> None:
        if current.turn is not None and current.turn.timeline.first_delta is None:
            current.turn.timeline.first_delta = now


def _same(a: str | None, b: str | None) -> bool:
    """Whether two ids fit each other; a server that names none is taken at its word."""
    return a is None or b is None or a == b
