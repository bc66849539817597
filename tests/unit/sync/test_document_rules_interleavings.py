"""A call's Document under every interleaving of starts, stops, deaths and callbacks that hypothesis can think of."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from unit.sync.documents import ANN, BOB, CALL, NOW, start
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.sync.document_rules import (
    MAX_RESTARTS,
    MAX_RESTARTS_UNCONNECTED,
    STARTING_SECONDS,
    AlreadyRunning,
    ChangeWorker,
    Create,
    Ignore,
    Restart,
    SetPaused,
    Stop,
    Superseded,
    TakeOver,
    TellAgent,
    create_failed,
    create_unclear,
    decide_paused,
    decide_stop,
    did_not_come,
    ended,
    is_running,
    owner_gone,
    still_wanted,
    stream_cut,
    stream_died,
    went_live,
)


@dataclass
class Flight:
    """One request under way at some relay: what it read, and what it would do next."""

    worker: str
    read: CallDocument | None
    revision: int
    stage: str = "decide"
    generation: int = 0
    name: str = ""


class Relays(RuleBasedStateMachine):
    """Any number of relays, a Document with If-Match, and a Twilio that delivers late, twice, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.stored: CallDocument | None = None
        self.revision = 0
        self.flights: list[Flight] = []
        self.created: dict[str, int] = {}  # stream name -> how often its creation was asked for
        self.streams: dict[str, str] = {}  # streams that run at Twilio: name -> MZ sid
        self.claims: dict[str, int] = {}  # MZ sid -> generation in its token
        self.live: dict[str, int] = {}  # MZ sid of connections that a relay let in -> generation
        self.callbacks: list[tuple[str, str]] = []
        self.cuts: list[str] = []  # streams whose relay lost the socket, and has to have them started again
        self.highest = 0
        self.paused: bool | None = None  # what was asked last of the call that runs; None: nothing

    def write(self, over: int, wanted: CallDocument) -> bool:
        if over != self.revision:
            return False
        if self.stored is not None:
            assert wanted.generation >= self.stored.generation
        self.revision += 1
        self.stored = wanted
        if wanted.state is CallState.STOPPED:
            self.paused = None
        return True

    def running(self) -> CallDocument:
        assert self.stored is not None
        return self.stored

    def die(self, name: str, event: str) -> None:
        sid = self.streams.pop(name)
        self.live.pop(sid, None)
        self.callbacks.append((name, event))

    @rule(seconds=st.sampled_from([0.1, 3.0, STARTING_SECONDS + 1]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=st.sampled_from([ANN, BOB]))
    def start_arrives(self, worker: str) -> None:
        if len(self.flights) < 6:
            self.flights.append(Flight(worker, self.stored, self.revision))

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "ok", "unclear-done", "unclear-not-done", "refused", "crash"]))
    def start_goes_on(self, data: st.DataObject, outcome: str) -> None:
        flight = data.draw(st.sampled_from(self.flights))
        if outcome == "crash":
            self.flights.remove(flight)
            return
        if flight.stage == "decide":
            self.decide(flight)
        elif flight.stage == "create":
            self.create(flight, outcome)
        else:
            self.confirm(flight)

    def owner_gone(self, found: CallDocument | None) -> bool:
        return found is not None and found.state is CallState.LIVE and found.stream_sid not in self.live

    def decide(self, flight: Flight) -> None:
        self.now += 0.001
        decision = start(flight.read, flight.worker, now=self.now, owner_gone=self.owner_gone(flight.read))
        if isinstance(decision, AlreadyRunning):
            self.flights.remove(flight)
        elif not self.write(flight.revision, decision.document):
            flight.read, flight.revision = self.stored, self.revision
        elif isinstance(decision, ChangeWorker):
            self.flights.remove(flight)
        else:
            flight.stage, flight.generation, flight.name = "create", decision.document.generation, decision.document.stream_name

    def create(self, flight: Flight, outcome: str) -> None:
        self.created[flight.name] = self.created.get(flight.name, 0) + 1
        if outcome in {"ok", "unclear-done"}:
            sid = f"MZ{len(self.claims)}"
            self.streams[flight.name] = sid
            self.claims[sid] = flight.generation
        if outcome == "ok":
            flight.stage = "confirm"
            return
        found, revision = self.running(), self.revision
        if outcome == "refused":
            lost = create_failed(found, generation=flight.generation)
            assert lost is None or self.write(revision, lost)
            self.flights.remove(flight)
            return
        again = create_unclear(found, CALL, generation=flight.generation, now=self.now)
        if isinstance(again, AlreadyRunning):
            flight.stage = "confirm"
        elif isinstance(again, Superseded):
            self.flights.remove(flight)
        else:
            assert self.write(revision, again)
            flight.generation, flight.name = again.generation, again.stream_name

    def confirm(self, flight: Flight) -> None:
        if not still_wanted(self.stored, generation=flight.generation) and flight.name in self.streams:
            self.die(flight.name, "stream-stopped")
        self.flights.remove(flight)

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def a_stream_connects(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.streams)))
        sid = self.streams[name]
        found = self.running()
        answer = went_live(found, f"10.0.0.{len(self.live)}:9090", sid, "", generation=self.claims[sid])
        if isinstance(answer, Superseded):
            self.die(name, "stream-error")
        else:
            assert self.write(self.revision, answer)
            self.live[sid] = self.claims[sid]

    @precondition(lambda self: self.streams)
    @rule(data=st.data(), event=st.sampled_from(["stream-error", "stream-stopped"]))
    def a_stream_dies(self, data: st.DataObject, event: str) -> None:
        self.die(data.draw(st.sampled_from(sorted(self.streams))), event)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), lost=st.booleans(), seq=st.integers(0, 9))
    def a_relay_reports_the_end(self, data: st.DataObject, lost: bool, seq: int) -> None:
        sid = data.draw(st.sampled_from(sorted(self.live)))
        name = next(n for n, s in self.streams.items() if s == sid)
        self.die(name, "stream-error" if lost else "stream-stopped")
        after = ended(self.running(), lost, seq, generation=self.claims[sid])
        if after is not None:
            assert self.write(self.revision, after)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), written=st.booleans())
    def a_socket_is_cut(self, data: st.DataObject, written: bool) -> None:
        sid = data.draw(st.sampled_from(sorted(self.live)))
        name = next(n for n, s in self.streams.items() if s == sid)
        self.die(name, "stream-error")
        self.cuts.append(name)
        if written and (after := ended(self.running(), True, 0, generation=self.claims[sid])) is not None:
            assert self.write(self.revision, after)

    @precondition(lambda self: self.cuts)
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "unclear-done", "refused", "crash"]), over=st.booleans())
    def a_cut_is_worked_on(self, data: st.DataObject, outcome: str, over: bool) -> None:
        name = data.draw(st.sampled_from(self.cuts))
        self.cuts.remove(name)
        self.carry_out(stream_cut(self.stored, name, call_sid=CALL, now=self.now), outcome, over)

    @precondition(lambda self: self.callbacks)
    @rule(data=st.data(), again=st.booleans(), outcome=st.sampled_from(["ok", "unclear-done", "refused", "crash"]), over=st.booleans())
    def a_callback_arrives(self, data: st.DataObject, again: bool, outcome: str, over: bool) -> None:
        callback = data.draw(st.sampled_from(self.callbacks))
        if not again:
            self.callbacks.remove(callback)
        gone = self.owner_gone(self.stored)
        self.carry_out(stream_died(self.stored, *callback, call_sid=CALL, now=self.now, owner_gone=gone), outcome, over)

    @precondition(lambda self: self.stored is not None)
    @rule(outcome=st.sampled_from(["ok", "unclear-done", "refused", "crash"]), over=st.booleans())
    def its_relay_is_taken_for_gone(self, outcome: str, over: bool) -> None:
        """By another relay, which may be wrong, and may see it at any time."""
        found = self.running()
        decision = owner_gone(found, found.owner, call_sid=CALL, now=self.now, since=self.now)
        assert isinstance(decision, Ignore) == (found.state is not CallState.LIVE)
        self.carry_out(decision, outcome, over)

    @precondition(lambda self: self.stored is not None)
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "unclear-done", "refused", "crash"]))
    def a_stream_is_not_there_in_time(self, data: st.DataObject, outcome: str) -> None:
        generation = data.draw(st.integers(1, self.highest))
        document = did_not_come(self.stored, generation, call_sid=CALL, now=self.now)
        if document is None:
            return
        assert self.running().state is CallState.STARTING
        assert self.write(self.revision, document)
        if outcome != "crash":
            flight = Flight(ANN, None, 0, "create", document.generation, document.stream_name)
            self.flights.append(flight)
            self.create(flight, outcome)

    def carry_out(self, decision: Ignore | Restart | TellAgent, outcome: str, over: bool) -> None:
        if isinstance(decision, Ignore):
            return
        assert self.running().state is not CallState.STOPPED, "what the agent stopped stays stopped"
        if isinstance(decision, TellAgent) or over:
            assert self.write(self.revision, decision.document if isinstance(decision, TellAgent) else decision.gone)
            return
        assert self.write(self.revision, decision.document)
        assert decision.document.restarts <= MAX_RESTARTS_UNCONNECTED
        assert decision.document.deaths <= MAX_RESTARTS
        if outcome != "crash":
            flight = Flight(ANN, None, 0, "create", decision.document.generation, decision.document.stream_name)
            self.flights.append(flight)
            self.create(flight, outcome)

    @rule(worker=st.sampled_from([ANN, BOB]))
    def a_stop_arrives(self, worker: str) -> None:
        decision = decide_stop(self.stored, worker=worker)
        if isinstance(decision, Stop):
            if decision.changed:
                assert self.write(self.revision, decision.document)
            if decision.document.stream_name in self.streams:
                self.die(decision.document.stream_name, "stream-stopped")

    @rule(worker=st.sampled_from([ANN, BOB]), paused=st.booleans())
    def a_pause_arrives(self, worker: str, paused: bool) -> None:
        decision = decide_paused(self.stored, paused, worker=worker)
        if isinstance(decision, SetPaused):
            self.paused = paused
            assert not decision.changed or self.write(self.revision, decision.document)

    @invariant()
    def a_generation_has_one_stream(self) -> None:
        assert all(count == 1 for count in self.created.values())
        generations = list(self.live.values())
        assert len(set(generations)) == len(generations)

    @invariant()
    def a_pause_outlives_every_restart(self) -> None:
        if self.paused is not None:
            assert self.running().paused is self.paused

    @invariant()
    def generations_only_grow(self) -> None:
        if self.stored is not None:
            assert self.stored.generation >= self.highest
            self.highest = self.stored.generation

    @invariant()
    def nothing_blocks_a_later_start(self) -> None:
        later = self.now + STARTING_SECONDS
        decision = start(self.stored, ANN, now=later, owner_gone=self.owner_gone(self.stored))
        if not isinstance(decision, Create | TakeOver):
            # Not started anew only because a stream that a relay let in is there.
            assert self.stored is not None and is_running(self.stored)
            assert self.live[self.stored.stream_sid] == self.stored.generation


TestEveryInterleaving = Relays.TestCase
