"""The watch against an API server's bytes on loopback: what it asks for, how it goes on after the end, a gap and an error."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import httpx2
import pytest
from aiohttp import web

from voiceassist_operator.controller import workers as workers_module
from voiceassist_operator.controller.watches import OptionalKinds, Watches
from voiceassist_operator.controller.workers import Workers
from voiceassist_operator.errors import Retryable
from voiceassist_operator.kubernetes import watch as watch_module
from voiceassist_operator.kubernetes.kinds import CONFIG_MAP, KINDS, POD, SECRET, VOICEASSIST, Kind, Selection
from voiceassist_operator.kubernetes.store import Store
from voiceassist_operator.kubernetes.watch import Receiver, Watch, lines

METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


SWALLOWED = "accepted, and nothing more"


def event(kind: str, name: str, version: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "object": {"metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", "resourceVersion": version}, **more},
    }


class Api:
    """Answers each list and each watch with the next of a script, and notes what was asked."""

    def __init__(self, lists: Sequence[Any], watches: Sequence[Any]) -> None:
        self.lists, self.watches = list(lists), list(watches)
        self.asked: list[dict[str, str]] = []
        self.over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"path": request.path, "accept": request.headers["Accept"], **request.query})
        if "watch" not in request.query:
            found = self.lists.pop(0)
            return web.Response(status=found) if isinstance(found, int) else web.json_response(found)
        if not self.watches:
            self.over.set()
            await asyncio.sleep(60)
        found = self.watches.pop(0)
        if found == SWALLOWED:
            await (silent := web.StreamResponse()).prepare(request)
            await asyncio.sleep(60)
            return silent
        if isinstance(found, int):
            return web.Response(status=found)
        return web.Response(body="".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found).encode())


def page(version: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "items": [{"metadata": {"name": "a", "uid": "uid-a"}}]}


LISTED = (("begin", ""), ("listed", "a"), ("end", ""))


async def told(api: Api, kind: Kind, selection: Selection, list_seconds: float = 600.0) -> list[tuple[str, object]]:
    """What a watch tells until the script is over."""
    heard: list[tuple[str, object]] = []

    def note(what: str) -> Callable[[Any], None]:
        return lambda item: heard.append((what, item["metadata"]["name"]))

    def mark(what: str) -> Callable[[], None]:
        return lambda: heard.append((what, ""))

    app = web.Application()
    app.router.add_get("/{path:.*}", api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}", trust_env=False) as http:
        watch = Watch(
            http,
            kind,
            "n",
            selection,
            Receiver(*(note(what) for what in ("changed", "deleted")), mark("begin"), note("listed"), mark("end")),
            list_seconds,
        )
        task = asyncio.create_task(watch.run())
        await asyncio.wait({task, waiting := asyncio.create_task(api.over.wait())}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        waiting.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
    await runner.cleanup()
    assert api.over.is_set()
    return heard


async def test_watch_of_a_secret_nothing_but_metadata_is_asked_for() -> None:
    api = Api([page("7")], [[event("ADDED", "a", "8"), event("BOOKMARK", "", "11")], [event("MODIFIED", "a", "12")]])
    heard = await told(api, SECRET, Selection(labels="wanted"))
    assert heard == [*LISTED, ("changed", "a"), ("changed", "a")]
    assert {one["path"] for one in api.asked} == {"/api/v1/namespaces/n/secrets"}
    assert [one["accept"] for one in api.asked] == [METADATA.format("List"), *[METADATA.format("")] * 3]
    assert [one.get("resourceVersion") for one in api.asked] == [None, "7", "11", "12"]
    assert {one["labelSelector"] for one in api.asked} == {"wanted"}


async def test_watch_a_long_listing_comes_in_pages() -> None:
    first = {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}
    api = Api([first, {**page("7"), "items": [{"metadata": {"name": "c"}}]}], [])
    assert await told(api, POD, Selection(whole=True)) == [("begin", ""), ("listed", "a"), ("listed", "b"), ("listed", "c"), ("end", "")]
    assert [one.get("continue") for one in api.asked[:2]] == [None, "more"]
    assert {one["accept"] for one in api.asked} == {"application/json"}, "of pods, more than the metadata is used"
    assert all(0 < int(one["limit"]) <= 500 for one in api.asked[:2])


async def test_watch_what_is_watched_is_listed_anew_now_and_then() -> None:
    api = Api([page("7"), page("9"), page("11")], [[event("ADDED", "a", "8")], []])
    heard = await told(api, CONFIG_MAP, Selection(), list_seconds=0.0)
    assert heard == [*LISTED, ("changed", "a"), *LISTED, *LISTED]


async def test_watch_after_a_gap_all_is_looked_at_anew() -> None:
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "metadata": {}}}
    api = Api([page("7"), page("30"), page("40")], [[event("ADDED", "a", "8"), gone], 410, []])
    assert await told(api, CONFIG_MAP, Selection()) == [*LISTED, ("changed", "a"), *LISTED, *LISTED]
    assert [one.get("resourceVersion") for one in api.asked] == [None, "7", None, "30", None, "40", "40"]


async def test_watch_that_is_swallowed_is_followed_by_a_listing_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A middlebox that accepts each watch and passes nothing on hides what happens no longer than a silence lasts."""
    monkeypatch.setattr(watch_module, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(watch_module, "FIRST_PAUSE", 0.01)
    api = Api([page("7"), page("30"), page("40")], [SWALLOWED, SWALLOWED, []])
    assert await told(api, CONFIG_MAP, Selection()) == [*LISTED] * 3
    assert [one.get("resourceVersion") for one in api.asked] == [None, "7", None, "30", None, "40", "40"]


async def test_watch_trouble_is_tried_again_from_where_it_was() -> None:
    api = Api([503, page("7")], [[event("ADDED", "a", "8")], 500, [event("DELETED", "a", "9")]])
    assert await told(api, CONFIG_MAP, Selection()) == [("begin", ""), *LISTED, ("changed", "a"), ("deleted", "a")]
    assert [one.get("resourceVersion") for one in api.asked] == [None, None, "7", "8", "8", "9"]


async def test_watch_answers_of_another_form_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "FIRST_PAUSE", 0.01)
    odd = [{"object": None}]
    api = Api([{}, [], "well", page("7")], [odd, [{"type": "ADDED", "object": 7}], [event("ADDED", "a", "8")], []])
    assert await told(api, CONFIG_MAP, Selection()) == [("begin", "")] * 3 + [*LISTED, ("changed", "a")]


@pytest.mark.parametrize(("code", "known"), [(403, True), (404, True), (401, False), (429, False), (503, False)])
async def test_watch_only_a_refusal_that_stands_lets_others_begin_without_a_listing(code: int, known: bool) -> None:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(code)), base_url="http://api")
    ended: list[bool] = []
    receiver = Receiver(*[lambda _: None] * 2, lambda: None, lambda _: None, lambda: ended.append(True))
    watch = Watch(http, POD, "n", Selection(), receiver)
    with pytest.raises(Retryable):
        await watch._list()
    assert watch.answered.is_set() == known
    assert not ended, "what a refused listing does not have is not taken for gone: passes see that it never ended"


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_watch_lines_end_at_line_feeds_alone() -> None:
    text = json.dumps({"a": "one\u0085two\u2028three"}, ensure_ascii=False).encode()
    parts = [text[:9], text[9:] + b"\n" + text, b"\n\n", text]
    assert [line async for line in lines(chunks(*parts))] == [text, text]
    with pytest.raises(Retryable, match="more than 5 bytes"):
        [line async for line in lines(chunks(b"123", b"456"), most=5)]


def test_watch_what_is_ours_or_referred_to_is_watched() -> None:
    store = Store()
    workers = Workers(cast(Any, None), store)
    watches = Watches(httpx2.AsyncClient(), "*", store, workers, OptionalKinds(cast(Any, None), "*", store))._watches
    wanted = {kind for kind in KINDS if (kind.owned and not kind.optional) or kind in {SECRET, POD, VOICEASSIST}}
    assert {watch._kind for watch in watches} == wanted


async def test_watch_what_kopf_does_not_deliver_is_told() -> None:
    workers = Workers(cast(Any, None), Store())
    workers._by_uid["1"] = workers._by_uid["2"] = sleeper = cast(Any, Sleeper())

    def body(uid: str, version: str) -> dict[str, Any]:
        return {"metadata": {"uid": uid, "name": uid, "namespace": "n", "creationTimestamp": "t", "resourceVersion": version}}

    def overdue() -> bool:
        return workers.overdue_seconds(time.monotonic() + 100) > 90

    assert not overdue()
    workers.object_announced(body("1", "7"))
    assert overdue()
    workers.object_changed(body("1", "7"))
    assert not overdue()
    workers.object_changed(body("1", "8"))  # kopf was faster
    workers.object_announced(body("1", "8"))
    assert not overdue()
    assert sleeper.woken == [False, False], "what kopf brings is news; its announcement wakes nobody"
    workers.object_announced(body("1", "9"))
    workers.object_changed(body("2", "9"))
    assert overdue(), "another object's change pays nothing"
    workers.object_gone("1")
    assert not overdue()


async def test_watch_what_kopf_does_not_deliver_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "OVERDUE_SECONDS", 0.01)
    workers = Workers(cast(Any, None), Store())
    workers._by_uid["1"] = sleeper = cast(Any, Sleeper())
    workers.object_announced({"metadata": {"uid": "1", "resourceVersion": "7"}})
    assert sleeper.woken == [], "kopf brings it, as a rule"
    async with asyncio.timeout(60):
        while not sleeper.woken:
            await asyncio.sleep(0.01)
    assert sleeper.woken == [True]
    workers.objects_are({"2"})
    assert sleeper.woken == [True, True], "not in a listing: whether it is gone, the API server says"


async def test_watch_a_cluster_that_was_put_back_to_an_earlier_state_is_read() -> None:
    store = Store()
    workers = Workers(cast(Any, None), store)
    workers._by_uid["1"] = sleeper = cast(Any, Sleeper())

    def body(version: str) -> dict[str, Any]:
        return {"metadata": {"uid": "1", "name": "1", "namespace": "n", "creationTimestamp": "t", "resourceVersion": version}}

    workers.object_changed(body("900"))
    store.take(body("901"), VOICEASSIST)  # a write of ours
    workers.object_changed(body("900"))
    workers.object_changed(body("901"))
    workers.object_listed(body("901"))
    assert True not in sleeper.woken, "kopf is late now and then"
    workers.object_changed(body("500"))
    assert sleeper.woken.pop() is True, "but never goes back"
    workers.object_listed(body("500"))
    assert sleeper.woken.pop() is True


class Ending:
    """A reconciler that ends when it is told to."""

    def __init__(self, uid: str, name: str, namespace: str, _: object) -> None:
        self.uid, self.name, self.namespace = uid, name, namespace
        self.gone, self.woken = asyncio.Event(), 0

    async def run(self) -> None:
        await self.gone.wait()

    def wake(self, *, read: bool = False) -> None:
        self.woken += 1


async def test_watch_an_object_that_ended_claims_nothing() -> None:
    workers = Workers(cast(Any, Ending), Store())
    workers.begin()
    for uid in ("1", "2"):
        metadata = {"uid": uid, "name": uid, "namespace": "n", "creationTimestamp": f"t{uid}", "resourceVersion": uid}
        workers.object_changed({"metadata": metadata, "spec": {"host": "h"}})
    first, second = (cast(Any, workers._by_uid[uid]) for uid in ("1", "2"))
    assert workers._claims.conflicting("2") == "n/1"
    first.gone.set()  # by a read: kopf has not told of the deletion, and perhaps never will
    async with asyncio.timeout(60):
        while workers.count > 1:
            await asyncio.sleep(0.01)
    assert (workers._claims.conflicting("2"), second.woken) == ("", 1)
    workers.object_announced({"metadata": {"uid": "1", "resourceVersion": "1"}})
    assert workers.overdue_seconds(time.monotonic() + 100) == 0, "it is still there for another's finalizer, and kopf has brought that"
    workers.objects_are({"2"})
    assert workers._delivered == {"2": "2"}
    workers.object_gone("2")
    assert workers._delivered == {}
    await workers.close()


class Sleeper:
    def __init__(self) -> None:
        self.woken: list[bool] = []

    def wake(self, *, read: bool = False) -> None:
        self.woken.append(read)
