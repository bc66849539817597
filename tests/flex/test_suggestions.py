"""What the panel shows of what is in Sync: the Map is the truth, the Stream brings drafts; through cuts, closes, expiry and silence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from voiceassist_demo.stage import Stage

from .rig import Desk, Relayed, active_streams, control, ended, faults, requests, streams, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


async def test_a_draft_grows_and_is_replaced(desk: Desk, stage: Stage, quiet: Path) -> None:
    """The highest part wins, whatever comes late; the finished one takes its card; a withdrawn one goes; nothing jumps."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    await relay.suggestion("May I send it back?", "Within 30 days.")
    await desk.shows("May I send it back?")
    draft = desk.page.locator("[data-testid=voice-assist-suggestion][aria-busy]")
    await relay.draft(1, "We deliver")
    await expect(draft.locator("p")).to_have_text("We deliver")
    older = desk.cards.nth(1)
    before = await older.bounding_box()
    await relay.draft(3, "We deliver it tomorrow before noon")
    await relay.draft(2, "We deliver it")
    await expect(draft.locator("p")).to_have_text("We deliver it tomorrow before noon")
    await asyncio.sleep(0.3)
    assert await draft.locator("p").inner_text() == "We deliver it tomorrow before noon"
    assert await older.bounding_box() == before, "what is below must not move while a draft grows"
    await draft.evaluate("(one) => { window.card = one }")
    await relay.suggestion("When will it come?", "We deliver it tomorrow before noon, free of charge.", id="g1-draft")
    await desk.shows("When will it come?", "May I send it back?")
    await expect(draft).to_have_count(0)
    assert await desk.cards.first.evaluate("(one) => one === window.card"), "the same card"

    await relay.draft(1, "Perhaps", of="g1-other")
    await expect(draft).to_have_count(1)
    await relay.message(type="withdrawn", id="g1-other", revision="0123456789", reason="NotRelevant")
    await expect(draft).to_have_count(0)
    await desk.shows("When will it come?", "May I send it back?")


async def test_fields_that_are_there_are_shown_and_no_others(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Sources, kinds and redactions as the Map has them."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    await relay.suggestion("Plain?")
    more = {"sources": [{"title": "Returns", "url": "https://example.com/returns"}], "kind": "warning", "redactions": ["card number"]}
    await relay.suggestion("With all?", **more)
    await desk.shows("With all?", "Plain?")
    full, plain = desk.cards.nth(0), desk.cards.nth(1)
    await expect(full.get_by_test_id("voice-assist-sources").get_by_role("link")).to_have_attribute("href", "https://example.com/returns")
    await expect(full).to_contain_text("Warning")
    await expect(full.get_by_test_id("voice-assist-redactions")).to_contain_text("card number")
    for part in ("sources", "redactions"):
        await expect(plain.get_by_test_id(f"voice-assist-{part}")).to_have_count(0)


async def test_words_of_the_original_are_enough(desk: Desk, stage: Stage, quiet: Path) -> None:
    """A message with nothing but `transcript` becomes a suggestion, as the original plugin has it."""
    call = await desk.assisted(quiet)
    await Relayed(stage, call).message(transcript='{"question": "Is it insured?", "answer": "Up to 500 euros."}')
    await desk.shows("Is it insured?")


async def test_after_a_cut_the_map_is_the_truth(desk: Desk, stage: Stage, quiet: Path) -> None:
    """What was stored while the page was away is there after it, in order, none twice; drafts of that time are gone."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    await relay.suggestion("One?")
    await relay.draft(1, "A draft whose end is never heard of")
    await expect(desk.cards).to_have_count(2)
    await faults(stage, {"kind": "5xx", "path": "/tsock/init", "transport": True})
    assert await desk.sockets("cut") == 1
    await desk.is_in("reconnecting")
    await relay.suggestion("Two?", id="g1-draft")
    await relay.suggestion("Three?")
    assert await desk.questions() == ["One?"]
    await faults(stage)
    await desk.shows("Three?", "Two?", "One?")
    await desk.is_in("listening")
    await expect(desk.cards).to_have_count(3)
    await relay.suggestion("Four?")
    await desk.shows("Four?", "Three?", "Two?", "One?")


@pytest.mark.parametrize("close", [308, 401, 406, 410, 417])
async def test_after_a_close_by_the_server(desk: Desk, stage: Stage, quiet: Path, close: int) -> None:
    """Sent away to another server (308), token not accepted (401), expired (410), and for good (406, 417): it comes back by itself."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    await relay.suggestion("One?")
    await desk.shows("One?")
    assert await desk.sockets("leave", code=close) == 1
    await relay.suggestion("Two?")
    await desk.shows("Two?", "One?")
    await relay.suggestion("Three?")
    await desk.shows("Three?", "Two?", "One?")
    await desk.is_in("listening")


async def test_the_token_is_renewed_before_it_expires(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Told that it is about to: one request for a new one, and nothing is seen of it."""
    call = await desk.assisted(quiet)
    before = await requests(stage, "/token")
    assert await desk.sockets("about-to-expire") == 1
    await until(lambda: requests(stage, "/token"), lambda found: found == before + 1)
    await Relayed(stage, call).suggestion("One?")
    await desk.shows("One?")
    assert await desk.state() == "listening"


async def test_a_dead_socket_is_noticed(desk: Desk, stage: Stage, quiet: Path) -> None:
    """It is open and says nothing: the client would never notice. Some 30 s later everything is there."""
    call = await desk.assisted(quiet)
    assert await desk.sockets("deafen") >= 1
    await Relayed(stage, call).suggestion("One?")
    await desk.shows("One?")
    await desk.is_in("listening")  # on a busy machine the next question may come late, too


async def test_a_refused_subscription_is_opened_again(desk: Desk, stage: Stage, quiet: Path) -> None:
    """The permission follows the answer of /stream: what was refused before it must not stay refused."""
    await faults(stage, {"kind": "latency", "path": "/Permissions/", "seconds": 4})
    call = await desk.assisted(quiet)
    await Relayed(stage, call).suggestion("One?")
    await desk.shows("One?")


async def test_sync_says_429(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Opening is repeated, with waits."""
    await faults(stage, {"kind": "429", "path": "/cds/v3/", "times": 4})
    call = await desk.assisted(quiet)
    await Relayed(stage, call).suggestion("One?")
    await desk.shows("One?")


async def test_late_doubled_and_lost_notifications(desk: Desk, stage: Stage, quiet: Path) -> None:
    """None is shown twice, and the order is the Map's."""
    call = await desk.assisted(quiet)
    rules = [{"kind": "delay", "event": "map_item_added", "times": 1, "seconds": 1.5}, {"kind": "double", "event": "map_item_added"}]
    await control(stage, "PUT", "browser/notification-faults", {"rules": rules})
    relay = Relayed(stage, call)
    for question in ("One?", "Two?", "Three?"):
        await relay.suggestion(question)
    await desk.shows("Three?", "Two?", "One?")
    await asyncio.sleep(2)
    assert await desk.questions() == ["Three?", "Two?", "One?"]


async def test_a_reload_in_a_call(desk: Desk, stage: Stage, quiet: Path) -> None:
    """The task is found in Flex's store; the same list, listening, and one stream at Twilio."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    for question in ("One?", "Two?"):
        await relay.suggestion(question)
    await desk.shows("Two?", "One?")
    await desk.reload()
    await desk.select(call)
    await desk.is_in("listening")
    await desk.shows("Two?", "One?")
    await relay.suggestion("Three?")
    await desk.shows("Three?", "Two?", "One?")
    assert len(await streams(stage, call)) == 1


async def test_a_second_tab(desk: Desk, stage: Stage, quiet: Path) -> None:
    """The same list in both, started once; what is stopped in one is off in the other."""
    other = await desk.second_tab()
    try:
        call = await desk.take(quiet)
        await other.select(call)
        await desk.start_button.click()
        await desk.is_in("listening")
        await other.is_in("listening")
        relay = Relayed(stage, call)
        await relay.suggestion("One?")
        await desk.shows("One?")
        await other.shows("One?")
        await other.of("stop").click()
        await desk.is_in("off")
        assert len(await streams(stage, call)) == 1
        assert other.said == []
    finally:
        await other.page.close()


async def test_two_calls(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Each has its own state and list; both go on while the other is looked at."""
    first = await desk.assisted(quiet)
    relay = Relayed(stage, first)
    await relay.suggestion("First?")
    await desk.shows("First?")
    second = await desk.take(quiet)
    await desk.is_in("off")
    assert await desk.questions() == []
    await desk.start_button.click()
    await desk.is_in("listening")
    await Relayed(stage, second).suggestion("Second?")
    await relay.suggestion("First again?")
    await desk.shows("Second?")
    await desk.select(first)
    await desk.shows("First again?", "First?")
    await ended(stage, second)
    assert await desk.state() == "listening"
    await desk.select(second)
    await desk.is_in("off")
    await desk.shows("Second?")


async def test_a_transfer(desk: Desk, colleague: Desk, stage: Stage, quiet: Path) -> None:
    """By clicks in Flex's directory: the next agent has the same list, no gap, none twice; the first one is told who has the call."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    await relay.suggestion("One?")
    await desk.shows("One?")
    await desk.transfer(colleague)
    await colleague.accept()
    await expect(colleague.panel(call)).to_be_visible()
    await colleague.start_button.click()
    await colleague.is_in("listening")
    await colleague.shows("One?")
    await relay.suggestion("Two?")
    await colleague.shows("Two?", "One?")
    await desk.is_in("moved")
    assert await desk.questions() == ["One?"]
    assert await active_streams(stage, call) == 1
    await desk.clear()


async def test_two_agents_in_one_conference(desk: Desk, colleague: Desk, stage: Stage, quiet: Path) -> None:
    """Both have the list, from one stream; who leaves is told that the other has the call, for whom it goes on."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    await relay.suggestion("One?")
    await desk.shows("One?")
    await desk.invite(colleague, call)
    await colleague.accept()
    await expect(colleague.panel(call)).to_be_visible()
    await colleague.start_button.click()
    for one in (desk, colleague):
        await one.is_in("listening")
        await one.shows("One?")
    await relay.suggestion("Two?")
    for one in (desk, colleague):
        await one.shows("Two?", "One?")
    assert len(await streams(stage, call)) == 1
    await desk.page.get_by_role("button", name="Leave").first.click()
    await desk.is_in("moved")
    await relay.suggestion("Three?")
    await colleague.shows("Three?", "Two?", "One?")
    assert await desk.questions() == ["Two?", "One?"]
    assert (await colleague.state(), await active_streams(stage, call)) == ("listening", 1)
    await desk.clear()
