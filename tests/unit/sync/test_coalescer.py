"""What goes out next on a call's Stream: the rate in any second, newest drafts, order of what is kept, the bound."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voiceassist_crds.messages import (
    AssistState,
    Draft,
    Status,
    StatusReason,
    StreamMessage,
    Suggestion,
    Track,
    Transcript,
    Withdrawn,
    WithdrawnReason,
)
from voiceassist_relay.sync.coalescer import BOUND, Coalescer, Lane, lane_of


def draft(item: str, part: int = 1) -> Draft:
    return Draft(id=item, revision="r", part=part, answer=f"{item} {part}")


def words(item: str, part: int = 1, final: bool = False) -> Transcript:
    return Transcript(id=item, revision="r", track=Track.CUSTOMER, part=part, text=f"{item} {part}", final=final)


def suggestion(item: str, seq: int = 1) -> Suggestion:
    return Suggestion(id=item, revision="r", seq=seq, question="?", answer="!", at=0)


def withdrawn(item: str) -> Withdrawn:
    return Withdrawn(id=item, revision="r", reason=WithdrawnReason.FAILED)


def status(number: int = 1) -> Status:
    return Status(
        id=f"s{number}", revision="r", state=AssistState.LIVE, reason=StatusReason.STARTED, message="", generation=1, stream="", at=number
    )


def drain(coalescer: Coalescer, now: float = 0.0) -> list[tuple[float, StreamMessage]]:
    """Everything that waits, each as early as allowed, the kept lane first."""
    out = []
    while len(coalescer):
        ready = [(at, lane.value, lane) for lane in Lane if (at := coalescer.ready_at(lane)) is not None]
        now = max(now, min(at for at, _, _ in ready))
        lane = min(entry for entry in ready if entry[0] <= now)[2] if coalescer.ready_at(Lane.KEPT) is None else Lane.KEPT
        if lane is Lane.KEPT:
            now = max(now, coalescer.ready_at(Lane.KEPT) or now)
        message = coalescer.take(lane, now)
        assert message is not None
        out.append((now, message))
    return out


def most_in_a_second(times: Sequence[float]) -> int:
    return max((sum(1 for other in times if begin <= other < begin + 1.0) for begin in times), default=0)


def test_coalescer_a_newer_draft_takes_the_place_of_an_unsent_one() -> None:
    coalescer = Coalescer()
    for part in (1, 2, 3):
        assert coalescer.offer(draft("a", part)) == ()
    assert [message for _, message in drain(coalescer)] == [draft("a", 3)]


def test_coalescer_drafts_go_in_turn() -> None:
    coalescer = Coalescer()
    for message in (draft("a"), draft("b"), draft("a", 2)):
        coalescer.offer(message)
    assert [message for _, message in drain(coalescer)] == [draft("a", 2), draft("b")]


@pytest.mark.parametrize("end", [suggestion("a"), withdrawn("a")])
def test_coalescer_the_end_of_an_item_takes_its_draft_along_and_late_drafts_are_passed_over(end: StreamMessage) -> None:
    coalescer = Coalescer()
    coalescer.offer(draft("a"))
    coalescer.offer(end)
    assert coalescer.offer(draft("a", 2)) == ()
    assert coalescer.put_back(draft("a")) == ()
    assert [message for _, message in drain(coalescer)] == [end]


def test_coalescer_a_final_transcript_ends_its_item() -> None:
    coalescer = Coalescer()
    coalescer.offer(words("t", 1))
    coalescer.offer(words("t", 2, final=True))
    coalescer.offer(words("t", 3))
    assert [message for _, message in drain(coalescer)] == [words("t", 2, final=True)]
    coalescer.put_back(words("t", 2, final=True))
    coalescer.put_back(words("t", 1))
    assert coalescer.take(Lane.LATEST, 100.0) == words("t", 2, final=True)
    assert len(coalescer) == 0


def test_coalescer_what_was_not_sent_comes_back_unless_newer() -> None:
    coalescer = Coalescer()
    coalescer.offer(draft("a"))
    coalescer.offer(status(1))
    coalescer.offer(status(2))
    lost, kept = coalescer.take(Lane.LATEST, 0.0), coalescer.take(Lane.KEPT, 0.0)
    assert (lost, kept) == (draft("a"), status(1))
    coalescer.offer(draft("a", 2))
    coalescer.put_back(draft("a"))
    coalescer.put_back(status(1))
    assert [message for _, message in drain(coalescer, 1.0)] == [status(1), status(2), draft("a", 2)]


def test_coalescer_a_failed_draft_is_sent_again_while_it_is_the_newest() -> None:
    coalescer = Coalescer()
    coalescer.offer(draft("a"))
    coalescer.take(Lane.LATEST, 0.0)
    coalescer.put_back(draft("a"))
    assert coalescer.take(Lane.LATEST, 1.0) == draft("a")


def test_coalescer_drafts_leave_room_for_what_is_kept_and_are_spaced() -> None:
    coalescer, sent, now = Coalescer(), [], 0.0
    for step in range(300):
        now = step / 100
        coalescer.offer(draft("a", step + 1))
        if coalescer.take(Lane.LATEST, now):
            sent.append(now)
        if step == 250:  # in the middle of a flood of drafts there is room at once, twice
            coalescer.offer(status(1))
            coalescer.offer(status(2))
            assert coalescer.take(Lane.KEPT, now) == status(1)
            assert coalescer.take(Lane.KEPT, now) == status(2)
    assert most_in_a_second(sent) == 6
    assert all(later - earlier >= 1 / 6 for earlier, later in itertools.pairwise(sent))


def test_coalescer_transcripts_are_not_starved_by_drafts() -> None:
    coalescer, sent = Coalescer(), []
    for step in range(900):
        coalescer.offer(draft("a", step + 1))
        coalescer.offer(words("t", step + 1))
        message = coalescer.take(Lane.LATEST, step / 100)
        if message:
            sent.append(message.type)
    assert sent[:6] == ["draft", "draft", "transcript"] * 2
    assert sent[:51].count("transcript") == 17


def test_coalescer_drop_rule() -> None:
    coalescer = Coalescer(bound=4)
    for message in (status(1), words("done", 1, final=True), words("open"), draft("a")):
        assert coalescer.offer(message) == ()
    assert coalescer.offer(draft("b")) == (draft("a"),)
    assert coalescer.offer(status(2)) == (draft("b"),)
    assert coalescer.offer(status(3)) == (words("open"),)
    assert coalescer.offer(status(4)) == (words("done", 1, final=True),)
    assert coalescer.offer(status(5)) == (status(1),)
    assert coalescer.put_back(status(1)) == (status(1),)
    assert [message for _, message in drain(coalescer)] == [status(2), status(3), status(4), status(5)]


def test_coalescer_the_end_of_the_call_leaves_what_is_finished() -> None:
    coalescer = Coalescer()
    for message in (draft("a"), words("open"), words("done", 1, final=True), suggestion("b")):
        coalescer.offer(message)
    coalescer.forget_unfinished()
    assert coalescer.clear() == (suggestion("b"), words("done", 1, final=True))
    assert len(coalescer) == 0


ITEMS = st.sampled_from(["a", "b", "c", "d"])
MESSAGES = st.one_of(
    st.builds(draft, ITEMS, st.integers(1, 99)),
    st.builds(words, ITEMS, st.integers(1, 99), st.booleans()),
    st.builds(suggestion, ITEMS, st.integers(1, 99)),
    st.builds(withdrawn, ITEMS),
    st.builds(status, st.integers(1, 99)),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 0.6), MESSAGES), max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_coalescer_never_above_the_rate_and_nothing_kept_is_lost_or_out_of_order(
    events: list[tuple[float, StreamMessage]], per_second: int, latest_per_second: int
) -> None:
    coalescer = Coalescer(per_second=per_second, latest_per_second=latest_per_second)
    now, sent = 1e6, []  # a loop's clock has some size: rounding must do no harm
    kept = [message for _, message in events if lane_of(message) is Lane.KEPT]
    for wait, message in events:
        now += wait
        for lane in Lane:
            while (taken := coalescer.take(lane, now)) is not None:
                sent.append((now, taken))
        assert coalescer.offer(message) == ()
    sent += drain(coalescer, now)
    assert most_in_a_second([at for at, _ in sent]) <= per_second
    assert most_in_a_second([at for at, message in sent if lane_of(message) is Lane.LATEST]) <= latest_per_second + 1
    assert [message for _, message in sent if lane_of(message) is Lane.KEPT] == kept


class Life(RuleBasedStateMachine):
    """Any order of offers, sends and failures: bounded, in order, and the last state of everything arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.coalescer = Coalescer(bound=12)
        self.now, self.part = 1e6, 0
        self.times: list[float] = []
        self.newest: dict[tuple[str, str], StreamMessage] = {}
        self.ended: set[str] = set()
        self.arrived: dict[tuple[str, str], int] = {}
        self.dropped: set[tuple[str, str]] = set()
        self.offered: list[StreamMessage] = []
        self.kept_sent: list[StreamMessage] = []
        self.kept_dropped: list[StreamMessage] = []

    def note(self, dropped: tuple[StreamMessage, ...]) -> None:
        for message in dropped:
            self.dropped.add((message.type, message.id))
            if lane_of(message) is Lane.KEPT:
                self.kept_dropped.append(message)

    @rule(item=ITEMS)
    def a_draft_grows(self, item: str) -> None:
        self.part += 1
        message = draft(item, self.part)
        if item not in self.ended:
            self.newest["draft", item] = message
        self.note(self.coalescer.offer(message))

    @rule(item=ITEMS, final=st.booleans())
    def words_are_heard(self, item: str, final: bool) -> None:
        self.part += 1
        message = words(f"t{item}", self.part, final)
        if final or f"t{item}" not in self.ended:
            self.newest["transcript", f"t{item}"] = message
        if final:
            self.ended.add(f"t{item}")
        self.note(self.coalescer.offer(message))

    @rule(item=ITEMS, good=st.booleans())
    def a_draft_ends(self, item: str, good: bool) -> None:
        self.part += 1
        message = suggestion(item, self.part) if good else withdrawn(item)
        self.ended.add(item)
        self.newest.pop(("draft", item), None)
        self.offered.append(message)
        self.note(self.coalescer.offer(message))

    @rule()
    def the_state_changes(self) -> None:
        self.part += 1
        message = status(self.part)
        self.offered.append(message)
        self.note(self.coalescer.offer(message))

    @rule(wait=st.floats(0, 1.2), lane=st.sampled_from(Lane), fails=st.booleans())
    def one_is_sent(self, wait: float, lane: Lane, fails: bool) -> None:
        self.now += wait
        message = self.coalescer.take(lane, self.now)
        if message is None:
            return
        self.times.append(self.now)
        if fails:
            self.note(self.coalescer.put_back(message))
        else:
            self.arrive(message)

    def arrive(self, message: StreamMessage) -> None:
        if lane_of(message) is Lane.KEPT:
            self.kept_sent.append(message)
        elif isinstance(message, Draft | Transcript):
            self.arrived[message.type, message.id] = message.part

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.coalescer) <= 12
        assert most_in_a_second(self.times[-40:]) <= 8

    def teardown(self) -> None:
        for at, message in drain(self.coalescer, self.now):
            self.times.append(at)
            self.arrive(message)
        assert most_in_a_second(self.times) <= 8
        dropped = {id(message) for message in self.kept_dropped}
        assert self.kept_sent == [message for message in self.offered if id(message) not in dropped]
        for key, message in self.newest.items():
            assert isinstance(message, Draft | Transcript)
            assert self.arrived.get(key) == message.part or key in self.dropped


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_any_order_of_events = Life.TestCase


def test_coalescer_a_flood_stays_bounded() -> None:
    coalescer = Coalescer()
    dropped = sum(len(coalescer.offer(draft(f"item{n}"))) for n in range(BOUND + 50))
    assert (len(coalescer), dropped) == (BOUND, 50)
