"""The life of a call's Document: one table per decision."""

from __future__ import annotations

import pytest

from unit.sync.documents import ANN, BOB, CALL, NOW, document, start
from voiceassist_crds.messages import DOCUMENT_BYTES, CallDocument, CallState, Successor
from voiceassist_relay.sync.document_rules import (
    LONGEST_START_SECONDS,
    SETTLED_SECONDS,
    STARTING_SECONDS,
    AlreadyRunning,
    ChangeWorker,
    Create,
    Held,
    Ignore,
    NotRunning,
    NotYours,
    Restart,
    SetPaused,
    Stop,
    Superseded,
    TakeOver,
    TellAgent,
    Waits,
    call_over,
    create_failed,
    create_unclear,
    decide_paused,
    decide_stop,
    did_not_come,
    ended,
    owner_gone,
    still_wanted,
    stream_cut,
    stream_died,
    succeed,
    went_live,
)


@pytest.mark.parametrize(
    ("found", "worker", "owner_gone", "expected"),
    [
        (None, ANN, False, Create),
        (document(CallState.STARTING), ANN, False, AlreadyRunning),
        (document(CallState.STARTING), BOB, False, ChangeWorker),
        (document(CallState.STARTING), ANN, True, AlreadyRunning),
        (document(CallState.STARTING, deadline=NOW), ANN, False, TakeOver),
        (document(CallState.STARTING, deadline=NOW), BOB, False, TakeOver),
        (document(CallState.LIVE), ANN, False, AlreadyRunning),
        (document(CallState.LIVE, deadline=NOW - 900), ANN, False, AlreadyRunning),
        (document(CallState.LIVE), BOB, False, ChangeWorker),
        (document(CallState.LIVE), ANN, True, TakeOver),
        (document(CallState.LIVE), BOB, True, TakeOver),
        (document(CallState.STOPPED), ANN, False, TakeOver),
        (document(CallState.STOPPED), BOB, False, TakeOver),
        (document(CallState.LOST), ANN, False, TakeOver),
        (document(CallState.LOST), BOB, False, TakeOver),
    ],
)
def test_document_rules_start(found: CallDocument | None, worker: str, owner_gone: bool, expected: type) -> None:
    assert type(start(found, worker, owner_gone=owner_gone)) is expected


def test_document_rules_the_first_start_makes_the_whole_document() -> None:
    decision = start(None)
    assert isinstance(decision, Create)
    made = decision.document
    assert made == CallDocument(
        state=CallState.STARTING,
        generation=1,
        stream_name=f"assist_{CALL}",
        sync_stream="S",
        deadline=NOW + STARTING_SECONDS,
        worker=ANN,
        identity="ann",
        task_sid="WT1",
    )


def test_document_rules_a_take_over_by_another_worker_leaves_the_stream_that_the_one_before_listens_to() -> None:
    decision = start(document(CallState.LOST, generation=3), BOB)
    assert isinstance(decision, TakeOver)
    assert (decision.document.sync_stream, decision.document.worker, decision.document.identity) == ("S", BOB, "bob")


def test_document_rules_a_take_over_begins_the_next_generation_and_keeps_what_the_agent_listens_to() -> None:
    old = document(CallState.LOST, generation=3, seq=7, restarts=2, paused=True, prompt_revision="abcd", owner="10.0.0.1:9090")
    decision = start(old, ANN)
    assert isinstance(decision, TakeOver)
    made = decision.document
    assert decision.previous == old
    assert (made.state, made.generation, made.stream_name) == (CallState.STARTING, 4, f"assist_{CALL}_4")
    assert (made.sync_stream, made.seq, made.worker, made.identity) == (old.sync_stream, 7, ANN, "ann")
    assert (made.owner, made.stream_sid, made.prompt_revision, made.restarts) == ("", "", "abcd", 0), "the call keeps its prompt"
    assert made.deadline == NOW + STARTING_SECONDS


@pytest.mark.parametrize(("state", "paused_after"), [(CallState.LOST, True), (CallState.STARTING, True), (CallState.STOPPED, False)])
def test_document_rules_a_pause_outlives_everything_but_a_stop(state: CallState, paused_after: bool) -> None:
    decision = start(document(state, paused=True, deadline=NOW - 1))
    assert isinstance(decision, TakeOver)
    assert decision.document.paused is paused_after


@pytest.mark.parametrize(
    ("found", "worker", "expected"),
    [
        (document(CallState.LIVE), BOB, Waits),
        (document(CallState.STARTING), BOB, Waits),
        (document(CallState.STARTING, deadline=NOW), BOB, Waits),
        (document(CallState.STOPPED), BOB, Held),
        (document(CallState.LOST), BOB, Held),
        (document(CallState.LIVE), ANN, AlreadyRunning),
        (document(CallState.LOST), ANN, TakeOver),
    ],
)
def test_document_rules_nobody_takes_over_from_a_worker_who_holds_the_call(found: CallDocument, worker: str, expected: type) -> None:
    decision = start(found, worker, held_by_other=True)
    assert type(decision) is expected
    if isinstance(decision, Waits):
        assert decision.changed and decision.document.worker == ANN
        assert start(decision.document, worker, held_by_other=True) == Waits(decision.document, changed=False)


@pytest.mark.parametrize(
    ("holders", "heir"), [({BOB}, True), ({ANN, BOB}, False), ({ANN}, False), (set(), False), ({"WK" + "c" * 32}, False)]
)
def test_document_rules_who_waits_succeeds_when_the_other_has_left(holders: set[str], heir: bool) -> None:
    waiting = document(successor=Successor(worker=BOB, identity="bob", task_sid="WT2"))
    after = succeed(waiting, holders, sync_stream="S2")
    if not heir:
        assert after is None
        return
    assert after is not None
    assert (after.worker, after.identity, after.task_sid, after.sync_stream, after.successor) == (BOB, "bob", "WT2", "S2", None)
    assert succeed(document(), holders, sync_stream="S2") is None


@pytest.mark.parametrize("deadline", [9e18, NOW + LONGEST_START_SECONDS + 1, float("inf")])
def test_document_rules_a_deadline_that_no_relay_wrote_counts_as_passed(deadline: float) -> None:
    assert isinstance(start(document(CallState.STARTING, deadline=deadline), ANN), TakeOver)


def test_document_rules_a_transfer_changes_the_worker_and_the_stream_and_nothing_else() -> None:
    old = document(paused=True, seq=3)
    decision = start(old, BOB)
    assert isinstance(decision, ChangeWorker)
    assert decision.document == old.model_copy(update={"worker": BOB, "identity": "bob", "task_sid": "WT1", "sync_stream": "S"})


@pytest.mark.parametrize(
    ("found", "worker", "expected"),
    [
        (None, ANN, NotRunning),
        (document(CallState.STARTING), ANN, Stop),
        (document(CallState.LIVE), ANN, Stop),
        (document(CallState.STOPPED), ANN, Stop),
        (document(CallState.LOST), ANN, Stop),
        (document(CallState.STARTING), BOB, NotYours),
        (document(CallState.LIVE), BOB, NotYours),
        (document(CallState.STOPPED), BOB, NotRunning),
        (document(CallState.LOST), BOB, NotRunning),
    ],
)
def test_document_rules_stop(found: CallDocument | None, worker: str, expected: type) -> None:
    decision = decide_stop(found, worker=worker)
    assert type(decision) is expected
    if isinstance(decision, Stop):
        assert found is not None
        assert decision.document.state is CallState.STOPPED
        assert decision.document.generation == found.generation
        assert decision.changed is (found.state is not CallState.STOPPED)


def test_document_rules_who_is_no_worker_is_in_charge_of_nothing() -> None:
    nobodys = document(worker="")
    assert decide_stop(nobodys, worker="") == NotYours(nobodys)
    assert decide_paused(nobodys, True, worker="") == NotYours(nobodys)
    assert isinstance(start(nobodys), ChangeWorker)


def test_document_rules_after_a_transfer_the_stop_of_the_one_who_left_does_not_count() -> None:
    transfer = start(document(), BOB)
    assert isinstance(transfer, ChangeWorker)
    assert decide_stop(transfer.document, worker=ANN) == NotYours(transfer.document)
    assert isinstance(decide_stop(transfer.document, worker=BOB), Stop)


@pytest.mark.parametrize(
    ("found", "wanted", "worker", "expected"),
    [
        (None, True, ANN, None),
        (document(CallState.STOPPED), True, ANN, None),
        (document(CallState.LOST), False, ANN, None),
        (document(), True, BOB, "not yours"),
        (document(), True, ANN, (True, True)),
        (document(), False, ANN, (False, True)),
        (document(paused=True), True, ANN, (False, True)),
        (document(paused=True), False, ANN, (True, True)),
        (document(CallState.STARTING), True, ANN, (True, False)),
        (document(owner=""), True, ANN, (True, True)),  # nobody can be told: that must not look like a pause
    ],
)
def test_document_rules_pause_and_resume(found: CallDocument | None, wanted: bool, worker: str, expected: object) -> None:
    decision = decide_paused(found, wanted, worker=worker)
    match decision:
        case NotRunning():
            assert expected is None
        case NotYours():
            assert expected == "not yours"
        case SetPaused():
            assert (decision.changed, decision.tell) == expected
            assert decision.document.paused is wanted


def test_document_rules_going_live() -> None:
    waiting = document(CallState.STARTING, generation=2, deadline=NOW - 100)  # late, but nobody took over
    live = went_live(waiting, "10.0.0.9:9090", "MZ9", "abcd", generation=2)
    assert isinstance(live, CallDocument)
    assert (live.state, live.owner, live.stream_sid, live.prompt_revision) == (CallState.LIVE, "10.0.0.9:9090", "MZ9", "abcd")
    assert went_live(live, "10.0.0.9:9090", "MZ9", "abcd", generation=2) == live
    assert isinstance(went_live(live, "10.0.0.7:9090", "MZ8", "abcd", generation=2), Superseded)


@pytest.mark.parametrize(
    ("state", "generation"),
    [(CallState.STARTING, 1), (CallState.LIVE, 1), (CallState.STARTING, 3), (CallState.STOPPED, 2), (CallState.LOST, 2)],
)
def test_document_rules_a_stream_that_nobody_asks_for_does_not_go_live(state: CallState, generation: int) -> None:
    assert isinstance(
        went_live(
            document(state, generation=2), "o:1", "MZ9", "", generation=generation if state in {CallState.STARTING, CallState.LIVE} else 2
        ),
        Superseded,
    )


@pytest.mark.parametrize("state", [CallState.STOPPED, CallState.LOST])
def test_document_rules_a_stream_that_was_live_and_is_over_stays_over_and_is_no_strangers(state: CallState) -> None:
    over = document(state, generation=2, stream_sid="MZ9")
    assert went_live(over, "10.0.0.9:9090", "MZ9", "abcd", generation=2) is over
    assert isinstance(went_live(over, "10.0.0.9:9090", "MZ8", "abcd", generation=2), Superseded)
    assert isinstance(went_live(over, "10.0.0.9:9090", "MZ9", "abcd", generation=1), Superseded)


@pytest.mark.parametrize(
    ("found", "lost", "seq", "generation", "state", "seq_after"),
    [
        (document(seq=2), False, 5, 1, CallState.STOPPED, 5),
        (document(seq=2), True, 5, 1, CallState.LOST, 5),
        (document(CallState.STARTING), True, 0, 1, CallState.LOST, 0),
        (document(CallState.STOPPED, seq=2), True, 5, 1, CallState.STOPPED, 5),
        (document(CallState.LOST, seq=9), False, 5, 1, None, 9),
        (document(generation=2, seq=1), True, 4, 1, CallState.LIVE, 4),
        (document(generation=2, seq=4), True, 4, 1, None, 4),
    ],
)
def test_document_rules_the_end(
    found: CallDocument, lost: bool, seq: int, generation: int, state: CallState | None, seq_after: int
) -> None:
    after = ended(found, lost, seq, generation=generation)
    if state is None:
        assert after is None
    else:
        assert after is not None
        assert (after.state, after.seq, after.generation) == (state, seq_after, found.generation)


NAME = f"assist_{CALL}"


@pytest.mark.parametrize(
    ("found", "name", "event", "expected"),
    [
        (None, NAME, "stream-error", Ignore),
        (document(CallState.STARTING), NAME, "stream-started", Ignore),
        (document(CallState.LIVE), NAME, "stream-started", Ignore),
        (document(CallState.STARTING), NAME, "something-new", Ignore),
        (document(CallState.STARTING), NAME, "stream-error", Restart),
        (document(CallState.STARTING), NAME, "stream-stopped", Restart),
        (document(CallState.STARTING, restarts=1), NAME, "stream-error", Restart),
        (document(CallState.STARTING, restarts=2), NAME, "stream-error", Restart),  # the balancer led it to one that died
        (document(CallState.STARTING, restarts=4), NAME, "stream-error", TellAgent),
        (document(CallState.LIVE), NAME, "stream-error", TellAgent),
        (document(CallState.LIVE), NAME, "stream-stopped", TellAgent),
        (document(CallState.STOPPED), NAME, "stream-stopped", Ignore),
        (document(CallState.LOST), NAME, "stream-error", Ignore),
        (document(CallState.STARTING, generation=2), NAME, "stream-error", Ignore),
        (document(CallState.LIVE, generation=2), NAME, "stream-error", Ignore),
        (document(CallState.LIVE, generation=2), f"{NAME}_3", "stream-error", Ignore),
        (document(CallState.LIVE), "somebody-else", "stream-error", Ignore),
    ],
)
def test_document_rules_a_stream_died(found: CallDocument | None, name: str, event: str, expected: type) -> None:
    decision = stream_died(found, name, event, call_sid=CALL, now=NOW)
    assert type(decision) is expected
    if isinstance(decision, Restart):
        assert found is not None
        assert (decision.document.generation, decision.document.restarts) == (found.generation + 1, found.restarts + 1)
        assert decision.document.state is CallState.STARTING
        assert decision.document.paused == found.paused
        assert decision.gone.state is CallState.LOST
    if isinstance(decision, TellAgent):
        assert found is not None
        assert decision.document.state is CallState.LOST
        assert decision.restarts_used_up is (found.state is CallState.STARTING)


def test_document_rules_a_live_stream_whose_relay_is_gone_goes_on_at_another() -> None:
    found = document(CallState.LIVE, paused=True)
    decision = stream_died(found, NAME, "stream-error", call_sid=CALL, now=NOW, owner_gone=True)
    assert isinstance(decision, Restart)
    assert (decision.document.state, decision.document.generation, decision.document.paused) == (CallState.STARTING, 2, True)
    assert decision.gone.state is CallState.STOPPED, "a call that is over is no loss"


@pytest.mark.parametrize(
    ("found", "name", "expected"),
    [
        (None, NAME, Ignore),
        (document(CallState.LIVE), NAME, Restart),
        (document(CallState.LOST), NAME, Restart),  # written by the same relay, a moment before
        (document(CallState.STOPPED), NAME, Ignore),  # the agent's stop came first
        (document(CallState.STARTING), NAME, Ignore),
        (document(CallState.LIVE, generation=2), NAME, Ignore),  # started again already
        (document(CallState.LOST, generation=2), NAME, Ignore),
    ],
)
def test_document_rules_a_stream_that_was_cut(found: CallDocument | None, name: str, expected: type) -> None:
    decision = stream_cut(found, name, call_sid=CALL, now=NOW)
    assert type(decision) is expected
    if isinstance(decision, Restart):
        assert decision.document.generation == 2
        assert decision.document.sync_stream == (found.sync_stream if found else ""), "the agent's panel listens on"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, Ignore),
        (document(CallState.LIVE), Restart),
        (document(CallState.LIVE, owner="10.0.0.2:9090"), Ignore),  # another's by now
        (document(CallState.LIVE, generation=2, paused=True, next={"generation": 4, "at": NOW}), Restart),  # it died while it moved it
        (document(CallState.STARTING), Ignore),
        (document(CallState.LOST), Ignore),
        (document(CallState.STOPPED), Ignore),  # the agent's stop came first
    ],
)
def test_document_rules_a_relay_that_is_gone(found: CallDocument | None, expected: type) -> None:
    decision = owner_gone(found, "10.0.0.1:9090", call_sid=CALL, now=NOW, since=NOW - 9)
    assert type(decision) is expected
    if isinstance(decision, Restart) and found is not None:
        changed = decision.document
        assert changed.generation == (2 if found.next is None else 5), "higher than any that was asked for"
        assert (changed.paused, changed.worker, changed.next) == (found.paused, found.worker, None)
        assert changed.lost_at == NOW - 9
        assert decision.gone.state is CallState.STOPPED, "what is written if the call is over"


def test_document_rules_a_stream_that_did_not_come_is_followed_by_another_and_only_then() -> None:
    found = document(CallState.STARTING, generation=3, restarts=1, lost_at=NOW - 12)
    after = did_not_come(found, 3, call_sid=CALL, now=NOW)
    assert after is not None
    assert (after.state, after.generation, after.restarts, after.lost_at) == (CallState.STARTING, 4, 1, NOW - 12)
    for other in (None, document(CallState.STARTING, generation=4), document(CallState.LIVE, generation=3), document(CallState.STOPPED)):
        assert did_not_come(other, 3, call_sid=CALL, now=NOW) is None


@pytest.mark.parametrize(
    ("seconds", "deaths", "expected"),
    [(1.0, 0, 1), (1.0, 1, 2), (1.0, 2, None), (SETTLED_SECONDS - 1, 2, None), (SETTLED_SECONDS, 2, 1), (3600.0, 2, 1)],
)
def test_document_rules_only_streams_that_end_soon_are_given_up(seconds: float, deaths: int, expected: int | None) -> None:
    found = document(CallState.LIVE, restarts=4, deaths=deaths, deadline=NOW - seconds + STARTING_SECONDS)
    decision = stream_cut(found, NAME, call_sid=CALL, now=NOW)
    if expected is None:
        assert isinstance(decision, TellAgent)
        assert decision.restarts_used_up
    else:
        assert isinstance(decision, Restart)
        assert (decision.document.deaths, decision.document.restarts) == (expected, 1), "however many streams it took last time"


def test_document_rules_how_long_a_stream_lasted_is_until_it_was_last_heard_and_not_until_somebody_saw() -> None:
    found = document(CallState.LIVE, owner="10.0.0.1:9090", deaths=2, deadline=NOW - SETTLED_SECONDS - 1 + STARTING_SECONDS)
    assert isinstance(owner_gone(found, found.owner, call_sid=CALL, now=NOW, since=NOW - 16), TellAgent)
    assert isinstance(owner_gone(found, found.owner, call_sid=CALL, now=NOW, since=NOW - 1), Restart)


def test_document_rules_a_second_relay_that_dies_soon_after_the_first_ends_no_call() -> None:
    """As it was on the cluster: killed with SIGKILL, and the next one lost with its node ten seconds later."""
    relay = "10.0.0.1:9090"
    found = document(CallState.LIVE, owner=relay)
    for death in (1, 2):
        restart = owner_gone(found, relay, call_sid=CALL, now=NOW, since=NOW - 1)
        for further in (2, 3, 4):
            assert isinstance(restart, Restart)
            assert (restart.document.restarts, restart.document.deaths) == (further - 1, death)
            restart = stream_died(restart.document, restart.document.stream_name, "stream-error", call_sid=CALL, now=NOW)
        assert isinstance(restart, Restart)
        found = restart.document.model_copy(update={"state": CallState.LIVE, "owner": relay})
    assert isinstance(owner_gone(found, relay, call_sid=CALL, now=NOW, since=NOW - 1), TellAgent), "a third time: it may be the call"


def test_document_rules_an_unclear_or_refused_creation_counts_only_while_its_generation_does() -> None:
    waiting = document(CallState.STARTING, restarts=1)
    again = create_unclear(waiting, CALL, generation=1, now=NOW)
    assert isinstance(again, CallDocument)
    assert (again.generation, again.restarts, again.deadline) == (2, 1, NOW + STARTING_SECONDS)
    failed = create_failed(waiting, generation=1)
    assert failed is not None and failed.state is CallState.LOST
    for other in (again, document(CallState.STOPPED), document(CallState.LIVE, generation=2), document(CallState.LOST)):
        assert isinstance(create_unclear(other, CALL, generation=1, now=NOW), Superseded)
        assert create_failed(other, generation=1) is None
    assert create_failed(document(CallState.LIVE), generation=1) is None


def test_document_rules_an_unclear_creation_whose_stream_is_live_has_worked() -> None:
    assert create_unclear(document(CallState.LIVE), CALL, generation=1, now=NOW) == AlreadyRunning(document(CallState.LIVE))


def test_document_rules_a_created_stream_is_wanted_by_its_own_generation_only() -> None:
    assert still_wanted(document(CallState.STARTING), generation=1)
    assert still_wanted(document(CallState.LIVE), generation=1)
    assert not still_wanted(document(CallState.STOPPED), generation=1)
    assert not still_wanted(document(CallState.LIVE, generation=2), generation=1)
    assert not still_wanted(None, generation=1)


def test_document_rules_a_call_that_is_over_is_no_lost_stream() -> None:
    over = call_over(document(), NAME)
    assert over is not None and over.state is CallState.STOPPED
    assert call_over(document(generation=2), NAME) is None
    assert call_over(document(CallState.LOST), NAME) is None


def test_document_rules_the_largest_document_stays_below_the_size_that_sync_throttles() -> None:
    largest = CallDocument(
        state=CallState.STARTING,
        generation=10**6,
        stream_name=f"assist_{CALL}_{10**6}",
        sync_stream=f"FLEX_ASSIST_{CALL}_{'x' * 16}",
        deadline=NOW + 0.123456,
        worker=ANN,
        identity="i" * 256,
        owner="[fd00:1234:5678:9abc:def0:1234:5678:9abc]:65535",
        stream_sid="MZ" + "1" * 32,
        prompt_revision="r" * 20,
        restarts=2,
        paused=True,
        task_sid="WT" + "1" * 32,
        seq=10**6,
    )
    assert len(largest.model_dump_json(by_alias=True)) < DOCUMENT_BYTES


def test_document_rules_when_a_call_was_last_heard_is_kept_until_it_is_heard_again() -> None:
    cut_off = stream_cut(document(CallState.LIVE), NAME, call_sid=CALL, now=NOW)
    assert isinstance(cut_off, Restart)
    assert cut_off.document.lost_at == NOW
    again = stream_died(cut_off.document, cut_off.document.stream_name, "stream-error", call_sid=CALL, now=NOW + 2)
    assert isinstance(again, Restart)
    assert again.document.lost_at == NOW, "the first of its streams did not come"
    live = went_live(again.document, "10.0.0.2:9090", "MZ" + "2" * 32, "r", generation=3)
    assert isinstance(live, CallDocument)
    assert live.lost_at == NOW, "for the relay that has it now to count"
    later = stream_cut(live, live.stream_name, call_sid=CALL, now=NOW + 70)
    assert isinstance(later, Restart)
    assert later.document.lost_at == NOW + 70
    by_hand = start(document(CallState.LOST, lost_at=NOW - 500))
    assert by_hand.document.lost_at == 0, "what the agent starts anew is none of it"
    quicker = start(document(CallState.LIVE), owner_gone=True)
    assert quicker.document.lost_at == NOW, "but where the agent is quicker than the relays, the call was heard until then"
