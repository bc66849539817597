"""Calls whose relay is gone: how many are started again at once, what their agents are told, and what is done while Sync or Twilio cannot
be had."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from unit.sync.documents import CALL, document
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.call import recovery
from voiceassist_relay.call.background import Background
from voiceassist_relay.call.dependencies import Timing
from voiceassist_relay.call.peer_relays import Asked, PeerRelays
from voiceassist_relay.call.recovery import AT_ONCE, StreamCallbacks, StreamEvent, read_event
from voiceassist_relay.call.relay_watch import Awaited
from voiceassist_relay.errors import RequestRefused, TwilioError, TwilioUnclear, UnknownCallState
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.sync.agent_status import Told
from voiceassist_relay.sync.call_documents import Seen
from voiceassist_relay.sync.document_rules import STARTING_SECONDS
from voiceassist_relay.twilio.retry import RetryPolicy

OWNER = "10.0.0.1:9090"


class Rig:
    """`fault` is what Sync answers with."""

    def __init__(self, found: CallDocument, fault: Exception | None = None) -> None:
        self.found, self.fault = found, fault
        self.created: list[int] = []
        self.told: list[str] = []
        self.stopped: list[str] = []
        self.refusal: RequestRefused | None = None
        self.reads = 0
        self.goes_on = True
        self.looked_for: list[int] = []
        self.background, self.metrics = Background(), RelayMetrics()
        config = SimpleNamespace(twilio=SimpleNamespace(account_sid="AC"))
        deps: Any = SimpleNamespace(
            timing=Timing(),
            now=lambda: 1e9,
            monotonic=lambda: 0.0,
            metrics=self.metrics,
            current=lambda: SimpleNamespace(config=config),
            background=self.background,
        )
        self.suspected: list[str] = []
        self.owner = Asked.GONE
        self.callbacks = StreamCallbacks(deps, self, self, self, self, self, self.suspected.append)  # type: ignore[arg-type]

    async def read(self, _: str) -> Seen:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return Seen(self.found, "ET", "0")

    async def write(self, _: str, after: CallDocument, __: Seen) -> bool:
        self.found = after
        return True

    async def settle(self, call_sid: str, decide: Any, wanted: Any) -> Any:
        before = self.found if self.fault is None else (await self.read(call_sid)).document
        decision = decide(before)
        if (after := wanted(decision)) is not None:
            self.found = after
        return before, decision

    async def has(self, *_: object) -> Asked:
        return self.owner

    async def in_progress(self, _: str) -> bool:
        return self.goes_on

    async def stop_quietly(self, _: str, reference: str) -> None:
        self.stopped.append(reference)

    async def tell(self, _: str, __: CallDocument, what: Told) -> None:
        self.told.append(what[0].value)

    async def create_stream(self, _: str, wanted: CallDocument, policy: RetryPolicy) -> CallDocument:
        assert policy is Timing().restart
        self.created.append(wanted.generation)
        if self.refusal is not None:
            raise self.refusal
        return wanted

    def follow(self, *_: object, **__: object) -> None:
        pass

    async def never_came(self, _: str, generation: int) -> None:
        self.looked_for.append(generation)


async def test_recovery_of_a_call_whose_relay_is_gone_and_whose_next_stream_does_not_come() -> None:
    rig = Rig(document(CallState.LIVE, owner=OWNER))
    assert await rig.callbacks.owner_gone(CALL, OWNER, 1e9 - 12) == Awaited(2, 1e9)
    assert await rig.callbacks.not_there_yet(CALL, 2) == Awaited(3, 1e9)
    assert rig.created == [2, 3]
    assert await rig.callbacks.not_there_yet(CALL, 2) == Awaited(3, 1e9), "somebody has gone on from there: that one is awaited"
    assert rig.created == [2, 3]
    assert rig.stopped == [document().stream_sid, f"assist_{CALL}_2"], "the relay may be there after all, and so may the stream"
    rig.found = document(CallState.LIVE, generation=3, owner="10.0.0.2:9090")
    assert await rig.callbacks.not_there_yet(CALL, 3) is None, "it came"
    assert await rig.callbacks.owner_gone(CALL, OWNER, 1e9 - 12) is None
    assert rig.created == [2, 3]


async def test_recovery_of_a_call_that_others_write_again_and_again_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(document(CallState.LIVE, owner=OWNER))

    async def taken(*_: object) -> bool:
        return False

    monkeypatch.setattr(rig, "write", taken)
    assert await rig.callbacks.owner_gone(CALL, OWNER, 1e9 - 12) == Awaited(0, 1e9)


class Twilio:
    """Many calls whose relay is gone; `most` requests were under way at once."""

    def __init__(self, rig: Rig) -> None:
        self.under_way = self.most = 0
        self.started: list[str] = []
        callbacks: Any = rig.callbacks
        callbacks._streams = callbacks._starts = callbacks._peers = self

    async def _asked(self) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.1)
        self.under_way -= 1

    async def in_progress(self, _: str) -> bool:
        await self._asked()
        return True

    async def has(self, *_: object) -> Asked:
        await asyncio.sleep(2)
        return Asked.UNKNOWN

    async def stop_quietly(self, *_: str) -> None:
        await self._asked()

    async def create_stream(self, call_sid: str, wanted: CallDocument, _: RetryPolicy) -> CallDocument:
        await self._asked()
        self.started.append(call_sid)
        return wanted

    def follow(self, *_: object, **__: object) -> None:
        pass


@pytest.mark.looptime
async def test_recovery_of_a_relays_many_calls_is_spread_and_waits_for_no_relay_that_is_silent() -> None:
    rig = Rig(document(CallState.LIVE, owner=OWNER))
    twilio, calls = Twilio(rig), [f"CA{number:032x}" for number in range(150)]
    began = asyncio.get_running_loop().time()
    for call in calls:
        event = StreamEvent("AC", call, document().stream_name, "stream-error", "31921")
        rig.found = document(CallState.LIVE, owner=OWNER)
        assert rig.callbacks.accept(event, call)

    async def same(_: str, __: CallDocument, ___: Seen) -> bool:
        return True

    rig.write = same  # type: ignore[method-assign]
    await rig.background.idle()
    assert sorted(twilio.started) == calls
    assert twilio.most == AT_ONCE
    assert asyncio.get_running_loop().time() - began < 2 + 3 * 0.1 * (len(calls) / AT_ONCE + 1), "what others are asked keeps no place"


@pytest.mark.parametrize(
    ("code", "then", "told"),
    [
        ("superseded", CallState.STARTING, []),
        ("call_ended", CallState.LOST, ["stopped"]),
        ("twilio_busy", CallState.LOST, ["lost"]),
        ("twilio_busy", CallState.STOPPED, []),
    ],
)
async def test_recovery_that_is_refused_is_told_unless_somebody_asked_for_something_else(
    code: str, then: CallState, told: list[str]
) -> None:
    rig = Rig(document(CallState.STARTING))
    rig.refusal = RequestRefused(409, code, "", "")
    create = rig.create_stream

    async def meanwhile(call_sid: str, wanted: CallDocument, policy: RetryPolicy) -> CallDocument:
        rig.found = document(then, generation=wanted.generation)
        return await create(call_sid, wanted, policy)

    rig.create_stream = meanwhile  # type: ignore[method-assign]
    await rig.callbacks._work_on(StreamEvent("AC", CALL, rig.found.stream_name, "stream-error", "31920"))
    assert (rig.created, rig.told) == ([2], told)
    counted = rig.metrics.registry.get_sample_value("voiceassist_relay_stream_restarts_total", {"outcome": "refused"})
    assert counted == (code == "twilio_busy")


@pytest.mark.parametrize(
    ("timestamp", "lost_at"),
    [
        ("2001-09-09T01:46:37.500Z", 1e9 - 2.5),
        ("2001-09-09T03:46:37.500+02:00", 1e9 - 2.5),
        ("2001-09-09T01:46:37.500", 1e9),
        ("2001-09-09T01:44:00Z", 1e9),
        ("2001-09-09T01:46:41Z", 1e9),
        ("yesterday", 1e9),
        ("", 1e9),
    ],
)
async def test_recovery_counts_from_when_twilio_saw_the_streams_end(timestamp: str, lost_at: float) -> None:
    """Not from when its callback was worked on: with many at once that is later."""
    rig = Rig(document(CallState.LIVE, owner=OWNER))
    gone: Any = SimpleNamespace(has=has_gone)
    rig.callbacks._peers = gone
    form = {"AccountSid": "AC", "CallSid": CALL, "StreamName": document().stream_name, "StreamEvent": "stream-error"}
    await rig.callbacks._work_on(read_event(form | {"Timestamp": timestamp}))
    assert (rig.found.state, rig.found.lost_at) == (CallState.STARTING, lost_at)


async def has_gone(*_: object) -> Asked:
    return Asked.GONE


async def test_recovery_waits_longer_until_the_balancer_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(recovery.asyncio, "sleep", sleep)
    restarts = []
    rig = Rig(document(CallState.STARTING))
    while rig.found.state is CallState.STARTING:
        await rig.callbacks._work_on(StreamEvent("AC", CALL, rig.found.stream_name, "stream-error", "31920"))
        restarts.append(rig.found.restarts)
    assert (restarts, slept) == ([1, 2, 3, 4, 4], [1.0, 1.5, 4.0, 4.0])


async def test_recovery_of_a_call_that_a_callback_has_asked_for_already_sees_that_its_stream_comes() -> None:
    rig = Rig(document(CallState.STARTING, generation=2, restarts=1, deadline=1e9 - 2 + STARTING_SECONDS))
    assert await rig.callbacks.owner_gone(CALL, OWNER, 1e9 - 12) == Awaited(2, 1e9 - 2)
    assert rig.created == [], "it was asked for"
    assert await rig.callbacks.not_there_yet(CALL, 2) == Awaited(3, 1e9)
    assert rig.created == [3]
    for state in (CallState.STOPPED, CallState.LOST):
        rig.found = document(state)
        assert await rig.callbacks.owner_gone(CALL, OWNER, 1e9 - 12) is None


@pytest.mark.parametrize(("answer", "suspected"), [(Asked.GONE, [OWNER]), (Asked.DONE, []), (Asked.NEVER, []), (Asked.UNKNOWN, [])])
async def test_recovery_after_a_callback_the_relay_where_nothing_listens_is_suspected(answer: Asked, suspected: list[str]) -> None:
    rig = Rig(document(CallState.LIVE, owner=OWNER))
    rig.owner = answer
    await rig.callbacks._work_on(StreamEvent("AC", CALL, rig.found.stream_name, "stream-error", "31921"))
    assert rig.suspected == suspected


@pytest.mark.parametrize(
    ("fault", "first", "further"),
    [(TwilioUnclear("sync", 503, None), Awaited(0, 1e9), Awaited(2, 1e9)), (UnknownCallState("dancing"), Awaited(0, 1e9), None)],
    ids=["away", "newer"],
)
async def test_recovery_what_sync_does_not_answer_is_tried_again(fault: Exception, first: Awaited | None, further: Awaited | None) -> None:
    rig = Rig(document(CallState.LIVE, owner=OWNER), fault if isinstance(fault, TwilioError) else None)
    if not isinstance(fault, TwilioError):

        async def unknown(_: str) -> Seen:
            raise fault

        rig.read = unknown  # type: ignore[method-assign]
        rig.callbacks._deps.timing = Timing(unknown_state_seconds=0.0)  # type: ignore[misc]
    assert await rig.callbacks.owner_gone(CALL, OWNER, 1e9) == first
    assert await rig.callbacks.not_there_yet(CALL, 2) == further
    assert rig.created == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [((200, b"x"), b"x"), ((403, b"no"), b""), ((404, b"no"), b""), ((500, b"x"), Asked.UNKNOWN), ((503, b"x"), Asked.UNKNOWN)],
)
async def test_recovery_only_a_relay_that_answers_in_order_is_there(
    answer: tuple[int, bytes], expected: bytes | Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = PeerRelays(SimpleNamespace(timing=Timing()))  # type: ignore[arg-type]

    async def request(*_: Any, **__: Any) -> tuple[int, bytes]:
        return answer

    monkeypatch.setattr(peers, "_request", request)
    assert await peers.calls(OWNER, "/calls", 100, 1.0) == expected


@pytest.mark.looptime
async def test_recovery_of_a_cut_stream_asks_for_24_s_and_has_the_agent_told_after_33_s() -> None:
    loop = asyncio.get_running_loop()
    rig, asked = Rig(document(CallState.LIVE)), []
    rig.callbacks._deps.now = lambda: 1e9 + loop.time()  # type: ignore[misc]
    create = rig.create_stream

    async def at(call_sid: str, wanted: CallDocument, policy: RetryPolicy) -> CallDocument:
        asked.append(loop.time())
        return await create(call_sid, wanted, policy)

    rig.create_stream = at  # type: ignore[method-assign]
    began = loop.time()
    assert rig.callbacks.cut(CALL, document().stream_name)
    await rig.background.idle()
    assert [moment - began for moment in asked] == pytest.approx([0, 2.5, 5, 9, 15, 24])
    assert (rig.created, rig.looked_for) == ([2, 3, 4, 5, 6, 7], [7])
    assert loop.time() - began == pytest.approx(33)


@pytest.mark.looptime
async def test_recovery_of_a_cut_stream_is_told_to_other_relays_until_the_next_one_has_come() -> None:
    rig = Rig(document(CallState.LIVE))
    assert rig.callbacks.awaited() == []
    assert rig.callbacks.cut(CALL, document().stream_name)
    await asyncio.sleep(4)
    assert (rig.callbacks.awaited(), rig.created) == ([CALL], [2, 3])
    rig.found = document(CallState.LIVE, generation=3, owner=OWNER)
    await rig.background.idle()
    assert (rig.callbacks.awaited(), rig.created, rig.looked_for) == ([], [2, 3], [])


@pytest.mark.looptime
async def test_recovery_of_a_cut_stream_by_a_relay_that_ends_is_told_to_others_as_long_as_it_answers() -> None:
    rig = Rig(document(CallState.LIVE))
    assert rig.callbacks.cut(CALL, document().stream_name)
    await asyncio.sleep(1)
    await rig.background.aclose(0.5)
    assert len(rig.background) == 0 and rig.callbacks.awaited() == [CALL]


@pytest.mark.looptime
async def test_recovery_of_a_cut_stream_whose_call_is_over_waits_for_nothing() -> None:
    rig = Rig(document(CallState.LIVE))
    rig.goes_on = False
    began = asyncio.get_running_loop().time()
    assert rig.callbacks.cut(CALL, document().stream_name)
    await rig.background.idle()
    assert (rig.reads, rig.created, rig.told) == (1, [], ["stopped"])
    assert asyncio.get_running_loop().time() == began


@pytest.mark.looptime
async def test_recovery_that_sees_that_a_stream_has_come_waits_for_no_place() -> None:
    rig = Rig(document(CallState.LIVE))
    assert rig.callbacks.cut(CALL, document().stream_name)
    await asyncio.sleep(1)
    for _ in range(AT_ONCE):
        await rig.callbacks._slots.acquire()
    rig.found = document(CallState.LIVE, generation=2, owner=OWNER)
    async with asyncio.timeout(2):
        await rig.background.idle()
    assert rig.callbacks.awaited() == []


@pytest.mark.looptime
async def test_recovery_of_cut_streams_asks_for_no_more_than_its_places_at_once() -> None:
    rig = Rig(document(CallState.STARTING, generation=2))
    twilio = Twilio(rig)

    async def same(_: str, decide: Any, __: Any) -> Any:
        return rig.found, decide(rig.found)

    rig.settle = same  # type: ignore[method-assign]
    await asyncio.gather(*(rig.callbacks.not_there_yet(f"CA{number:032x}", 2) for number in range(4 * AT_ONCE)))
    assert (len(twilio.started), twilio.most) == (4 * AT_ONCE, AT_ONCE)
