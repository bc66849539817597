"""A call that is moved, under every interleaving that hypothesis can think of: one generation in force, no lost stop, no two owners."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from unit.sync.documents import ANN, BOB, CALL, NOW, document, start
from voiceassist_crds.messages import CallDocument, CallState, NextStream
from voiceassist_relay.sync.document_rules import (
    STARTING_SECONDS,
    AlreadyRunning,
    ChangeWorker,
    Create,
    Ignore,
    NotYours,
    Restart,
    SetPaused,
    Stop,
    Superseded,
    decide_paused,
    decide_stop,
    ended,
    is_running,
    owner_gone,
    went_live,
)
from voiceassist_relay.sync.move_rules import Holder, Taker, give_up, hand_over, in_gap, is_next, plan, plan_gap, take_alone


@dataclass
class Stream:
    """A stream at Twilio and the relay to which it came. `hears`: that relay lets the model hear it."""

    generation: int
    sid: str
    owner: str
    hears: bool = False
    paused: bool = False
    open: bool = True
    alive: bool = True


@dataclass
class Writing:
    """A decision on the Document as it was read: it counts only if that is still what is there."""

    kind: str
    revision: int
    wanted: CallDocument
    old: Stream
    new: Stream | None = None


class Moves(RuleBasedStateMachine):
    """One call, any number of relays, a Document with If-Match."""

    def __init__(self) -> None:
        super().__init__()
        decision = start(None, ANN, now=NOW)
        assert isinstance(decision, Create)
        self.stored: CallDocument = decision.document
        self.revision = 0
        self.streams: list[Stream] = []
        self.writings: list[Writing] = []
        self.planned: list[int] = []
        self.stopped = False
        self.stopping = ""
        self.pause_confirmed: bool | None = None
        first = self.arrives(1)
        live = went_live(self.stored, first.owner, first.sid, "", generation=1)
        assert isinstance(live, CallDocument)
        self.write(live)
        first.hears = True

    def arrives(self, generation: int) -> Stream:
        number = len(self.streams) + 1
        stream = Stream(generation, f"MZ{number:032x}", f"10.0.0.{number}:9090")
        self.streams.append(stream)
        return stream

    def write(self, wanted: CallDocument) -> None:
        assert wanted.generation >= self.stored.generation
        self.revision += 1
        self.stored = wanted

    def holders(self) -> list[Stream]:
        return [one for one in self.streams if one.hears and one.open and one.alive]

    # the relay that has the call

    @precondition(lambda self: any(self.holders()))
    @rule()
    def asks_for_the_next_stream(self) -> None:
        """Written at once: what is of interest is what comes between this and the hand-over."""
        old = self.holders()[0]
        wanted = plan(self.stored, Holder(old.generation, old.sid), NOW)
        if wanted is not None and wanted.next is not None:
            assert wanted.next.generation not in self.planned, "a generation has at most one stream"
            assert wanted.next.generation > wanted.generation
            self.planned.append(wanted.next.generation)
            self.write(wanted)

    @precondition(lambda self: self.planned)
    @rule(data=st.data())
    def a_stream_comes(self, data: st.DataObject) -> None:
        generation = data.draw(st.sampled_from(self.planned))
        if len(self.streams) < 12:
            self.arrives(generation)

    @rule(data=st.data())
    def is_asked_for_the_call(self, data: st.DataObject) -> None:
        """The old relay holds its frames back and decides; the write comes later, or never."""
        waiting = [one for one in self.streams if one.open and one.alive and not one.hears]
        if not waiting or not self.holders():
            return
        new, old = data.draw(st.sampled_from(waiting)), self.holders()[0]
        wanted = hand_over(self.stored, Holder(old.generation, old.sid), Taker(new.owner, new.generation, new.sid), CALL, 7)
        if wanted is None:
            return
        assert is_next(self.stored, new.generation)
        old.hears = False
        self.writings.append(Writing("hand over", self.revision, wanted, old, new))

    @precondition(lambda self: self.writings)
    @rule(data=st.data())
    def a_write_arrives(self, data: st.DataObject) -> None:
        writing = data.draw(st.sampled_from(self.writings))
        self.writings.remove(writing)
        new = writing.new
        if writing.revision != self.revision or not writing.old.alive:
            if writing.old.alive and writing.old.open:
                writing.old.hears = Holder(writing.old.generation, writing.old.sid).holds(self.stored)
            return
        self.write(writing.wanted)
        assert new is not None
        new.hears = new.open and new.alive
        new.paused = self.stored.paused

    @precondition(lambda self: any(self.holders()))
    @rule()
    def the_next_stream_is_given_up(self) -> None:
        old = self.holders()[0]
        if self.stored.next is None:
            return
        generation = self.stored.next.generation
        wanted = give_up(self.stored, Holder(old.generation, old.sid), generation)
        if wanted is not None:
            self.write(wanted)
            assert not is_next(self.stored, generation)

    @precondition(lambda self: any(self.holders()))
    @rule()
    def makes_room_for_the_next_stream(self) -> None:
        """Twilio forks the call only once. A stream that was asked for before may come all the same, and counts no more."""
        old = self.holders()[0]
        before = [one for one in self.planned if is_next(self.stored, one)]
        wanted = plan_gap(self.stored, Holder(old.generation, old.sid), NOW)
        if wanted is not None and wanted.next is not None:
            assert wanted.next.generation not in self.planned, "a generation has at most one stream"
            self.planned.append(wanted.next.generation)
            self.write(wanted)
            assert in_gap(self.stored)
            assert not any(is_next(self.stored, one) for one in before), "one stream is waited for"

    # relays that die

    @precondition(lambda self: any(self.holders()))
    @rule()
    def the_relay_with_the_call_dies(self) -> None:
        self.holders()[0].alive = False

    @rule(data=st.data())
    def takes_it_alone(self, data: st.DataObject) -> None:
        """Only a relay that was refused a connection by the owner that the Document names does this."""
        waiting = [one for one in self.streams if one.open and one.alive and not one.hears]
        if not waiting:
            return
        new = data.draw(st.sampled_from(waiting))
        gone = all(not one.alive for one in self.streams if one.owner == self.stored.owner)
        wanted = take_alone(self.stored, Taker(new.owner, new.generation, new.sid), CALL)
        if gone and wanted is not None:
            self.write(wanted)
            new.hears, new.paused = True, wanted.paused

    @precondition(lambda self: len(self.streams) < 12)
    @rule(comes=st.booleans())
    def its_relay_is_taken_for_gone(self, comes: bool) -> None:
        """Which may be wrong: so its stream is stopped before the next one is asked for. That may come or not."""
        decision = owner_gone(self.stored, self.stored.owner, call_sid=CALL, now=NOW, since=NOW - 9)
        assert isinstance(decision, Ignore) == (self.stored.state is not CallState.LIVE), "what is over, or stopped, is not started"
        if not isinstance(decision, Restart):
            return
        assert decision.document.generation not in self.planned, "a generation has at most one stream"
        before = self.stored
        self.write(decision.document)
        for one in self.streams:
            if one.sid == before.stream_sid:
                one.open = one.hears = False
        if comes:
            new = self.arrives(decision.document.generation)
            live = went_live(self.stored, new.owner, new.sid, "", generation=new.generation)
            assert isinstance(live, CallDocument)
            self.write(live)
            new.hears, new.paused = True, live.paused
            assert live.paused == before.paused, "a pause is not lost"

    # what the workers ask

    @rule(worker=st.sampled_from([ANN, BOB]))
    def starts(self, worker: str) -> None:
        """Again, or another one who has taken the call: nothing is begun anew while it runs, and a move goes on."""
        decision = start(self.stored, worker)
        if not is_running(self.stored):
            return
        assert isinstance(decision, AlreadyRunning | ChangeWorker)
        if isinstance(decision, ChangeWorker):
            assert (decision.document.generation, decision.document.next) == (self.stored.generation, self.stored.next)
            self.write(decision.document)
            assert isinstance(decide_stop(self.stored, worker=decision.previous.worker), NotYours)

    @rule()
    def stops(self) -> None:
        decision = decide_stop(self.stored, worker=self.stored.worker)
        if isinstance(decision, Stop):
            self.write(decision.document)
            self.stopped = True
            self.stopping = self.stored.stream_sid
            self.pause_confirmed = None

    @precondition(lambda self: self.stopping)
    @rule()
    def the_stop_reaches_the_stream(self) -> None:
        for one in self.streams:
            if one.sid == self.stopping:
                one.open = one.hears = False

    @rule(paused=st.booleans())
    def pauses(self, paused: bool) -> None:
        """What is confirmed was done by the relay that the Document names, and by nobody else who hears the call."""
        decision = decide_paused(self.stored, paused, worker=self.stored.worker)
        if not isinstance(decision, SetPaused):
            return
        self.write(decision.document)
        owner = next((one for one in self.holders() if one.owner == decision.document.owner), None)
        if owner is None:
            return
        owner.paused = paused
        self.pause_confirmed = paused
        if paused:
            assert all(one.paused for one in self.holders()), "nobody hears a call whose pause was confirmed"

    @precondition(lambda self: any(self.holders()))
    @rule()
    def the_call_ends(self) -> None:
        one = self.holders()[0]
        one.open = one.hears = False
        wanted = ended(self.stored, False, 9, generation=one.generation)
        if wanted is not None:
            self.write(wanted)

    @rule()
    def a_stream_that_nobody_planned(self) -> None:
        """Of the generation in force, or of one that was given up: it is let in nowhere."""
        given_up = self.stored.next is not None and self.stored.next.given_up
        if given_up and self.stored.next is not None:
            late = self.stored.next.generation
            assert not is_next(self.stored, late)
            assert isinstance(went_live(self.stored, "10.9.9.9:9090", "MZ" + "f" * 32, "", generation=late), Superseded)

    @invariant()
    def one_hears_at_most(self) -> None:
        assert len(self.holders()) <= 1, "no two owners"

    @invariant()
    def who_hears_is_in_force(self) -> None:
        for one in self.holders():
            if is_running(self.stored):
                assert (self.stored.generation, self.stored.stream_sid) == (one.generation, one.sid)

    @invariant()
    def a_stop_stays(self) -> None:
        if self.stopped:
            assert self.stored.state is CallState.STOPPED, "a stop is not lost"
            assert {one.sid for one in self.holders()} <= {self.stopping}, "nobody takes over what was stopped"


SIDS = ("MZ" + "1" * 32, "MZ" + "2" * 32)
ANY_GENERATION = st.integers(min_value=1, max_value=7)


@st.composite
def documents(draw: st.DrawFn) -> CallDocument:
    """A Document as any relay may find it, whatever led there; mostly one of a call that is being moved."""
    generation = draw(st.integers(min_value=1, max_value=5))
    following = st.builds(
        NextStream,
        generation=st.integers(min_value=max(2, generation - 1), max_value=generation + 2),
        at=st.sampled_from((NOW - 100.0, NOW - 1.0)),
        given_up=st.sampled_from((False, False, True)),
        gap=st.booleans(),
    )
    return document(draw(st.sampled_from((*[CallState.LIVE] * 8, *CallState))), generation=generation).model_copy(
        update={
            "stream_sid": draw(st.sampled_from(SIDS)),
            "next": draw(st.one_of(following, following, st.none())),
            "seq": draw(st.integers(min_value=0, max_value=9)),
            "restarts": draw(st.integers(min_value=0, max_value=2)),
            "deaths": draw(st.integers(min_value=0, max_value=2)),
            "paused": draw(st.booleans()),
            "prompt_revision": "abc",
        }
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[CallDocument, Holder, Taker]:
    """A Document, a relay that takes itself for the call's, one to which a stream came: they fit together more often than not."""
    found = draw(documents())
    holds = Holder(found.generation, found.stream_sid)
    holder = draw(st.one_of(st.just(holds), st.just(holds), st.builds(Holder, ANY_GENERATION, st.sampled_from(SIDS))))
    wanted = found.next.generation if found.next is not None else 2
    generation = draw(st.one_of(st.just(wanted), st.just(wanted), ANY_GENERATION))
    return found, holder, Taker("10.0.0.2:9090", generation, "MZ" + "9" * 32)


def changed(before: CallDocument, after: CallDocument) -> dict[str, object]:
    """What a decision changes."""
    return {name: getattr(after, name) for name in CallDocument.model_fields if getattr(after, name) != getattr(before, name)}


def held(found: CallDocument, holder: Holder) -> bool:
    return (found.state, found.generation, found.stream_sid) == (CallState.LIVE, holder.generation, holder.stream_sid)


def waited_for(found: CallDocument, generation: int) -> bool:
    if found.state is not CallState.LIVE or found.next is None:
        return False
    return found.next.generation == generation and generation > found.generation and not found.next.given_up


@given(documents(), ANY_GENERATION)
def test_move_rules_one_stream_is_waited_for(found: CallDocument, generation: int) -> None:
    assert is_next(found, generation) is waited_for(found, generation)
    assert in_gap(found) is (found.next is not None and found.next.gap and waited_for(found, found.next.generation))


@given(situations(), st.booleans())
def test_move_rules_a_plan_is_the_holders_and_has_a_number_of_its_own(case: tuple[CallDocument, Holder, Taker], gap: bool) -> None:
    found, holder, _ = case
    wanted = (plan_gap if gap else plan)(found, holder, NOW)
    assert (wanted is not None) is held(found, holder)
    if wanted is not None:
        number = max(found.generation, found.next.generation if found.next is not None else 0) + 1
        assert changed(found, wanted) == {"next": NextStream(generation=number, at=NOW, gap=gap)}


@given(situations(), st.integers(min_value=0, max_value=12))
def test_move_rules_a_hand_over_needs_a_holder_and_the_stream_that_is_waited_for(
    case: tuple[CallDocument, Holder, Taker], seq: int
) -> None:
    found, holder, taker = case
    wanted = hand_over(found, holder, taker, CALL, seq)
    assert (wanted is not None) is (held(found, holder) and waited_for(found, taker.generation))
    if wanted is not None and found.next is not None:
        assert_taken(found, found.next, wanted, taker, max(seq, found.seq))


@given(situations())
def test_move_rules_taking_alone_needs_the_stream_that_is_waited_for(case: tuple[CallDocument, Holder, Taker]) -> None:
    found, _, taker = case
    wanted = take_alone(found, taker, CALL)
    assert (wanted is not None) is waited_for(found, taker.generation)
    if wanted is not None and found.next is not None:
        assert_taken(found, found.next, wanted, taker, found.seq)


def assert_taken(before: CallDocument, planned: NextStream, after: CallDocument, taker: Taker, seq: int) -> None:
    """The taker's stream is the call's, as if it had been started when it was asked for; what the worker wants of the call stays."""
    assert after == before.model_copy(
        update={
            "generation": taker.generation,
            "stream_name": f"assist_{CALL}_{taker.generation}",
            "stream_sid": taker.stream_sid,
            "owner": taker.address,
            "deadline": planned.at + STARTING_SECONDS,
            "seq": seq,
            "restarts": 0,
            "deaths": 0,
            "next": None,
        }
    )


@given(situations())
def test_move_rules_what_is_given_up_uses_its_number_up(case: tuple[CallDocument, Holder, Taker]) -> None:
    found, holder, taker = case
    generation = taker.generation
    wanted = give_up(found, holder, generation)
    assert (wanted is not None) is (held(found, holder) and waited_for(found, generation))
    if wanted is not None:
        assert changed(found, wanted) == {"next": NextStream(generation=generation, at=0.0, given_up=True)}
        again = plan(wanted, holder, NOW)
        assert again is not None and again.next is not None and again.next.generation == generation + 1


def test_move_rules_of_no_document_follows_nothing() -> None:
    holder, taker = Holder(1, SIDS[0]), Taker("10.0.0.2:9090", 2, SIDS[1])
    assert plan(None, holder, NOW) is plan_gap(None, holder, NOW) is give_up(None, holder, 2) is None
    assert hand_over(None, holder, taker, CALL, 0) is take_alone(None, taker, CALL) is None
    assert not is_next(None, 2)


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
