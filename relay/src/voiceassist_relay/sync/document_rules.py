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

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from voiceassist_crds.messages import CallDocument, CallState, Successor
from voiceassist_crds.names import stream_name

STARTING_SECONDS: Final = 15.0
"""How long a start may take before another one may take over."""
LONGEST_START_SECONDS: Final = 120.0
"""A deadline further ahead is none that a relay wrote, whatever its clock: it counts as passed."""
MAX_RESTARTS: Final = 2
"""How often a stream that died is started again by itself."""
MAX_RESTARTS_UNCONNECTED: Final = 4
"""The same of one that never came to a relay: the balancer may lead to a relay that died for some seconds more."""
SETTLED_SECONDS: Final = 60.0
"""A stream that lasted so long from its creation was well: what ends it is counted anew."""

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
    previous: CallDocument


@dataclass(frozen=True, slots=True)
class Waits:
    """Another worker holds the call still, and this one has joined it: they read along, and take charge when the other leaves. Write this
    Document (if `changed`)."""

    document: CallDocument
    changed: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Another worker holds the call still, and has no assist: nobody else may start it."""

    document: CallDocument


@dataclass(frozen=True, slots=True)
class Succession:
    """Before anything else: has the worker left the call to the successor?"""

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
    """The stream died before its `start`, or in mid-call: if the call still goes on, write this Document and create its stream."""

    document: CallDocument
    gone: CallDocument
    """What to write instead if the call is over."""


@dataclass(frozen=True, slots=True)
class TellAgent:
    """The stream is lost for good: write this Document and tell the agent."""

    document: CallDocument
    restarts_used_up: bool
    """Whether it was started again as often as that is done."""


def is_running(document: CallDocument) -> bool:
    """Whether a stream of this call is starting or live, as far as the Document knows."""
    return document.state in _RUNNING


def may_be_held(document: CallDocument | None, *, worker: str) -> bool:
    """Whether a start by this worker has to find out if the worker in charge holds the call still."""
    return document is not None and bool(document.worker) and document.worker != worker


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
    held_by_other: bool = False,
) -> Create | AlreadyRunning | TakeOver | ChangeWorker | Waits | Held:
    """A worker who may start asks for it.

    `sync_stream` names the Sync Stream of a call that has none yet, and of one that changes hands: who listened to the old one hears no
    more. Later generations under one worker keep the one they find, because it is what the agent's browser listens to. `owner_gone`
    says that the relay named in a live Document was asked and has no such call, or is no more; `held_by_other` that the worker in
    charge, who is not the one that asks, holds an accepted reservation for the call: nobody takes over from them.
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
    if held_by_other and document.worker != worker:
        if not is_running(document):
            return Held(document)
        waiting = document.model_copy(update={"successor": Successor(worker=worker, identity=identity, task_sid=task_sid)})
        return Waits(waiting, changed=waiting != document)
    overdue = document.state is CallState.STARTING and not now < document.deadline <= now + LONGEST_START_SECONDS
    if is_running(document) and not overdue and not (document.state is CallState.LIVE and owner_gone):
        if document.worker == worker and document.identity == identity:
            return AlreadyRunning(document)
        return ChangeWorker(_in_charge(document, worker, identity, task_sid, sync_stream), document)
    again = _in_charge(_next_generation(document, call_sid, now), worker, identity, task_sid, sync_stream)
    paused = document.paused and document.state is not CallState.STOPPED
    lost_at = now if document.state is CallState.LIVE else again.lost_at
    return TakeOver(again.model_copy(update={"restarts": 0, "deaths": 0, "paused": paused, "lost_at": lost_at}), document)


def _in_charge(document: CallDocument, worker: str, identity: str, task_sid: str, sync_stream: str) -> CallDocument:
    """The same call in the hands of this worker. Whoever was in charge, or waited to be, is not any more."""
    same = document.worker == worker and document.identity == identity
    changes: dict[str, object] = {"worker": worker, "identity": identity, "task_sid": task_sid, "successor": None}
    changes["sync_stream"] = document.sync_stream if same and document.sync_stream else sync_stream
    return document.model_copy(update=changes)


def succeed(document: CallDocument, holders: Collection[str], *, sync_stream: str) -> CallDocument | None:
    """The Document in the successor's hands, if the worker in charge is not among those who hold the task and the successor is; None: it
    stays as it is."""
    heir = document.successor
    if heir is None or not is_running(document) or document.worker in holders or heir.worker not in holders:
        return None
    return _in_charge(document, heir.worker, heir.identity, heir.task_sid, sync_stream)


def watch_ended(document: CallDocument, *, identity: str, sync_stream: str) -> CallDocument | None:
    """Somebody who read along does so no more: the call gets a Stream whose name they do not know. None: nothing to write."""
    if not is_running(document) or document.identity == identity:
        return None
    changes: dict[str, object] = {"sync_stream": sync_stream}
    if document.successor is not None and document.successor.identity == identity:
        changes["successor"] = None
    return document.model_copy(update=changes)


def decide_stop(document: CallDocument | None, *, worker: str, settled: bool = False) -> NotRunning | NotYours | Stop | Succession:
    """A worker asks for the stop. What was stopped or lost under the same worker is stopped at Twilio once more: the first
    request may have failed there. `settled`: it was found out who has the call now."""
    if document is None:
        return NotRunning()
    if not settled and _concerns_succession(document, worker):
        return Succession(document)
    if document.worker != worker or not worker:
        return NotYours(document) if is_running(document) else NotRunning()
    stopped = document.model_copy(update={"state": CallState.STOPPED, "paused": False})
    return Stop(stopped, changed=stopped != document)


def decide_paused(
    document: CallDocument | None, paused: bool, *, worker: str, settled: bool = False
) -> NotRunning | NotYours | SetPaused | Succession:
    """A worker asks for pause or resume. Asked again, the relay with the audio is told again. `settled` as for a stop."""
    if document is None or not is_running(document):
        return NotRunning()
    if not settled and _concerns_succession(document, worker):
        return Succession(document)
    if document.worker != worker or not worker:
        return NotYours(document)
    changed = document.model_copy(update={"paused": paused})
    return SetPaused(changed, changed=document.paused != paused, tell=document.state is CallState.LIVE)


def _concerns_succession(document: CallDocument, worker: str) -> bool:
    heir = document.successor
    return heir is not None and is_running(document) and bool(worker) and worker in {document.worker, heir.worker}


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

    The prompt's revision is the one that the call began with, in whichever relay that was.
    """
    if document.generation == generation and document.stream_sid == stream_sid and stream_sid and not is_running(document):
        return document
    if document.generation != generation or not is_running(document):
        return Superseded(document)
    if document.state is CallState.LIVE and document.stream_sid != stream_sid:
        return Superseded(document)  # a second stream that claims the same generation
    kept = document.prompt_revision or prompt_revision
    changes = {"state": CallState.LIVE, "owner": owner, "stream_sid": stream_sid, "prompt_revision": kept}
    return document.model_copy(update=changes)


def ended(document: CallDocument, lost: bool, seq: int, *, generation: int) -> CallDocument | None:
    """The stream of `generation` is over at its relay; `seq` is the highest suggestion number used. None: nothing to write."""
    changes: dict[str, object] = {}
    if seq > document.seq:
        changes["seq"] = seq
    if document.generation == generation and is_running(document):
        changes["state"] = CallState.LOST if lost else CallState.STOPPED
    return document.model_copy(update=changes) if changes else None


def stream_died(
    document: CallDocument | None,
    name: str,
    event: str,
    *,
    call_sid: str,
    now: float,
    since: float | None = None,
    owner_gone: bool = False,
) -> Ignore | Restart | TellAgent:
    """Twilio's status callback: stream `name` had `event` (stream-started, stream-stopped, stream-error), at the moment `since`.

    A live stream whose relay is there is that relay's to tell of; with `owner_gone` the call goes on at another.
    """
    if event not in {"stream-stopped", "stream-error"} or document is None:
        return Ignore()
    if document.stream_name != name or not is_running(document):
        return Ignore()
    if document.state is CallState.LIVE and not owner_gone:
        return TellAgent(document.model_copy(update={"state": CallState.LOST}), restarts_used_up=False)
    return _start_again(document, call_sid, now, since)


def stream_cut(
    document: CallDocument | None, name: str, *, call_sid: str, now: float, since: float | None = None
) -> Ignore | Restart | TellAgent:
    """The relay with the audio lost the socket of stream `name` at `since`, which nobody had asked to end. It may have written that
    already."""
    if document is None or document.stream_name != name or document.state not in {CallState.LIVE, CallState.LOST}:
        return Ignore()
    return _start_again(document, call_sid, now, since)


def owner_gone(document: CallDocument | None, owner: str, *, call_sid: str, now: float, since: float) -> Ignore | Restart | TellAgent:
    """The relay `owner` (host:port) is no more, by what other relays see of it; it last answered at `since`. What is another's by now, or
    over, is left alone."""
    if document is None or document.state is not CallState.LIVE or document.owner != owner:
        return Ignore()
    return _start_again(document, call_sid, now, since)


def under_way(document: CallDocument) -> float | None:
    """When (epoch seconds) the stream was asked for that is at no relay yet; None: there is none such."""
    return document.deadline - STARTING_SECONDS if document.state is CallState.STARTING else None


def did_not_come(document: CallDocument | None, generation: int, *, call_sid: str, now: float) -> CallDocument | None:
    """The stream of `generation` was asked for and is at no relay yet: it may have been led to one that is no more. The next one, which
    nobody counts as a restart; None: something has become of it."""
    if document is None or document.state is not CallState.STARTING or document.generation != generation:
        return None
    return _next_generation(document, call_sid, now)


def _start_again(document: CallDocument, call_sid: str, now: float, since: float | None = None) -> Restart | TellAgent:
    """Another generation. Not where the last MAX_RESTARTS live streams ended within SETTLED_SECONDS of their beginnings, nor after
    MAX_RESTARTS_UNCONNECTED in a row that never connected: what one recovery took says nothing of the next. `since` when: unheard."""
    was_live = document.state is not CallState.STARTING
    over = document.model_copy(update={"state": CallState.STOPPED if document.state is CallState.LIVE else CallState.LOST})
    died = now if since is None else min(since, now)
    settled = died - (document.deadline - STARTING_SECONDS) >= SETTLED_SECONDS
    deaths = 0 if was_live and settled else document.deaths
    if deaths >= MAX_RESTARTS if was_live else document.restarts >= MAX_RESTARTS_UNCONNECTED:
        return TellAgent(document.model_copy(update={"state": CallState.LOST}), restarts_used_up=True)
    if was_live:
        changes = {"restarts": 1, "deaths": deaths + 1, "lost_at": now if since is None else since}
    else:
        changes = {"restarts": document.restarts + 1, "lost_at": document.lost_at}
    return Restart(_next_generation(document, call_sid, now).model_copy(update=changes), gone=over)


def call_over(document: CallDocument, name: str) -> CallDocument | None:
    """The call itself has ended while its stream `name` was live: that is an end like any other. None: nothing to write."""
    if document.stream_name != name or document.state is not CallState.LIVE:
        return None
    return document.model_copy(update={"state": CallState.STOPPED})


def newest_generation(document: CallDocument) -> int:
    """The highest generation that a stream was asked for: the next one's is higher still."""
    return max(document.generation, document.next.generation if document.next is not None else 0)


def _next_generation(document: CallDocument, call_sid: str, now: float) -> CallDocument:
    generation = newest_generation(document) + 1
    return document.model_copy(
        update={
            "state": CallState.STARTING,
            "generation": generation,
            "stream_name": stream_name(call_sid, generation),
            "deadline": now + STARTING_SECONDS,
            "owner": "",
            "stream_sid": "",
            "next": None,
            "lost_at": document.lost_at if document.state is CallState.STARTING else 0.0,
        }
    )
