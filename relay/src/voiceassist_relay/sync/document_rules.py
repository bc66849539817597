"""Decisions on a call's Document: who starts, stops, pauses, goes live, takes over. Pure; time (epoch seconds) is an argument.

    (none) --start--> starting --went_live--> live --ended/stream_died--> lost
                        |  ^  `--stop--> stopped <--stop, ended--'           |
                        |  `------- a later start, generation + 1 -----------'   (also from stopped, and from an overdue starting)
                        `--stream_died (twice), create_unclear--> starting, generation + 1

Every decision is taken on a Document that was read at some revision, and counts only if it can still be written at that
revision (If-Match). Whoever writes a new generation creates at most one stream for it, so a generation has at most one stream;
`went_live` lets in the stream of the current generation alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import stream_name

STARTING_SECONDS: Final = 15.0
"""How long a start may take before another one may take over."""
MAX_RESTARTS: Final = 2
"""How often a stream that died before its `start` is started again."""

_RUNNING = frozenset({CallState.STARTING, CallState.LIVE})


@dataclass(frozen=True, slots=True)
class Create:
    """Nothing is known of the call: create this Document, then its stream."""

    document: CallDocument


@dataclass(frozen=True, slots=True)
class AlreadyRunning:
    """This worker's stream is starting or live: nothing to do."""

    document: CallDocument


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The earlier generation is over: write this Document, stop what may be left of the earlier stream, create the new one."""

    document: CallDocument
    previous: CallDocument


@dataclass(frozen=True, slots=True)
class ChangeWorker:
    """A transfer: the same stream goes on for another worker; write this Document."""

    document: CallDocument


@dataclass(frozen=True, slots=True)
class NotRunning:
    """There is nothing to stop, pause or resume."""


@dataclass(frozen=True, slots=True)
class NotYours:
    """Another worker is in the call: the request does not count."""

    document: CallDocument


@dataclass(frozen=True, slots=True)
class Stop:
    """Write this Document (if `changed`), then stop the stream of its generation at Twilio."""

    document: CallDocument
    changed: bool


@dataclass(frozen=True, slots=True)
class SetPaused:
    """Write this Document (if `changed`), then tell the relay that has the audio, if `tell`."""

    document: CallDocument
    changed: bool
    tell: bool


@dataclass(frozen=True, slots=True)
class Superseded:
    """The stream in question is not the one that the Document asks for: it must end."""

    document: CallDocument


@dataclass(frozen=True, slots=True)
class Ignore:
    """The event changes nothing."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The stream died before its `start`: if the call still goes on, write this Document and create its stream."""

    document: CallDocument
    gone: CallDocument
    """What to write instead if the call is over."""


@dataclass(frozen=True, slots=True)
class TellAgent:
    """The stream is lost for good: write this Document and tell the agent."""

    document: CallDocument
    restarts_used_up: bool
    """Whether it never went live, for all the restarts."""


def is_running(document: CallDocument) -> bool:
    """Whether a stream of this call is starting or live, as far as the Document knows."""
    return document.state in _RUNNING


def decide_start(
    document: CallDocument | None,
    *,
    call_sid: str,
    sync_stream: str,
    worker: str,
    identity: str,
    task_sid: str,
    now: float,
    owner_gone: bool = False,
) -> Create | AlreadyRunning | TakeOver | ChangeWorker:
    """A worker who may start asks for it.

    `sync_stream` names the Sync Stream of a call that has none yet; later generations keep the one they find, because it is
    what the agent's browser listens to. `owner_gone` says that the relay named in a live Document was asked and has no such
    call, or is no more.
    """
    if document is None:
        return Create(
            CallDocument(
                state=CallState.STARTING,
                generation=1,
                stream_name=stream_name(call_sid, 1),
                sync_stream=sync_stream,
                deadline=now + STARTING_SECONDS,
                worker=worker,
                identity=identity,
                task_sid=task_sid,
            )
        )
    overdue = document.state is CallState.STARTING and now >= document.deadline
    if is_running(document) and not overdue and not (document.state is CallState.LIVE and owner_gone):
        mine = {"worker": worker, "identity": identity, "task_sid": task_sid}
        if document.worker == worker and document.identity == identity:
            return AlreadyRunning(document)
        return ChangeWorker(document.model_copy(update=mine))
    paused = document.paused and document.state is not CallState.STOPPED
    changes: dict[str, object] = {"worker": worker, "identity": identity, "task_sid": task_sid, "restarts": 0, "paused": paused}
    changes["sync_stream"] = document.sync_stream or sync_stream
    return TakeOver(_next_generation(document, call_sid, now).model_copy(update=changes), document)


def decide_stop(document: CallDocument | None, *, worker: str) -> NotRunning | NotYours | Stop:
    """A worker asks for the stop. What was stopped or lost under the same worker is stopped at Twilio once more: the first
    request may have failed there."""
    if document is None:
        return NotRunning()
    if document.worker != worker or not worker:
        return NotYours(document) if is_running(document) else NotRunning()
    stopped = document.model_copy(update={"state": CallState.STOPPED, "paused": False})
    return Stop(stopped, changed=stopped != document)


def decide_paused(document: CallDocument | None, paused: bool, *, worker: str) -> NotRunning | NotYours | SetPaused:
    """A worker asks for pause or resume. Asked again, the relay with the audio is told again."""
    if document is None or not is_running(document):
        return NotRunning()
    if document.worker != worker or not worker:
        return NotYours(document)
    changed = document.model_copy(update={"paused": paused})
    return SetPaused(changed, changed=document.paused != paused, tell=document.state is CallState.LIVE)


def create_unclear(document: CallDocument, call_sid: str, *, generation: int, now: float) -> CallDocument | AlreadyRunning | Superseded:
    """Creating the stream of `generation` may or may not have worked: what to write before the next one is created.

    AlreadyRunning: it did work, for its stream is live by now.
    """
    if document.generation == generation and document.state is CallState.LIVE:
        return AlreadyRunning(document)
    if document.generation != generation or document.state is not CallState.STARTING:
        return Superseded(document)
    return _next_generation(document, call_sid, now)


def create_failed(document: CallDocument, *, generation: int) -> CallDocument | None:
    """The stream of `generation` was not created: lost, so that a later start works. None: nothing to write."""
    if document.generation != generation or document.state is not CallState.STARTING:
        return None
    return document.model_copy(update={"state": CallState.LOST})


def still_wanted(document: CallDocument | None, *, generation: int) -> bool:
    """Whether a stream that has just been created for `generation` is still asked for; else its creator stops it."""
    return document is not None and document.generation == generation and is_running(document)


def went_live(document: CallDocument, owner: str, stream_sid: str, prompt_revision: str, *, generation: int) -> CallDocument | Superseded:
    """A verified `start` of `generation` arrived at the relay `owner` (host:port). Superseded: its connection must close.

    The answer's `paused` counts, not the stream token's: a pause may have come since the token was signed. A Document in which this
    very stream was live and is over stays as it is: the answer to the write may have been lost, and the end have been written meanwhile
    by a callback or by the worker's stop; what the stream has brought until then is wanted.
    """
    if document.generation == generation and document.stream_sid == stream_sid and stream_sid and not is_running(document):
        return document
    if document.generation != generation or not is_running(document):
        return Superseded(document)
    if document.state is CallState.LIVE and document.stream_sid != stream_sid:
        return Superseded(document)  # a second stream that claims the same generation
    changes = {"state": CallState.LIVE, "owner": owner, "stream_sid": stream_sid, "prompt_revision": prompt_revision}
    return document.model_copy(update=changes)


def ended(document: CallDocument, lost: bool, seq: int, *, generation: int) -> CallDocument | None:
    """The stream of `generation` is over at its relay; `seq` is the highest suggestion number used. None: nothing to write."""
    changes: dict[str, object] = {}
    if seq > document.seq:
        changes["seq"] = seq
    if document.generation == generation and is_running(document):
        changes["state"] = CallState.LOST if lost else CallState.STOPPED
    return document.model_copy(update=changes) if changes else None


def stream_died(document: CallDocument | None, name: str, event: str, *, call_sid: str, now: float) -> Ignore | Restart | TellAgent:
    """Twilio's status callback: stream `name` had `event` (stream-started, stream-stopped, stream-error)."""
    if event not in {"stream-stopped", "stream-error"} or document is None:
        return Ignore()
    if document.stream_name != name or not is_running(document):
        return Ignore()
    lost = document.model_copy(update={"state": CallState.LOST})
    if document.state is CallState.LIVE:
        return TellAgent(lost, restarts_used_up=False)
    if document.restarts >= MAX_RESTARTS:
        return TellAgent(lost, restarts_used_up=True)
    again = _next_generation(document, call_sid, now).model_copy(update={"restarts": document.restarts + 1})
    return Restart(again, gone=lost)


def call_over(document: CallDocument, name: str) -> CallDocument | None:
    """The call itself has ended while its stream `name` was live: that is an end like any other. None: nothing to write."""
    if document.stream_name != name or document.state is not CallState.LIVE:
        return None
    return document.model_copy(update={"state": CallState.STOPPED})


def _next_generation(document: CallDocument, call_sid: str, now: float) -> CallDocument:
    generation = document.generation + 1
    return document.model_copy(
        update={
            "state": CallState.STARTING,
            "generation": generation,
            "stream_name": stream_name(call_sid, generation),
            "deadline": now + STARTING_SECONDS,
            "owner": "",
            "stream_sid": "",
            "prompt_revision": "",
        }
    )
