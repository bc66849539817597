"""Calls that are given away, as the relay that has them decides: with a Document, streams and calls that are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from unit.sync.documents import CALL, document
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.call.background import Background
from voiceassist_relay.call.dependencies import Timing
from voiceassist_relay.call.moves import CallMoves
from voiceassist_relay.call.parts import Commit
from voiceassist_relay.call.peer_relays import Asked
from voiceassist_relay.call.recovery import STOPPED_EVENT, StreamCallbacks, StreamEvent
from voiceassist_relay.errors import TwilioRefused
from voiceassist_relay.free_places import FreePlaces
from voiceassist_relay.handed_over import HandedCall, HandedModel, HandedTrack, TakeRequest
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.sync.call_documents import Seen
from voiceassist_relay.sync.move_rules import Holder, plan_gap

pytestmark = pytest.mark.looptime

OTHER = "CA" + "2" * 32
TIMING = Timing()
NO_ROOM = TwilioRefused("media_create", 400, 31931)


class Documents:
    """The calls' Documents; `away`: Sync answers nobody. `before_write` is done once, before the next write, by somebody else."""

    def __init__(self) -> None:
        self.of: dict[str, CallDocument] = {CALL: document(), OTHER: document()}
        self.away = False
        self.before_write: Callable[[], Awaitable[object]] | None = None

    async def read(self, call_sid: str) -> Seen:
        if self.away:
            await asyncio.sleep(180)
        await asyncio.sleep(0.05)
        return Seen(self.of[call_sid], "ET", "0")

    async def settle(self, call_sid: str, decide: Callable[[CallDocument], Any], wanted: Callable[[Any], CallDocument | None]) -> Any:
        while True:
            before = (await self.read(call_sid)).document
            decision = decide(before)
            after = wanted(decision)
            if after is None:
                return before, decision
            hook, self.before_write = self.before_write, None
            if hook is not None:
                await hook()
            if self.of[call_sid] is before:
                self.of[call_sid] = after
                return before, decision

    async def write(self, call_sid: str, after: CallDocument, seen: Seen) -> bool:
        if self.of[call_sid] is not seen.document:
            return False
        self.of[call_sid] = after
        return True


class Streams:
    """Twilio's streams: `refusals` are met by as many creations (-1: by all); `on_stop` is done while one is stopped quietly."""

    def __init__(self) -> None:
        self.refusals = 0
        self.created: list[int] = []
        self.stopped: list[str] = []
        self.stopped_quietly: list[str] = []
        self.on_stop: Callable[[], Awaitable[object]] | None = None

    async def create(self, call_sid: str, wanted: CallDocument, *, moved: bool = False) -> str:
        assert moved
        self.created.append(wanted.generation)
        if self.refusals:
            self.refusals -= 1
            raise NO_ROOM
        return "MZ"

    async def stop(self, call_sid: str, _: CallDocument) -> None:
        self.stopped.append(call_sid)

    async def stop_quietly(self, call_sid: str, reference: str) -> None:
        self.stopped_quietly.append(reference)
        if self.on_stop is not None:
            await self.on_stop()

    async def in_progress(self, _: str) -> bool:
        return True


class Call:
    """A call of this relay."""

    def __init__(self, call_sid: str = CALL) -> None:
        self.start: Any = SimpleNamespace(call_sid=call_sid)
        self.holder = Holder(1, document().stream_sid)
        self.movable = True
        self.told = 0
        self.released: list[str] = []

    async def hand_over(self, patience: float, commit: Commit) -> HandedCall | None:
        written = await commit(0)
        if written is None:
            return None
        self.movable = False
        return HandedCall(written.generation, {}, "r", HandedModel(HandedTrack()))

    def brace(self) -> None:
        pass

    async def stream_over(self, _: float) -> bool:
        return True

    def tell_gap(self) -> None:
        self.told += 1

    def release(self, reason: str) -> None:
        self.released.append(reason)
        self.movable = False


class Rig:
    def __init__(self) -> None:
        self.documents, self.streams, self.metrics = Documents(), Streams(), RelayMetrics()
        loop = asyncio.get_running_loop()
        self.deps: Any = SimpleNamespace(
            timing=TIMING,
            now=lambda: 1e9 + loop.time(),
            monotonic=loop.time,
            metrics=self.metrics,
            free_places=FreePlaces(),
            background=Background(),
        )
        self.moves = CallMoves(self.deps, self.documents, self.streams, SimpleNamespace())  # type: ignore[arg-type]

    async def move(self, *calls: Call, seconds: float = 60) -> None:
        """Moves these for so many seconds, or until none is left."""
        moving = asyncio.create_task(self.moves.move_all(lambda: calls))
        async with asyncio.timeout(600):
            began = asyncio.get_running_loop().time()
            while any(call.movable for call in calls) and asyncio.get_running_loop().time() < began + seconds:
                await asyncio.sleep(0.1)
            self.moves.begin_no_more()
            await moving

    async def take(self, generation: int) -> bytes | None:
        async def waiting() -> bool:
            return True

        return await self.moves.give(CALL, TakeRequest(generation, "MZnew", "10.0.0.2:9090"), waiting)

    def outcome(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("voiceassist_relay_moves_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize("gap", [False, True])
async def test_moves_stop_no_stream_that_is_still_given_the_call(gap: bool) -> None:
    """The next stream comes just when it is given up, and asks while it is being stopped."""
    rig, call, given = Rig(), Call(), []
    rig.streams.refusals = int(gap)

    async def comes() -> None:
        given.append(await rig.take(rig.streams.created[-1]))
        rig.streams.on_stop = None

    rig.streams.on_stop = comes
    await rig.move(call, seconds=15)
    assert given == [None], "a stream that is stopped does not get the call"
    assert rig.documents.of[CALL].generation == 1


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("seconds", [15.0, 1.0])
async def test_moves_keep_a_stream_that_was_given_the_call_when_it_was_to_be_given_up(
    gap: bool, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hand-over is written just before what gives the stream up is; in the gap, with time for another stream and without."""
    rig, call, given = Rig(), Call(), []
    rig.deps.timing = Timing(gap_seconds=seconds)
    rig.streams.refusals = int(gap)
    create = rig.streams.create

    async def created(*arguments: Any, **more: Any) -> str:
        sid = await create(*arguments, **more)
        rig.documents.before_write = comes
        return sid

    async def comes() -> None:
        given.append(await rig.take(rig.streams.created[-1]))

    monkeypatch.setattr(rig.streams, "create", created)
    await rig.move(call)
    (got,) = given
    assert got is not None
    taken = rig.documents.of[CALL]
    assert taken.stream_sid == "MZnew"
    assert taken.stream_name not in rig.streams.stopped_quietly
    assert call.released == []
    assert rig.outcome("moved_with_gap" if gap else "moved") == 1


async def test_moves_end_soon_after_their_time_though_sync_is_away() -> None:
    rig, call = Rig(), Call()
    rig.streams.refusals = 1
    moving = asyncio.create_task(rig.moves.move_all(lambda: [call]))
    while not rig.streams.stopped:
        await asyncio.sleep(0.1)
    rig.documents.away = True
    loop = asyncio.get_running_loop()
    began = loop.time()
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)
    assert loop.time() - began <= TIMING.stop_seconds + 1
    assert call.released == ["socket"], "it is started again"


async def test_moves_stop_one_stream_alone_where_the_next_one_is_refused_for_good() -> None:
    """400 may mean that there is no room for two; that it does not is found out with one call."""
    rig, calls = Rig(), [Call(), Call(OTHER)]
    rig.streams.refusals = -1
    await rig.move(*calls)
    assert rig.streams.stopped == [CALL]
    assert [call.released for call in calls] == [["socket"], []]
    assert calls[1].movable


async def test_moves_with_gaps_go_side_by_side_once_one_has_gone_well() -> None:
    rig, calls = Rig(), [Call(), Call(OTHER)]
    rig.streams.refusals = 2
    moving = asyncio.create_task(rig.move(*calls))
    while len(rig.streams.created) < 3:
        await asyncio.sleep(0.1)
    assert rig.streams.stopped == [CALL], "the second waits"
    assert await rig.take(rig.streams.created[-1]) is not None
    await moving
    assert rig.streams.stopped[:2] == [CALL, OTHER]


async def test_moves_see_in_a_gap_that_the_agent_has_stopped_the_call() -> None:
    rig, call = Rig(), Call()
    rig.streams.refusals = -1
    moving = asyncio.create_task(rig.move(call))
    while len(rig.streams.created) < 2:
        await asyncio.sleep(0.1)
    stopped = rig.documents.of[CALL] = rig.documents.of[CALL].model_copy(update={"state": CallState.STOPPED})
    created = len(rig.streams.created)
    await moving
    assert len(rig.streams.created) <= created + 1, "no stream is asked for"
    assert call.told == 0, "`reconnecting` does not follow on `stopped`"
    assert call.released == ["stop"]
    assert rig.documents.of[CALL] == stopped


async def test_moves_tell_the_agent_of_a_long_gap() -> None:
    rig, call = Rig(), Call()
    rig.streams.refusals = -1
    await rig.move(call)
    assert call.told == 1


async def test_moves_whose_relay_dies_in_the_gap_are_started_again_after_the_old_streams_callback() -> None:
    """The callback comes while the relay is there still: there will be no other one."""
    rig, restarted = Rig(), []
    before = plan_gap(document(), Holder(1, document().stream_sid), 0.0)
    assert before is not None
    rig.documents.of[CALL] = before
    answers = [Asked.DONE, Asked.GONE]

    async def has(*_: object) -> Asked:
        return answers.pop(0)

    async def tell(*_: object) -> None:
        pass

    async def create_stream(_: str, wanted: CallDocument, __: object) -> CallDocument:
        restarted.append(wanted.generation)
        return wanted

    starts = SimpleNamespace(create_stream=create_stream, follow=lambda *_, **__: None)
    status, peers = SimpleNamespace(tell=tell), SimpleNamespace(has=has)
    callbacks = StreamCallbacks(rig.deps, rig.documents, rig.streams, status, peers, starts, lambda _: None)  # type: ignore[arg-type]
    await callbacks._handle(StreamEvent("AC", CALL, before.stream_name, STOPPED_EVENT, ""))
    assert rig.documents.of[CALL].state is CallState.STARTING
    assert restarted == [3], "later than the one that was to come"
    assert asyncio.get_running_loop().time() >= TIMING.gap_seconds, "only after the time that the gap has"
