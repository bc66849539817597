"""Asks other relays which calls they have, and has the calls of one that is gone looked after. The private port's GET /calls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog
from fastapi import APIRouter, Request, Response

from .dependencies import FunctionDependencies
from .gone_relays import AGAIN_SECONDS, ASK_SECONDS, OtherRelays
from .peer_relays import Asked, PeerRelays, error_answer, is_relay

CALLS_PATH: Final = "/calls"
MAX_ANSWER: Final = 1 << 17
"""Twice the calls that a relay may have (1000), with what JSON adds."""
AT_ONCE: Final = 8
"""Calls of relays that are gone which one relay starts again at the same time."""

LATE_SECONDS: Final = 0.5
"""A timer of this relay's that is so much late says that it has too much to do, or was stopped."""

log = structlog.get_logger("voiceassist.relays")


class HadCalls(msgspec.Struct):
    """What a relay answers: which process it is (another one at its address has other calls), and its calls: first those whose streams
    were cut there and whose next ones it awaits, then those that it has, newest first."""

    process: str
    calls: list[str]


_answers: Final = msgspec.json.Decoder(HadCalls)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A stream that was asked for, by whomever, at `asked_at` (epoch seconds), and is at no relay yet. Generation 0: it could not be asked
    for, and may be tried again."""

    generation: int
    asked_at: float


class Recovery(Protocol):
    """Starts calls again. Each gives what is awaited then; None: there is nothing to do any more."""

    async def owner_gone(self, call_sid: str, owner: str, since: float) -> Awaited | None:
        """The relay at `owner` had this call, and is gone; it last answered at `since` (epoch seconds)."""

    async def not_there_yet(self, call_sid: str, generation: int) -> Awaited | None:
        """Asks for another stream if this generation's is at no relay yet, and nobody else has asked for one."""

    def awaited(self) -> list[str]:
        """The SIDs of the calls whose streams were cut here, and whose next ones this relay awaits."""


class RelayWatch:
    """Looks at the others until cancelled. `others` is told by whoever hears of them."""

    def __init__(self, deps: FunctionDependencies, others: OtherRelays, peers: PeerRelays, recovery: Recovery) -> None:
        self._deps, self._others, self._peers, self._recovery = deps, others, peers, recovery
        self._process = secrets.token_hex(8)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Asks everybody, again and again."""
        while True:
            meant = self._deps.monotonic() + ASK_SECONDS
            await sleep(ASK_SECONDS)
            if (late := self._deps.monotonic() - meant) > LATE_SECONDS:
                self._others.was_busy(late)
            await asyncio.gather(*(self._ask(address) for address in self._others.to_ask()))

    def suspect(self, address: str) -> None:
        """A stream of the relay there has died, and nothing listened: it is asked again soon, for the sake of its other calls."""
        if self._others.suspect(address, self._deps.monotonic()):
            self._deps.background.spawn("ask a relay that may be gone", self._ask_again(address))

    async def _ask_again(self, address: str) -> None:
        await asyncio.sleep(AGAIN_SECONDS)
        await self._ask(address)

    async def _ask(self, address: str) -> None:
        timing = self._deps.timing
        seconds = timing.suspect_seconds if self._others.is_suspect(address) else timing.watch_seconds
        body, now = await self._peers.calls(address, CALLS_PATH, MAX_ANSWER, seconds), self._deps.monotonic()
        since = self._deps.now() - self._others.silence(address, now)
        if isinstance(body, Asked):
            gone = self._others.refused(address, now) if body is Asked.GONE else self._others.silent(address, now)
        else:
            try:
                answer = _answers.decode(body)
            except msgspec.DecodeError:
                self._others.there(address, now)
                return
            if self._others.is_new(address, answer.process):
                log.info("another relay tells its calls", relay=address, calls=len(answer.calls))
            gone = self._others.answered(address, answer.process, answer.calls, now)
        if gone and self._deps.background.spawn("calls of a relay that is gone", self._look_after(address, list(gone), now, since)):
            log.warning("a relay is gone, its calls are looked after", relay=address, calls=len(gone))
            if isinstance(body, Asked):
                self._others.looked_after(address)

    async def _look_after(self, address: str, calls: Sequence[str], now: float, since: float) -> None:
        async with asyncio.TaskGroup() as group:
            for call_sid in calls:
                group.create_task(self._start_again(call_sid, address, self._others.turn(call_sid, address, now), since))

    async def _start_again(self, call_sid: str, address: str, turn: float, since: float) -> None:
        """Until its stream has come to a relay, or there is nothing to do any more; a place is held only while something is asked for."""
        awaited, wait = Awaited(0, 0.0), turn
        for patience in (*self._deps.timing.came_seconds, 0.0):
            await asyncio.sleep(wait)
            async with self._slots:
                if self._others.has(address, call_sid):
                    return  # it was this relay that was cut off
                if awaited.generation:
                    further = await self._recovery.not_there_yet(call_sid, awaited.generation)
                else:
                    further = await self._recovery.owner_gone(call_sid, address, since)
            if further is None:
                return
            awaited, wait = further, patience
            if awaited.generation:
                wait = max(patience / 2, patience - max(0.0, self._deps.now() - awaited.asked_at))  # by another relay's clock, maybe

    def router(self) -> APIRouter:
        """GET /calls, for relays with our proof."""
        router = APIRouter()

        async def calls(request: Request) -> Response:
            if not is_relay(self._deps, request):
                return error_answer(403, "no_proof", "no valid proof of a relay of this installation")
            named = dict.fromkeys([*self._recovery.awaited(), *self._deps.calls.here()])
            answer = HadCalls(self._process, list(named))
            return Response(msgspec.json.encode(answer), media_type="application/json")

        router.add_api_route(CALLS_PATH, calls, methods=["GET"], include_in_schema=False, response_model=None)
        return router
