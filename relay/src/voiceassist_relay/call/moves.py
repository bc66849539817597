"""Moves this relay's calls to others: the next stream first, then the call, then the end of the old stream. What is written decides.

The relay that has the call asks Twilio for a second stream, which the ingress brings to a relay that is ready. That relay asks this one for
the call; this one writes into the Document that the call is the other's, and hands it over. A call that cannot be moved goes on here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog
from fastapi import APIRouter, Request, Response

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import is_call_sid, stream_name

from ..errors import RequestRefused, TwilioError, TwilioRefused, TwilioUnclear, UnknownCallState
from ..free_places import at_once
from ..handed_over import HandedCall, TakeRequest, encode, read_request
from ..interfaces import StreamStart
from ..logs import call_hash
from ..sync.call_documents import CallDocuments
from ..sync.call_objects import SUPERSEDED, TakeAnswer
from ..sync.move_rules import Holder, Taker, give_up, hand_over, plan, plan_gap
from ..sync.retry import Ousted
from ..twilio.call_streams import TwilioStreams
from ..twilio.error_answers import is_gone, leaves_no_room
from .dependencies import FunctionDependencies
from .parts import Commit
from .peer_relays import CALL_OVER, NO_SUCH_CALL, Asked, PeerRelays, error_answer, is_relay

MAX_REQUEST: Final = 4096
REMEMBERED: Final = 200
"""Hand-overs that are kept for a relay that did not get the answer; the oldest is forgotten."""

log = structlog.get_logger("voiceassist.moves")


class MovingCall(Protocol):
    """A call of this relay that may be moved."""

    start: StreamStart

    @property
    def holder(self) -> Holder:
        """Its stream, by what the Document says of it."""

    @property
    def movable(self) -> bool:
        """Whether the Document names this stream, and the stream runs."""

    async def hand_over(self, patience: float, commit: Commit) -> HandedCall | None:
        """Hands it over."""

    def brace(self) -> None:
        """Lets it outlive its stream."""

    async def stream_over(self, seconds: float) -> bool:
        """Waits for the stream's end; whether it has come."""

    def tell_gap(self) -> None:
        """Tells the agent that nothing is heard of the call."""

    def release(self, reason: str) -> None:
        """It is not handed over; its stream, if that is over, ended by `reason`."""


@dataclass(slots=True)
class _Move:
    """One attempt. `giving`: the other relay has asked for the call; `answered` is set when it was told what became of that. `patience`:
    seconds to wait for a moment between two turns."""

    call: MovingCall
    patience: float
    generation: int = 0
    stream_sid: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    giving: asyncio.Task[bytes | None] | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    succeeded: bool = False


class CallMoves:
    """The calls that this relay gives away, and those that it asks others for."""

    def __init__(self, deps: FunctionDependencies, documents: CallDocuments, streams: TwilioStreams, peers: PeerRelays) -> None:
        self._deps, self._documents, self._streams, self._peers = deps, documents, streams, peers
        self._moves: dict[str, _Move] = {}
        self._last = False
        self._gap_tried = asyncio.Lock()
        self._gap_works: bool | None = None
        """Whether a call that was without a stream for a while was moved; False: its next one was refused to the end. None: not known."""
        self.nowhere = False
        """Calls are to be moved, and no other relay has a place for them."""
        self._given: OrderedDict[str, bytes] = OrderedDict()

    def __len__(self) -> int:
        """Calls that are being moved now."""
        return len(self._moves)

    # giving

    async def move_all(self, calls: Callable[[], Iterable[MovingCall]]) -> None:
        """Moves every call that can be moved, again and again: new ones may come to be movable, and attempts may fail. Ends when cancelled,
        or after `begin_no_more` with the last attempt."""
        timing, loop = self._deps.timing, asyncio.get_running_loop()
        failures: dict[str, int] = {}
        not_before: dict[str, float] = {}
        async with asyncio.TaskGroup() as group:
            while not self._last:
                places = self._deps.free_places.count(self._deps.monotonic())
                self._tell_places(places)
                for call in calls():
                    if not call.movable or len(self._moves) >= at_once(places, timing.moves_at_once):
                        continue
                    sid = call.start.call_sid
                    if sid in self._moves or loop.time() < not_before.get(sid, 0.0):
                        continue
                    failures[sid] = failures.get(sid, -1) + 1
                    wait = timing.move_again.delay(failures[sid] + 1, random.random(), None, 0.0) or 0.0  # noqa: S311 - jitter
                    not_before[sid] = loop.time() + timing.arrive_seconds + wait
                    move = self._moves[sid] = _Move(call, timing.move_patience)
                    self._deps.metrics.moving_calls.set(len(self._moves))
                    task = group.create_task(self._attempt(sid, move))
                    task.add_done_callback(lambda _, sid=sid, wait=wait: not_before.__setitem__(sid, loop.time() + wait))  # type: ignore[misc]
                await asyncio.sleep(0.1)

    def begin_no_more(self) -> None:
        """Attempts that have begun come to their end; no others begin."""
        self._last = True

    def _tell_places(self, places: int | None) -> None:
        nowhere = places == 0
        if nowhere and not self.nowhere:
            log.warning("no other relay has a place for this one's calls: it waits for them")
        self.nowhere = nowhere
        self._deps.metrics.nowhere_to_move.set(nowhere)

    def is_moving(self, call_sid: str) -> bool:
        """Whether an attempt to move this call is under way."""
        return call_sid in self._moves

    async def _attempt(self, call_sid: str, move: _Move) -> None:
        """One attempt; whatever fails in it leaves the call here."""
        began, outcome = self._deps.monotonic(), "failed"
        try:
            outcome = await self._moved(call_sid, move)
        except (TwilioError, RequestRefused, UnknownCallState) as error:
            log.warning("call not moved", call=call_hash(call_sid), error=type(error).__name__)
        except Exception:
            log.exception("call not moved", call=call_hash(call_sid))
        finally:
            del self._moves[call_sid]
            self._deps.metrics.moving_calls.set(len(self._moves))
        self._deps.metrics.call_moved(outcome, self._deps.monotonic() - began)
        log.info("call moved" if move.succeeded else "call not moved", call=call_hash(call_sid), outcome=outcome)

    async def _moved(self, call_sid: str, move: _Move) -> str:
        holder, timing = move.call.holder, self._deps.timing

        def planned(found: CallDocument | None) -> CallDocument | None:
            return plan(found, holder, self._deps.now())

        _, document = await self._documents.settle(call_sid, planned, lambda wanted: wanted)
        if document is None or document.next is None:
            return "ended"
        move.generation = generation = document.next.generation
        name = stream_name(call_sid, generation)
        outcome = "never_came"
        try:
            await self._streams.create(call_sid, document.model_copy(update={"generation": generation, "stream_name": name}), moved=True)
        except TwilioRefused as error:
            if leaves_no_room(error):  # or so it seems: until a call was moved with a gap, one alone is without a stream
                async with self._gap_tried:
                    if self._gap_works is None and self._may_have_gap(move):
                        return await self._moved_with_gap(call_sid, move)
                if self._may_have_gap(move):
                    return await self._moved_with_gap(call_sid, move)
            outcome = "ended" if is_gone(error) else "refused"
        except TwilioUnclear:
            pass  # it may come all the same
        if outcome == "never_came":
            await _answered(move, timing.arrive_seconds, timing.take_seconds)
        if not move.succeeded:  # written first: from then on nobody is given the call for the next stream, which may be stopped
            await self._documents.settle(call_sid, lambda found: give_up(found, holder, generation), lambda wanted: wanted)
            await _told(move, timing.take_seconds)
        if move.succeeded:
            await self._streams.stop_quietly(call_sid, holder.stream_sid)
            return "moved"
        if outcome == "never_came":
            await self._streams.stop_quietly(call_sid, name)
        return outcome if move.call.movable else "ended"

    def _may_have_gap(self, move: _Move) -> bool:
        return move.call.movable and not self.nowhere and self._gap_works is not False

    def _refused_after_gap(self) -> str:
        self._gap_works = None if self._gap_works else False
        if self._gap_works is False:
            log.warning("no other call's stream is stopped to make room for its next one: that was refused")
        return "refused"

    async def _moved_with_gap(self, call_sid: str, move: _Move) -> str:
        """Twilio forks the call only once: the old stream ends first, then the new one is asked for, again and again for some seconds."""
        call, holder, outcome = move.call, move.call.holder, "failed"
        move.patience = 0.0
        notice: asyncio.Task[None] | None = None
        document = await self._next_in_gap(call_sid, move)
        if document is None:
            return "ended"
        call.brace()
        try:
            outcome = "refused"
            if await self._stopped(call_sid, call, document):
                notice = asyncio.create_task(self._tell_gap(call_sid, move), name="gap notice")
                outcome = await self._came_after_gap(call_sid, move, document)
            return outcome
        finally:
            if notice is not None:
                notice.cancel()
            if not move.succeeded:
                await self._not_moved(call_sid, move, holder, outcome)

    async def _next_in_gap(self, call_sid: str, move: _Move) -> CallDocument | None:
        holder = move.call.holder
        _, document = await self._documents.settle(call_sid, lambda found: plan_gap(found, holder, self._deps.now()), lambda wanted: wanted)
        if document is not None and document.next is not None:
            move.generation = document.next.generation
        return document

    async def _stopped(self, call_sid: str, call: MovingCall, document: CallDocument) -> bool:
        """Stops the old stream. Whether it is over, by Twilio's word or by what is seen of it."""
        try:
            await self._streams.stop(call_sid, document)
        except TwilioError as error:
            log.warning("stream not stopped for a move", call=call_hash(call_sid), error=type(error).__name__)
            return await call.stream_over(self._deps.timing.stop_seconds)
        await call.stream_over(self._deps.timing.stop_seconds)
        return True

    async def _came_after_gap(self, call_sid: str, move: _Move, document: CallDocument) -> str:
        """Asks for the next stream until one has come and has the call, or the time is over."""
        timing, loop, holder = self._deps.timing, asyncio.get_running_loop(), move.call.holder
        deadline, failures = loop.time() + timing.gap_seconds, 0
        while move.call.movable:
            generation = move.generation
            name = stream_name(call_sid, generation)
            wanted = document.model_copy(update={"generation": generation, "stream_name": name})
            try:
                await self._streams.create(call_sid, wanted, moved=True)
            except TwilioRefused as error:
                if is_gone(error):
                    return "ended"
                failures += 1
                wait = timing.gap_again.delay(failures, random.random(), None, 0.0) or 0.0  # noqa: S311 - jitter
                if not leaves_no_room(error) or loop.time() + wait > deadline:
                    return self._refused_after_gap()
                await asyncio.sleep(wait)  # what was stopped may take its time to make room
                if await self._is_over(call_sid, holder):
                    break
                continue
            except TwilioUnclear:
                pass  # it may come all the same
            await _answered(move, max(0.0, min(timing.gap_arrive_seconds, deadline - loop.time())), timing.take_seconds)
            over, again = loop.time() >= deadline, None
            if not move.succeeded:  # written first: from then on nobody is given the call for this stream, which may be stopped
                if over:
                    await self._documents.settle(call_sid, lambda found: give_up(found, holder, move.generation), lambda wanted: wanted)
                else:
                    again = await self._next_in_gap(call_sid, move)
                await _told(move, timing.take_seconds)
            if move.succeeded:
                self._gap_works = True
                return "moved_with_gap"
            await self._streams.stop_quietly(call_sid, name)
            if over:
                return "never_came"
            if again is None:
                break
            move.giving, move.stream_sid, move.answered = None, "", asyncio.Event()
            document = again
        return "ended"

    async def _tell_gap(self, call_sid: str, move: _Move) -> None:
        await asyncio.sleep(self._deps.timing.gap_told_seconds)
        with contextlib.suppress(UnknownCallState):
            if not move.asked.is_set() and not await self._is_over(call_sid, move.call.holder) and not move.asked.is_set():
                move.call.tell_gap()

    async def _is_over(self, call_sid: str, holder: Holder) -> bool:
        """Whether the Document says that the call is not this stream's any more; it counts as its own if Sync does not tell in time. Raises
        UnknownCallState."""
        try:
            async with asyncio.timeout(self._deps.timing.stop_seconds):
                seen = await self._documents.read(call_sid)
        except (TimeoutError, TwilioError):
            return False
        return not holder.holds(seen.document if seen else None)

    async def _not_moved(self, call_sid: str, move: _Move, holder: Holder, outcome: str) -> None:
        """After a gap in which nobody took the call: its stream, if it is over, is started again like one that was cut off."""
        reason = "stop" if outcome == "ended" else "socket"
        try:
            with contextlib.suppress(TimeoutError):  # a restart writes over what is left of the attempt
                async with asyncio.timeout(self._deps.timing.stop_seconds):
                    before, _ = await self._documents.settle(
                        call_sid, lambda found: give_up(found, holder, move.generation), lambda wanted: wanted
                    )
                    if before is not None and before.state is CallState.STOPPED:
                        reason = "stop"
        finally:
            move.call.release(reason)

    async def give(self, call_sid: str, request: TakeRequest, waiting: Callable[[], Awaitable[bool]]) -> bytes | None:
        """Hands a call over to the relay that asks for it, while that is `waiting`; asked again, it is the same hand-over.

        None: the call stays. Raises TwilioError, RequestRefused, UnknownCallState.
        """
        given = self._given.get(_name(call_sid, request))
        if given is not None:
            return given
        move = self._moves.get(call_sid)
        if move is None or move.generation != request.generation:
            return None
        if move.giving is None:
            move.stream_sid = request.stream_sid
            move.asked.set()
            move.giving = asyncio.create_task(self._give(call_sid, move, request, waiting), name="hand over")
        elif move.stream_sid != request.stream_sid:
            return None
        return await asyncio.shield(move.giving)

    async def _give(self, call_sid: str, move: _Move, request: TakeRequest, waiting: Callable[[], Awaitable[bool]]) -> bytes | None:
        taker, holder, answered = Taker(request.address, request.generation, request.stream_sid), move.call.holder, move.answered

        async def commit(seq: int) -> CallDocument | None:
            if not await waiting():
                return None
            _, written = await self._documents.settle(
                call_sid, lambda found: hand_over(found, holder, taker, call_sid, seq), lambda wanted: wanted
            )
            return written

        try:
            handed = await move.call.hand_over(move.patience, commit)
            if handed is None:
                return None
            move.succeeded = True
            answer = self._given[_name(call_sid, request)] = encode(handed)
            while len(self._given) > REMEMBERED:
                self._given.popitem(last=False)
            return answer
        finally:
            answered.set()

    def router(self) -> APIRouter:
        """The private port's route: POST /calls/{callSid}/take, for relays with our proof. To be asked before the other ones of calls."""
        router = APIRouter()

        async def take(request: Request) -> Response:
            call_sid = request.path_params["call_sid"]
            if int(request.headers.get("content-length") or MAX_REQUEST + 1) > MAX_REQUEST:
                return error_answer(413, "too_long", "the body is too long, or its length is not told")
            body = await request.body()
            if not is_relay(self._deps, request, body):
                return error_answer(403, "no_proof", "no valid proof of a relay of this installation")
            wanted = read_request(body)
            if wanted is None or not is_call_sid(call_sid):
                return error_answer(400, "not_a_request", "generation, stream_sid and address are expected")
            return await self._answer(request, call_sid, wanted)

        router.add_api_route("/calls/{call_sid}/take", take, methods=["POST"], include_in_schema=False, response_model=None)
        return router

    async def _answer(self, request: Request, call_sid: str, wanted: TakeRequest) -> Response:
        async def waiting() -> bool:
            return not await request.is_disconnected()

        try:
            given = await self.give(call_sid, wanted, waiting)
        except (TwilioError, RequestRefused, UnknownCallState) as error:
            log.warning("call not handed over", call=call_hash(call_sid), error=type(error).__name__)
            return error_answer(503, "not_written", "the call's Document could not be written")
        if given is not None:
            return Response(given, media_type="application/json")
        if self._deps.calls.find(call_sid) is not None:
            return error_answer(409, "kept", "this relay keeps the call")
        return error_answer(404, CALL_OVER if self._deps.calls.had(call_sid) else NO_SUCH_CALL, "this relay does not have the call")

    # taking

    async def take(self, address: str, start: StreamStart, over: Callable[[], bool]) -> HandedCall | TakeAnswer:
        """Asks the relay at `address` for the call whose next stream has come here. Raises Ousted if it keeps the call."""
        request = TakeRequest(start.claims.generation, start.stream_sid, self._deps.address)
        if over():
            raise Ousted(SUPERSEDED)
        answer = await self._peers.take(address, start.call_sid, request)
        if isinstance(answer, HandedCall):
            return answer
        if answer in {Asked.GONE, Asked.NEVER}:
            return TakeAnswer.GONE
        if over() or answer is not Asked.UNKNOWN:
            raise Ousted(SUPERSEDED)
        await asyncio.sleep(self._deps.timing.take_again_seconds)
        return TakeAnswer.NOT_YET


async def _answered(move: _Move, seconds: float, take_seconds: float) -> None:
    """Waits until the relay to which the next stream came has asked for the call, at most so many seconds, and then for its answer."""
    try:
        async with asyncio.timeout(seconds):
            await move.answered.wait()
    except TimeoutError:
        await _told(move, take_seconds)


async def _told(move: _Move, seconds: float) -> None:
    """If another relay has asked for the call: waits until it is told what became of that, at most so many seconds."""
    if move.giving is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await move.answered.wait()


def _name(call_sid: str, request: TakeRequest) -> str:
    return f"{call_sid} {request.generation} {request.stream_sid}"
