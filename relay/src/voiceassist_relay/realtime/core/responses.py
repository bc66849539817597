"""Answering: which committed turns wait, when the next response is asked for, and what became of each. Pure."""

from __future__ import annotations

from voiceassist_crds.messages import WithdrawnReason

from ...interfaces import Finished
from .client_events import KIND, call_output, response_cancel, response_create
from .failures import from_code, label, wait_in
from .outputs import DraftShown, DraftWithdrawn, GiveUp, ModelFault, Replace, Send, Suggested, TokensUsed, TurnHandled
from .response import Reply
from .server_events import ErrorInfo, ResponseInfo, ServerEvent
from .session_base import Context
from .suggestion_parser import Arguments
from .turns import Turn

_CREATED = "response.created"
_OUTPUT = "response.output"
_ABOUT_REQUESTS = frozenset({"rate_limit_exceeded", "server_error"})
"""Errors that are about our request for a response if they name no event and one is outstanding."""


class Answering:
    """One response at a time. It handles all turns committed before it was asked for: the last is answered, the others are merged."""

    def __init__(self, context: Context) -> None:
        self.waiting: list[Turn] = []
        self.held = True
        """Nothing is asked for: not begun yet, paused, or the settings are just changing."""
        self.ask_at: float | None = None
        self.resets_in: float | None = None
        """Seconds after which a limit that was used up is whole again, as the server last said."""
        self._context = context
        self._reply: Reply | None = None
        self._foreign: str | None = None
        self._blocked_until = 0.0

    @property
    def active(self) -> bool:
        """Whether a response is under way or asked for, ours or not."""
        return self._reply is not None or self._foreign is not None

    @property
    def idle(self) -> bool:
        """Whether no turn waits for its outcome."""
        return not self.waiting and (self._reply is None or self._reply.settled)

    def unanswered(self) -> list[Turn]:
        """Turns without an outcome, oldest first."""
        reply = self._reply
        return ([] if reply is None or reply.settled else reply.turns) + self.waiting

    def committed(self, turn: Turn, now: float) -> None:
        """A turn ended."""
        self.waiting.append(turn)
        if len(self.waiting) > self._context.limits.waiting_turns:
            self._handled(self.waiting.pop(0), "dropped", now)
        self.ask(now)

    def ask(self, now: float) -> None:
        """Asks for a response if one is wanted and allowed; else `ask_at` says when to try again."""
        if self.ask_at is not None and now >= self.ask_at:
            self.ask_at = None
            self._foreign = None  # a response that is not ours had its time
        if self.held or self.active or not self.waiting:
            return
        context = self._context
        free = max(self._blocked_until, context.limiter.free_at(now))
        if free > now:
            self.ask_at = free
            return
        turns, self.waiting = self.waiting, []
        turn = turns[-1]
        turn.attempts += 1
        turn.line.requested = now
        self._reply = Reply(context.name("r"), turns)
        context.limiter.asked(now)
        context.live.owe(_CREATED, now, context.limits.created)
        context.do(Send(response_create(self._reply.event_id, turn.item)))

    # the response's events

    def created(self, response: ResponseInfo, now: float) -> None:
        """A response began."""
        reply = self._reply
        if reply is None:
            self._foreign = response.id or ""
            self.ask_at = now + self._context.limits.first_output
            return
        if reply.created or (response.metadata or {}).get("kind", KIND) != KIND:
            return
        reply.created, reply.id = True, response.id
        self._context.live.paid(_CREATED)
        self._context.live.owe(_OUTPUT, now, self._context.limits.first_output)
        if reply.settled:
            self._cancel(reply)
            return
        if self.waiting:  # committed before the response began, so it hears them too
            self.waiting[-1].attempts = reply.turns[-1].attempts
            self.waiting[-1].line.requested = reply.turns[-1].line.requested
            reply.turns, self.waiting, self.ask_at = reply.turns + self.waiting, [], None
        reply.turns[-1].line.created = now

    def output(self, event: ServerEvent, now: float) -> None:
        """Any event between a response's beginning and its end."""
        reply = self._reply
        if reply is None or not reply.created or not _same(event.response_id, reply.id):
            return
        self._context.live.owe(_OUTPUT, now, self._context.limits.next_output)
        if reply.settled:
            return
        draft = None
        match event.type:
            case "response.output_item.added" if event.item is not None:
                reply.added(event.item)
            case "response.function_call_arguments.delta":
                self._first(reply, now)
                draft = reply.arguments_delta(event.item_id, event.delta or "")
            case "response.function_call_arguments.done":
                self._first(reply, now)
                draft = reply.arguments_done(event.item_id, event.arguments)
            case "response.output_text.delta":
                self._first(reply, now)
                reply.text_delta(event.item_id, event.delta or "")
            case "response.output_text.done":
                reply.text_done(event.item_id, event.text or "")
            case "response.output_item.done" if event.item is not None and reply.done(event.item):
                self._first(reply, now)
                self._called(reply, now)
        if draft is not None and reply.call_item is not None:
            reply.drafted = self._context.key(reply.call_item)
            self._context.do(DraftShown(reply.drafted, draft, self._context.plan.revision))

    def done(self, response: ResponseInfo, now: float) -> None:
        """A response ended."""
        self._count(response)
        reply = self._reply
        ours = reply is not None and (_same(response.id, reply.id) if reply.created else (response.metadata or {}).get("kind") == KIND)
        if reply is None or not ours:
            if self._foreign is not None and self._foreign in {"", response.id}:
                self._foreign = self.ask_at = None
                self.ask(now)
            return
        self._reply = None
        self._context.live.paid(_CREATED)
        self._context.live.paid(_OUTPUT)
        if not reply.settled:
            self._ended(reply, response, now)
        self.ask(now)

    def refused(self, event_id: str | None, error: ErrorInfo, now: float) -> bool:
        """An error event; returns whether it was about our request for a response."""
        reply = self._reply
        taken = error.code == "conversation_already_has_active_response"
        nameless = event_id is None and (taken or (not reply.created and error.code in _ABOUT_REQUESTS)) if reply is not None else False
        if reply is None or not (nameless or event_id == reply.event_id):
            return False
        if reply.created:
            return True  # a response of the server's own was taken for ours: it answers the same turns
        self._reply = None
        self._context.live.paid(_CREATED)
        if taken:
            self._foreign = ""
            self.ask_at = now + self._context.limits.first_output
            if not reply.settled:  # a pause in between has told its turns' outcome
                self._again(reply)
        elif not reply.settled:
            self._failed(reply, error, now)
            self.ask(now)
        return True

    def limited(self, now: float, wait: float | None) -> None:
        """The server wants fewer requests."""
        limits = self._context.limits
        for known in (wait, self.resets_in, limits.rate_limit_wait):
            if known is not None:
                self._blocked_until = now + min(known, limits.rate_limit_longest)
                return

    def drop(self, outcome: str, reason: WithdrawnReason, now: float) -> None:
        """Every turn without an outcome gets this one; a running response is cancelled and its draft withdrawn."""
        reply = self._reply
        if reply is not None and not reply.settled:
            self._withdraw(reply, reason)
            self._settle(reply, outcome, now)
            if reply.created:
                self._cancel(reply)
        for turn in self.waiting:
            self._handled(turn, outcome, now)
        self.waiting, self.ask_at = [], None

    def abandon(self) -> list[Turn]:
        """The session is gone: the draft is withdrawn, the turns without an outcome are handed out."""
        turns = self.unanswered()
        if self._reply is not None and not self._reply.settled:
            self._withdraw(self._reply, WithdrawnReason.FAILED)
        self._reply, self.waiting, self.ask_at = None, [], None
        for turn in turns:
            turn.line.again()
        return turns

    # outcomes

    def _called(self, reply: Reply, now: float) -> None:
        """Our call is whole: its turn has its outcome, whatever becomes of the response."""
        item = reply.call_item or ""
        arguments = reply.call()
        self._told(reply, self._context.key(item), arguments, now)
        if reply.call_id is not None:
            name = self._context.name("o")
            self._context.places.append(name, now)
            shown = arguments is not None and arguments.relevant
            self._context.do(Send(call_output(self._context.name("i"), name, reply.call_id, shown=shown)))

    def _told(self, reply: Reply, item: str, arguments: Arguments | None, now: float) -> None:
        turn = reply.turn
        if turn is None:
            return
        if arguments is None:
            self._context.do(ModelFault("bad_arguments"))
            self._withdraw(reply, WithdrawnReason.INCOMPLETE)
            self._settle(reply, "dropped", now)
        elif not arguments.relevant:
            self._withdraw(reply, WithdrawnReason.NOT_RELEVANT)
            self._settle(reply, "not_relevant", now)
        else:
            if reply.drafted != item:
                self._withdraw(reply, WithdrawnReason.INCOMPLETE)
            context, turn.line.finished = self._context, now
            question = arguments.question or context.memory.words(turn.key)
            context.do(Suggested(Finished(item, question, arguments.answer, context.plan.revision, turn.line.timing(now))))
            context.memory.suggestion(item, now, arguments.answer, turn.key, arguments.question)
            self._settle(reply, "suggested", now)

    def _ended(self, reply: Reply, response: ResponseInfo, now: float) -> None:
        details = response.status_details
        match response.status:
            case "completed":
                for item in response.output or ():
                    if reply.done(item):
                        self._called(reply, now)
                        return
                item_id, arguments = reply.text()
                if item_id:
                    self._told(reply, self._context.key(item_id), arguments, now)
                else:
                    self._context.do(ModelFault("empty_response"))
                    self._withdraw(reply, WithdrawnReason.INCOMPLETE)
                    self._settle(reply, "dropped", now)
            case "incomplete":
                self._withdraw(reply, WithdrawnReason.INCOMPLETE)
                self._settle(reply, "incomplete", now)
            case "cancelled":
                self._retry(reply, now)
            case _:
                error = details.error if details is not None and details.error is not None else ErrorInfo()
                self._failed(reply, error, now)

    def _failed(self, reply: Reply, error: ErrorInfo, now: float) -> None:
        self._context.do(ModelFault(label(error.code, error.type)))
        fatal = from_code(error.code, error.type)
        if fatal is not None:
            self._withdraw(reply, WithdrawnReason.FAILED)
            self._settle(reply, "failed", now)
            self._context.do(GiveUp(fatal))
        elif "rate_limit_exceeded" in {error.code, error.type}:
            self.limited(now, wait_in(error.message))
            self._retry(reply, now)
        elif "server_error" in {error.code, error.type}:
            second = reply.turn is not None and reply.turn.attempts == 2
            self._retry(reply, now)
            if second:
                self.held = True
                self._context.do(Replace("error", now=True))
        else:
            self._withdraw(reply, WithdrawnReason.FAILED)
            self._settle(reply, "failed", now)

    def _retry(self, reply: Reply, now: float) -> None:
        self._withdraw(reply, WithdrawnReason.FAILED)
        if reply.turn is not None and reply.turn.attempts >= self._context.limits.attempts:
            self._settle(reply, "failed", now)
        else:
            self._again(reply)

    def _again(self, reply: Reply) -> None:
        for turn in reply.turns:
            turn.line.again()
        self.waiting[:0] = reply.turns

    def _settle(self, reply: Reply, outcome: str, now: float) -> None:
        reply.settled = True
        for turn in reply.turns:
            self._handled(turn, outcome if turn is reply.turn else "merged", now)

    def _handled(self, turn: Turn, outcome: str, now: float) -> None:
        self._context.do(TurnHandled(outcome, self._context.plan.revision, turn.line.timing(now)))

    def _withdraw(self, reply: Reply, reason: WithdrawnReason) -> None:
        if reply.drafted is not None:
            self._context.do(DraftWithdrawn(reply.drafted, self._context.plan.revision, reason))
            reply.drafted = None

    def _cancel(self, reply: Reply) -> None:
        if reply.id is not None:
            self._context.do(Send(response_cancel(self._context.name("c"), reply.id)))

    def _first(self, reply: Reply, now: float) -> None:
        if reply.turn is not None and reply.turn.line.first_delta is None:
            reply.turn.line.first_delta = now

    def _count(self, response: ResponseInfo) -> None:
        if response.usage is not None:
            for modality, direction, cached, count in response.usage.counts():
                self._context.do(TokensUsed(self._context.plan.model.name, modality, direction, cached, count))


def _same(a: str | None, b: str | None) -> bool:
    """Whether two ids fit each other; a server that names none is taken at its word."""
    return a is None or b is None or a == b
