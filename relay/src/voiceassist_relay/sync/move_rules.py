"""Decisions on the Document of a call that is moved from one relay to another. Pure; time (epoch seconds) is an argument.

    live, generation n --plan--> live n, next m --hand_over--> live m        (make before break: the old relay writes it)
                                      |  `------take_alone---> live m        (the old relay is no more)
                                      |--give_up--> live n                   (the next stream did not come; a later one has a higher number)
                                      `--plan_gap-> live n, next m, gap      (no room for two: n is stopped, then m asked for; as above)

Until `hand_over` the old generation is in force and everything asked of the call goes to its relay. Each is written at the revision it was
decided on: what else was asked in between (a stop, a pause, a transfer) makes it fail, and it is decided anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from voiceassist_crds.messages import CallDocument, CallState, NextStream
from voiceassist_crds.names import stream_name

from .document_rules import STARTING_SECONDS, newest_generation


@dataclass(frozen=True, slots=True)
class Holder:
    """The relay that has a call's audio, by what the Document says of it."""

    generation: int
    stream_sid: str

    def holds(self, document: CallDocument | None) -> bool:
        """Whether the Document says that this stream is live."""
        return (
            document is not None
            and document.state is CallState.LIVE
            and document.generation == self.generation
            and document.stream_sid == self.stream_sid
        )


@dataclass(frozen=True, slots=True)
class Taker:
    """The relay to which the next stream came: its address (host:port), the generation and the stream."""

    address: str
    generation: int
    stream_sid: str


def is_next(document: CallDocument | None, generation: int) -> bool:
    """Whether this generation's stream is to take over from the live one."""
    return (
        document is not None
        and document.state is CallState.LIVE
        and document.next is not None
        and not document.next.given_up
        and document.next.generation == generation > document.generation
    )


def in_gap(document: CallDocument) -> bool:
    """Whether the live stream was stopped so that the next one has room: its end is not the call's."""
    return document.next is not None and document.next.gap and is_next(document, document.next.generation)


def plan(document: CallDocument | None, holder: Holder, now: float) -> CallDocument | None:
    """The relay with the audio is about to ask for the next stream. None: the stream is not its own any more."""
    if document is None or not holder.holds(document):
        return None
    return document.model_copy(update={"next": NextStream(generation=newest_generation(document) + 1, at=now)})


def plan_gap(document: CallDocument | None, holder: Holder, now: float) -> CallDocument | None:
    """The relay with the audio is about to stop its stream, and then to ask for the next one, under a number of its own. None: the stream
    is not its own any more."""
    if document is None or not holder.holds(document):
        return None
    return document.model_copy(update={"next": NextStream(generation=newest_generation(document) + 1, at=now, gap=True)})


def hand_over(document: CallDocument | None, holder: Holder, taker: Taker, call_sid: str, seq: int) -> CallDocument | None:
    """The next stream has come to a relay that is ready for it: from now on that is the call's. None: it is not (any more)."""
    if document is None or not holder.holds(document) or not is_next(document, taker.generation):
        return None
    return _taken(document, taker, call_sid, seq)


def take_alone(document: CallDocument | None, taker: Taker, call_sid: str) -> CallDocument | None:
    """The next stream has come, and the relay that should hand over is no more. None: it is not the next one (any more)."""
    if document is None or not is_next(document, taker.generation):
        return None
    return _taken(document, taker, call_sid, document.seq)


def give_up(document: CallDocument | None, holder: Holder, generation: int) -> CallDocument | None:
    """The next stream did not come: nobody takes it for the next one any more, should it come after all. Its number is used up.

    None: nothing to write, since the call is another's or nothing of this attempt.
    """
    if document is None or not holder.holds(document) or not is_next(document, generation):
        return None
    return document.model_copy(update={"next": NextStream(generation=generation, at=0.0, given_up=True)})


def _taken(document: CallDocument, taker: Taker, call_sid: str, seq: int) -> CallDocument:
    asked_at = document.next.at if document.next is not None else 0.0
    return document.model_copy(
        update={
            "generation": taker.generation,
            "stream_name": stream_name(call_sid, taker.generation),
            "deadline": asked_at + STARTING_SECONDS,
            "owner": taker.address,
            "stream_sid": taker.stream_sid,
            "seq": max(seq, document.seq),
            "restarts": 0,
            "deaths": 0,
            "next": None,
        }
    )
