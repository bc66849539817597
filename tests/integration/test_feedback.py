"""What agents report of suggestions: counted for what was published to them, once, whichever relay is told, while it is in Sync."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from integration.functions_rig import REVISION, Relay, Rig, rigged
from voiceassist_crds.messages import CallState, Suggestion
from voiceassist_crds.names import suggestion_key, suggestions_map
from voiceassist_relay.config.snapshot import Snapshot
from voiceassist_relay.sync.receipts import receipt
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.faults import FaultKind, FaultRule
from voiceassist_sim.twilio.sync_model import Kind, SyncObject

TTL = 3600
ITEMS = r"/Maps/[^/]+/Items"


async def started(rig: Rig, **arguments: Any) -> CreatedCall:
    call = rig.call(**arguments)
    assert (await rig.relays[0].stream("start", call))[0] == 200
    await rig.idle()
    return call


async def published(
    rig: Rig, call: CreatedCall, seq: int = 1, *, worker: str = "", tokens: tuple[str, ...] = (), **changes: Any
) -> Suggestion:
    """A suggestion in the call's Map as the relay with the audio writes it, for the worker in charge; `tokens`: its auth tokens."""
    sync = rig.relays[0].sync
    fields = {"id": f"g1-item_{seq}", "revision": REVISION, "seq": seq, "question": "?", "answer": "!", "latency_ms": 700}
    suggestion = Suggestion.model_validate({**fields, "at": int(time.time() * 1000), **changes})
    mark = receipt(call.call_sid, worker or call.worker_sid, suggestion, tokens or sync.auth_tokens)
    suggestion = suggestion.model_copy(update={"receipt": changes.get("receipt", mark)})
    await sync.create_item(suggestions_map(call.call_sid), suggestion_key(seq), suggestion.wire(), TTL)
    return suggestion


async def told(relay: Relay, call: CreatedCall, suggestion: Suggestion, verdict: str, **more: Any) -> int:
    """An agent's report; the status of its answer."""
    body = {"callSid": call.call_sid, "id": suggestion.id, "revision": suggestion.revision, "seq": suggestion.seq, "verdict": verdict}
    body = {name: value for name, value in (body | {"Token": call.flex_token} | more).items() if value is not None}
    status, answer, _ = await relay.request("POST", "/feedback", json=body)
    assert answer == {"accepted": True} if status == 200 else answer["error"]["code"] == "not_published", answer
    return status


def standing(rig: Rig, **labels: str) -> dict[str, float]:
    """The verdicts that stand: those of all relays, less those that were replaced."""
    revision = labels.get("revision", REVISION)
    sums = dict.fromkeys(("up", "down", "edited"), 0.0)
    for relay in rig.relays:
        for verdict in sums:
            sums[verdict] += relay.counted("feedback_total", revision=revision, verdict=verdict)
            sums[verdict] -= relay.counted("feedback_replaced_total", revision=revision, verdict=verdict)
    return {verdict: count for verdict, count in sums.items() if count}


def the_map(rig: Rig, call: CreatedCall) -> SyncObject:
    service = rig.twilio.sync.service(rig.service)
    return service.objects[service.names[(Kind.MAP, suggestions_map(call.call_sid))]]


# one verdict each


async def test_a_verdict_counts_once_however_often_it_is_given_and_at_whichever_relay() -> None:
    async with rigged(2) as rig:
        call = await started(rig)
        suggestion = await published(rig, call)
        for relay in (*rig.relays, *rig.relays):
            assert await told(relay, call, suggestion, "up") == 200
        assert standing(rig) == {"up": 1}
        assert sum(relay.counted("feedback_total", revision=REVISION, verdict="up") for relay in rig.relays) == 1


async def test_a_changed_verdict_moves_and_its_reason_with_it() -> None:
    async with rigged(2) as rig:
        (one, other), call = rig.relays, await started(rig)
        suggestion = await published(rig, call)

        def reasons() -> dict[str, float]:
            names = ("wrong", "too_late", "other")
            net = {
                name: sum(
                    r.counted("feedback_reasons_total", reason=name) - r.counted("feedback_reasons_replaced_total", reason=name)
                    for r in rig.relays
                )
                for name in names
            }
            return {name: count for name, count in net.items() if count}

        steps = [
            (one, "up", None, {"up": 1}, {}),
            (other, "down", None, {"down": 1}, {}),
            (one, "down", "wrong", {"down": 1}, {"wrong": 1}),
            (one, "down", None, {"down": 1}, {"wrong": 1}),
            (other, "down", "too_late", {"down": 1}, {"too_late": 1}),
            (other, "down", "of_a_later_plugin", {"down": 1}, {"other": 1}),
            (one, "edited", "wrong", {"edited": 1}, {}),
            (other, "up", None, {"up": 1}, {}),
        ]
        for relay, verdict, reason, verdicts, whys in steps:
            assert await told(relay, call, suggestion, verdict, reason=reason) == 200
            assert (standing(rig), reasons()) == (verdicts, whys), (verdict, reason)


async def test_each_suggestion_has_its_own_verdict_by_its_own_revision() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], await started(rig)
        first, second = await published(rig, call, 1), await published(rig, call, 2, revision="older1")
        assert [await told(relay, call, first, "up"), await told(relay, call, second, "down")] == [200, 200]
        assert (standing(rig), standing(rig, revision="other")) == ({"up": 1}, {"down": 1})


async def test_verdicts_at_two_relays_at_once_are_one() -> None:
    async with rigged(2) as rig:
        call = await started(rig)
        for seq in range(1, 6):
            suggestion = await published(rig, call, seq)
            both = [told(relay, call, suggestion, verdict) for relay, verdict in zip(rig.relays, ("up", "down"), strict=True)]
            assert await asyncio.gather(*both) == [200, 200]
        assert sum(standing(rig).values()) == 5


@pytest.mark.parametrize("kind", [FaultKind.STORED_THEN_500, FaultKind.SERVER_ERROR])
async def test_a_verdict_whose_writing_is_unclear_counts_once(kind: FaultKind) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], await started(rig)
        suggestion = await published(rig, call)
        for verdict, path in (("up", ITEMS + "$"), ("down", ITEMS + "/.+")):
            rig.twilio.set_faults(FaultRule(kind, path, method="POST", times=1))
            assert await told(relay, call, suggestion, verdict) == 200
            assert standing(rig) == {verdict: 1}


# a suggestion that was published, to this worker


@pytest.mark.parametrize("known", [True, False])
async def test_what_was_not_published_is_not_counted(known: bool) -> None:
    """`known`: the number is said, as plugins do since there is a receipt; those of version 0.1.0 do not."""
    async with rigged() as rig:
        relay, call, other = rig.relays[0], await started(rig), await started(rig)
        suggestion, others = await published(rig, call), await published(rig, other, id="g1-item_of_another_call")
        more = {} if known else {"seq": None}
        assert await told(relay, call, suggestion.model_copy(update={"id": "g1-made_up"}), "up", **more) == 403
        assert await told(relay, call, suggestion.model_copy(update={"revision": "made1up"}), "up", **more) == 403
        assert await told(relay, call, others, "up", **more) == 403, "of another call"
        assert await told(relay, other, suggestion, "up", callSid=call.call_sid, **more) == 403, "by another worker"
        assert await told(relay, rig.call(), suggestion, "up", **more) == 403, "in a call without assist"
        assert await told(relay, call, suggestion, "up", seq=2) == 403, "under another number"
        assert standing(rig) == {} and set(the_map(rig, call).items) == {"000001", "status"}
        assert await told(relay, call, suggestion, "up", **more) == 200


async def test_a_supervisor_who_reads_along_has_no_verdict() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], await started(rig)
        suggestion = await published(rig, call)
        watcher = rig.twilio.flex_token(rig.twilio.add_worker(roles=("supervisor",)).sid)
        assert (await relay.stream("start", call, Token=watcher))[1]["outcome"] == "watching"
        assert await told(relay, call, suggestion, "up", Token=watcher) == 403
        assert standing(rig) == {}


async def test_after_a_transfer_each_judges_what_came_in_their_time() -> None:
    async with rigged() as rig:
        relay, call, heir = rig.relays[0], await started(rig), rig.call()
        hers, his = await published(rig, call, 1), await published(rig, call, 2, worker=heir.worker_sid)
        about = {"callSid": call.call_sid}
        assert [await told(relay, call, hers, "up"), await told(relay, heir, hers, "down", **about)] == [200, 403]
        assert [await told(relay, call, his, "up"), await told(relay, heir, his, "down", **about)] == [403, 200]
        assert standing(rig) == {"up": 1, "down": 1}


async def test_an_item_that_somebody_else_made_is_no_suggestion() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], await started(rig)
        suggestion = await published(rig, call)
        the_map(rig, call).items["000001"].created_by = "mallory"
        assert await told(relay, call, suggestion, "up") == 403


# after the call, and while the auth token changes


async def test_after_the_end_of_the_call_for_as_long_as_it_is_in_sync() -> None:
    async with rigged(2) as rig:
        (one, other), call = rig.relays, await started(rig)
        first, second = await published(rig, call, 1), await published(rig, call, 2)
        assert await told(one, call, first, "up") == 200
        assert (await one.stream("stop", call))[0] == 200
        await rig.idle()
        for later, reports, status in ((TTL - 60, ("down", "up"), 200), (120, ("up", "down"), 403)):
            rig.clock.ahead += later
            token = rig.twilio.flex_token(call.worker_sid)
            assert [await told(other, call, one, said, Token=token) for one, said in zip((first, second), reports, strict=True)] == [
                status
            ] * 2
        assert standing(rig) == {"up": 1, "down": 1}


async def test_a_receipt_of_the_auth_token_that_is_about_to_go_counts() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], await started(rig)
        earlier, strange = await published(rig, call, 1), await published(rig, call, 2, tokens=("of another account",))
        former = await published(rig, call, 3, tokens=("former",))
        assert [await told(relay, call, one, "up") for one in (earlier, strange, former)] == [200, 403, 403]
        relay.snapshot = Snapshot(relay.snapshot.config, replace(relay.snapshot.secrets, auth_token_secondary="former"))
        assert await told(relay, call, former, "up") == 200


# relays of version 0.1.0 write no receipt


async def test_without_a_receipt_it_counts_for_the_worker_in_charge() -> None:
    async with rigged() as rig:
        relay, call, other = rig.relays[0], await started(rig), rig.call()
        suggestion = await published(rig, call, receipt=None)
        assert await told(relay, other, suggestion, "up", callSid=call.call_sid) == 403
        assert await told(relay, call, suggestion, "up") == 200
        assert relay.counted("other_version_total", what="suggestion_receipt") == 1
        assert standing(rig) == {"up": 1}


async def test_without_a_receipt_it_does_not_count_where_browsers_may_write() -> None:
    async with rigged() as rig:
        rig.twilio.sync.service(rig.service).acl_enabled = False
        relay, call = rig.relays[0], await started(rig)
        assert await told(relay, call, await published(rig, call, 1, receipt=None), "up") == 403
        assert await told(relay, call, await published(rig, call, 2), "up") == 200


async def test_a_call_that_a_newer_relay_works_on_is_left_alone() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], await started(rig)
        suggestion = await published(rig, call, receipt=None)
        rig.raw_document(call.call_sid).data |= {"state": "moving"}
        body = {"callSid": call.call_sid, "id": suggestion.id, "revision": REVISION, "verdict": "up", "Token": call.flex_token}
        status, answer, _ = await relay.request("POST", "/feedback", json=body)
        assert (status, answer["error"]["code"], "not counted" in answer["error"]["message"]) == (503, "newer_version", True)
        assert CallState.LIVE.value not in rig.raw_document(call.call_sid).data["state"]


# the paint


async def test_a_paint_is_observed_once_by_what_the_relay_wrote() -> None:
    """As a form of the plugin tells it; what the browser says of the moment and the latency does not count, and other orders neither."""
    async with rigged(2) as rig:
        call = await started(rig)
        suggestion = await published(rig, call, at=int(time.time() * 1000) - 300)
        about = {"callSid": call.call_sid, "id": suggestion.id, "revision": REVISION, "verdict": "painted", "Token": call.flex_token}
        made_up = {"at": str(suggestion.at - 50_000), "latencyMs": "9000", "agoMs": "100"}
        for relay in (*rig.relays, *rig.relays):
            assert (await relay.request("POST", "/feedback", data=about | made_up))[:2] == (200, {"accepted": True})
        assert sum(relay.counted("suggestion_painted_seconds_count") for relay in rig.relays) == 1
        assert 0.9 <= sum(relay.counted("suggestion_painted_seconds_sum") for relay in rig.relays) < 5.0
        assert await told(rig.relays[0], call, suggestion, "up") == 200
        assert await told(rig.relays[1], call, suggestion, "painted", agoMs=5) == 200
        assert sum(relay.counted("suggestion_painted_seconds_count") for relay in rig.relays) == 1
        assert standing(rig) == {"up": 1}


async def test_a_paint_that_cannot_be_is_not_observed_nor_one_of_nothing() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], await started(rig)
        asleep = await published(rig, call, 1, at=int(time.time() * 1000) - 3_600_000)
        assert await told(relay, call, asleep, "painted", agoMs=100) == 200
        assert await told(relay, call, asleep.model_copy(update={"id": "g1-made_up"}), "painted", agoMs=100) == 403
        assert relay.counted("suggestion_painted_seconds_count") == 0
