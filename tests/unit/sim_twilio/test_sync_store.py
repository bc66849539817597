"""The rules of Sync on the pure store, where requests cannot show them or are too slow to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voiceassist_sim.twilio import sync_store as sync_store_module
from voiceassist_sim.twilio.errors import TwilioError
from voiceassist_sim.twilio.settings import Lenient, Settings
from voiceassist_sim.twilio.sids import SidSource
from voiceassist_sim.twilio.sync_model import Change, Kind, Payload, Permission
from voiceassist_sim.twilio.sync_store import SyncStore, revision_text

NOW = 1_800_000_000.0


class Bench:
    def __init__(self, **lenient: bool) -> None:
        self.changes: list[Change] = []
        self.settings = Settings(lenient=Lenient(**lenient))
        self.store = SyncStore(SidSource(1), self.settings, self.changes.append)
        self.service = self.store.create_service(NOW)

    def make(self, kind: Kind, name: str | None = None, now: float = NOW, ttl: int | None = None) -> Any:
        return self.store.create(self.service, kind, now, unique_name=name, ttl=ttl)

    def told(self) -> list[tuple[str, str | int | None]]:
        told = [(change.event, change.key if change.key is not None else change.unique_name) for change in self.changes]
        self.changes.clear()
        return told


@pytest.fixture
def bench() -> Bench:
    return Bench()


def data(value: Any = None, size: int = 10) -> Payload:
    return Payload(value or {}, size)


def code(caught: pytest.ExceptionInfo[TwilioError]) -> tuple[int, int]:
    return caught.value.status, caught.value.code


def test_the_burst_of_writes_is_two_hundred(bench: Bench) -> None:
    document = bench.make(Kind.DOCUMENT)
    for number in range(200):
        bench.store.update_document(document, data({"n": number}), None, None, NOW)
    with pytest.raises(TwilioError) as caught:
        bench.store.update_document(document, data(), None, None, NOW)
    assert code(caught) == (429, 54009)
    assert document.data == {"n": 199}


def test_a_write_that_meets_a_newer_revision_counts(bench: Bench) -> None:
    document = bench.make(Kind.DOCUMENT)
    bench.store.update_document(document, data(), None, "0", NOW)
    for _ in range(199):
        with pytest.raises(TwilioError) as caught:
            bench.store.update_document(document, data(), None, "0", NOW)
        assert code(caught) == (412, 54103)
    with pytest.raises(TwilioError) as caught:
        bench.store.update_document(document, data(), None, "0", NOW)
    assert code(caught) == (429, 54009)


def test_every_write_is_told_once(bench: Bench) -> None:
    store = bench.store
    found = bench.make(Kind.MAP, "m", ttl=100)
    store.add_item(found, "k", data({"n": 1}), NOW, ttl=10)
    store.update_item(found, "k", data({"n": 2}), None, NOW)
    with pytest.raises(TwilioError):
        store.add_item(found, "k", data(), NOW)
    assert bench.told() == [("created", "m"), ("item_added", "k"), ("item_updated", "k")]
    store.expire(NOW + 10)
    assert bench.told() == [("item_removed", "k")]
    store.expire(NOW + 10)
    assert bench.told() == []
    store.expire(NOW + 100)
    assert bench.told() == [("removed", "m")]
    stream = bench.make(Kind.STREAM, "s")
    store.publish(stream, data({"n": 3}), NOW)
    assert [(change.event, change.data) for change in bench.changes] == [("created", None), ("message", {"n": 3})]
    bench.told()
    store.delete_service(bench.service.sid, NOW)
    assert bench.told() == [("removed", "s")]


def test_what_has_ended_gives_its_name_back_before_the_sweep(bench: Bench) -> None:
    first = bench.make(Kind.DOCUMENT, "name", ttl=5)
    with pytest.raises(TwilioError) as caught:
        bench.make(Kind.MAP, "name", NOW + 4.9)
    assert code(caught) == (409, 54301)
    second = bench.make(Kind.MAP, "name", NOW + 5)
    assert first.sid not in bench.service.objects
    assert bench.store.find(bench.service, Kind.MAP, "name", NOW + 5) is second


def test_a_name_leads_to_its_own_kind_only(bench: Bench) -> None:
    made = bench.make(Kind.DOCUMENT, "name")
    with pytest.raises(TwilioError) as caught:
        bench.store.find(bench.service, Kind.MAP, "name", NOW)
    assert code(caught) == (404, 54300)
    with pytest.raises(TwilioError) as caught:
        bench.store.find(bench.service, Kind.MAP, made.sid, NOW)
    assert code(caught) == (404, 54300)  # not the form of a map's SID, so it is taken for a name
    assert bench.store.find(bench.service, Kind.DOCUMENT, made.sid, NOW) is made


def test_names_per_kind() -> None:
    bench = Bench(names_per_kind=True)
    made = {kind: bench.make(kind, "name") for kind in Kind}
    for kind, found in made.items():
        assert bench.store.find(bench.service, kind, "name", NOW) is found


def test_an_item_that_has_ended_may_be_made_again(bench: Bench) -> None:
    found = bench.make(Kind.MAP)
    bench.store.add_item(found, "k", data({"n": 1}), NOW, ttl=1)
    again = bench.store.add_item(found, "k", data({"n": 2}), NOW + 1)
    assert again.data == {"n": 2}
    assert again.life.expires is None


def test_map_items_are_in_the_order_of_their_keys_and_list_items_in_that_of_their_indexes(bench: Bench) -> None:
    found = bench.make(Kind.MAP)
    for key in ("b", "a", "10", "9", "B"):
        bench.store.add_item(found, key, data(), NOW)
    assert [item.key for item in bench.store.items(found, NOW)] == ["10", "9", "B", "a", "b"]
    found = bench.make(Kind.LIST)
    for _ in range(12):
        bench.store.add_item(found, None, data(), NOW)
    assert [item.key for item in bench.store.items(found, NOW)] == list(range(12))


def test_permissions_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_store_module, "MAX_PERMISSIONS", 2)
    found = bench.make(Kind.MAP)
    for identity in ("a", "b", "a"):
        bench.store.set_permission(found, Permission(identity, read=True, write=False, manage=False), NOW)
    with pytest.raises(TwilioError) as caught:
        bench.store.set_permission(found, Permission("c", read=True, write=False, manage=False), NOW)
    assert code(caught) == (400, 20001)


@pytest.mark.parametrize("bad", ["", '""', "*", "W/1", "1 ", "zz", '"1'])
def test_if_match_must_be_a_revision(bench: Bench, bad: str) -> None:
    document = bench.make(Kind.DOCUMENT)
    with pytest.raises(TwilioError) as caught:
        bench.store.update_document(document, data(), None, bad, NOW)
    assert code(caught) == (400, 54003)


class SyncMachine(RuleBasedStateMachine):
    """Documents under any order of writes, conditions and time: a condition holds exactly when its revision is the current one."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.now = NOW
        self.alive: dict[str, tuple[Any, float | None]] = {}
        self.revisions: dict[str, list[str]] = {}

    @rule(name=st.sampled_from("abc"), ttl=st.one_of(st.none(), st.integers(0, 30)))
    def create(self, name: str, ttl: int | None) -> None:
        try:
            made = self.bench.make(Kind.DOCUMENT, name, self.now, ttl)
        except TwilioError as refusal:
            assert (refusal.status, refusal.code) == (409, 54301)
            assert name in self.alive
        else:
            assert name not in self.alive
            self.alive[name] = (made, self.now + ttl if ttl else None)
            self.revisions[name] = [revision_text(made.revision)]

    @rule(name=st.sampled_from("abc"), back=st.integers(1, 3), value=st.integers())
    def update_if(self, name: str, back: int, value: int) -> None:
        try:
            found = self.bench.store.find(self.bench.service, Kind.DOCUMENT, name, self.now)
        except TwilioError as refusal:
            assert refusal.status == 404
            assert name not in self.alive
            return
        past = self.revisions[name]
        expected = past[-min(back, len(past))]
        try:
            self.bench.store.update_document(found, data({"n": value}), None, expected, self.now)
        except TwilioError as refusal:
            assert refusal.status in (412, 429)
            assert refusal.status == 429 or expected != past[-1]
        else:
            assert expected == past[-1]
            assert found.data == {"n": value}
            past.append(revision_text(found.revision))

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.alive = {name: (made, end) for name, (made, end) in self.alive.items() if end is None or end > self.now}

    @invariant()
    def the_listed_are_the_living(self) -> None:
        listed = self.bench.store.objects(self.bench.service, Kind.DOCUMENT, self.now)
        assert {found.unique_name for found in listed} == set(self.alive)

    @invariant()
    def revisions_never_come_back(self) -> None:
        for past in self.revisions.values():
            assert len(set(past)) == len(past)


TestSyncMachine = SyncMachine.TestCase
TestSyncMachine.settings = hypothesis_settings(max_examples=40, stateful_step_count=30, deadline=None)
