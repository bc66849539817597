"""How every state looks and reads: axe finds nothing, 320 px are enough, Flex's light and dark; pictures where $VOICEASSIST_SHOTS says.

A test goes through the states that one call can be in, one after the other, looks at each, and tells of all at its end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from voiceassist_demo.stage import HOST, Stage

from .desks import Desks
from .looking import look
from .rig import Desk, Relayed, break_panel, control, ended, faults, mend_panel, model_faults

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

LONG = "I am sorry about the delay. Your parcel reached our depot on Tuesday; we can deliver it tomorrow before noon, free of charge."


@pytest_asyncio.fixture(loop_scope="session")
async def looked_at(desks: Desks, stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A Flex whose window changes its size; motion is reduced, as some people ask for."""
    async with desks.lent(request.node, "looks", reduced_motion="reduce") as lent:
        yield lent


async def listed(stage: Stage, desk: Desk, call: dict[str, Any]) -> Relayed:
    """Three suggestions with everything that one can have."""
    relay = Relayed(stage, call)
    sources = [{"title": "Delivery times and compensation", "url": "https://example.com/delivery"}]
    await relay.suggestion("May I send it back without the original box?", "Yes, within 30 days.", redactions=["card number"])
    await relay.suggestion("What does it cost?", "Nothing.", kind="warning")
    await relay.suggestion("Where is the parcel that was due on Monday?", LONG, sources=sources)
    await expect(desk.cards).to_have_count(3)
    return relay


def told(wrong: dict[str, Any]) -> str:
    return json.dumps(wrong, indent=1)


async def test_a_call_in_which_all_is_well(looked_at: Desk, stage: Stage, quiet: Path) -> None:
    """Off, starting, listening, suggestions, a verdict's reasons, editing, the keys, the transcript, a draft, paused, ended."""
    desk = looked_at
    call = await desk.take(quiet)
    wrong = await look(desk, "off")
    await faults(stage, {"kind": "hold", "path": "/Streams.json"})
    await desk.start_button.click()
    await desk.is_in("starting")
    wrong |= await look(desk, "starting")
    await faults(stage)
    await control(stage, "POST", "faults/release")
    await desk.is_in("listening")
    wrong |= await look(desk, "listening")
    relay = await listed(stage, desk, call)
    wrong |= await look(desk, "suggestions")

    first = desk.cards.first
    await first.get_by_test_id("voice-assist-notHelpful").click()
    await expect(desk.of("reasons")).to_be_visible()
    wrong |= await look(desk, "why_not_helpful")
    await first.get_by_test_id("voice-assist-edit").click()
    await expect(first.locator("textarea")).to_be_visible()
    wrong |= await look(desk, "editing")
    await first.locator("textarea").press("Escape")
    await desk.of("keys").click()
    wrong |= await look(desk, "keys")
    await desk.of("keys").click()

    words = (("agent", "Northline Parcels, good morning."), ("customer", "My parcel was due on Monday, and it still has not arrived."))
    for number, (track, text) in enumerate(words * 4):
        more = {"id": f"w{number}", "revision": "0123456789", "track": track, "part": 1, "text": text, "final": number != 7}
        await relay.message(type="transcript", **more)
    await desk.of("tab-transcript").click()
    await expect(desk.of("transcript").get_by_role("listitem")).to_have_count(8)
    wrong |= await look(desk, "transcript")
    await desk.of("tab-suggestions").click()

    for part in range(1, 4):
        await relay.draft(part, LONG[: 30 * part])
    await expect(desk.cards).to_have_count(4)
    wrong |= await look(desk, "draft")
    await desk.of("pause").click()
    await desk.is_in("paused")
    wrong |= await look(desk, "paused")
    await ended(stage, call)
    await desk.is_in("off")
    wrong |= await look(desk, "ended")
    assert not wrong, told(wrong)


async def test_a_call_in_which_much_goes_wrong(looked_at: Desk, stage: Stage, quiet: Path) -> None:
    """A pause that failed, Sync lost, the model lost, a panel that broke, given up for good, another relay."""
    desk = looked_at
    relay = await listed(stage, desk, await desk.assisted(quiet))
    await faults(stage, {"kind": "5xx", "path": "/sync/v1/.*/Documents/"})
    await desk.of("pause").click()
    await expect(desk.of("alert")).to_be_visible()
    wrong = await look(desk, "still_sent")

    await faults(stage, {"kind": "5xx", "path": "/tsock/init", "transport": True})
    await desk.sockets("cut")
    await desk.is_in("reconnecting")
    wrong |= await look(desk, "reconnecting_page")
    await faults(stage)
    await desk.is_in("listening")

    await relay.status("live", "AudioFormat", "The model's service counts 25 % of the audio that it is sent.")
    await expect(desk.of("notice")).to_be_visible()
    wrong |= await look(desk, "hears_noise")
    await relay.status("reconnecting", "ModelUnreachable", "The model does not answer; trying again.")
    await desk.is_in("reconnecting")
    wrong |= await look(desk, "reconnecting_model")
    await break_panel(desk)
    await relay.suggestion("One more?")
    await expect(desk.of("crashed")).to_be_visible()
    wrong |= await look(desk, "crashed", "crashed")
    await mend_panel(desk)
    await desk.of("crashed").get_by_role("button").click()
    await expect(desk.cards).to_have_count(4)

    await relay.status("failed", "ModelQuota", "The model's quota is used up.")
    await desk.is_in("failed")
    wrong |= await look(desk, "failed_later")
    await faults(stage, {"kind": "hold", "path": "/Streams.json"})
    await relay.status("lost", "RelayStopping", "The relay stops; the call goes on elsewhere.")
    await desk.is_in("moved")
    wrong |= await look(desk, "moved_to_another_relay")
    assert not wrong, told(wrong)


async def test_a_call_whose_model_refuses(looked_at: Desk, stage: Stage, quiet: Path) -> None:
    """Failed at the start, with who must do what."""
    desk = looked_at
    await desk.take(quiet)
    await model_faults(stage, {"kind": "unauthorized"})
    try:
        await desk.start_button.click()
        await desk.is_in("failed")
        wrong = await look(desk, "failed")
    finally:
        await model_faults(stage)
    assert not wrong, told(wrong)


async def test_a_call_that_another_agent_has(looked_at: Desk, colleague: Desk, stage: Stage, quiet: Path) -> None:
    """The one who left is told."""
    desk = looked_at
    call = await desk.assisted(quiet)
    await listed(stage, desk, call)
    await control(stage, "POST", f"calls/{call['callSid']}/transfer", {"worker": colleague.worker["workerSid"], "status": "pending"})
    await colleague.accept()
    await colleague.start_button.click()
    await colleague.is_in("listening")
    await desk.is_in("moved")
    wrong = await look(desk, "moved_to_another_agent")
    await desk.clear()
    assert not wrong, told(wrong)


async def test_a_call_that_is_monitored(supervisor: Desk, desk: Desk, stage: Stage, quiet: Path) -> None:
    """The list without buttons that change anything."""
    call = await desk.assisted(quiet, attributes={"name": "Watched caller"})
    await listed(stage, desk, call)
    await supervisor.watch("Watched caller")
    await expect(supervisor.cards).to_have_count(3)
    wrong = await look(supervisor, "read_only", canvas="[data-testid=voice-assist-panel]", widths=())
    assert not wrong, told(wrong)


async def test_who_must_do_what_where_it_is_not_configured(looked_at: Desk, stage: Stage, quiet: Path) -> None:
    """No entry, none for the queue, an address that is none: who must do what; nothing is asked anywhere."""
    desk, wrong = looked_at, dict[str, Any]()
    cases = (
        ({}, "Flex knows no address of a VoiceAssist"),
        ({"functionsUrl": f"https://{HOST}", "queues": ["Billing"]}, "no VoiceAssist serves the queue"),
        ({"functionsUrl": f"http://{HOST}", "default": True}, "is no https address"),
    )
    try:
        for entry, words in cases:
            await stage.configure_flex(entry)
            await desk.reload()
            call = await desk.take(quiet)
            await desk.is_in("notConfigured")
            await expect(desk.panel(call)).to_contain_text(words)
            await expect(desk.of("start")).to_have_count(0)
            if not entry:
                wrong = await look(desk, "not_configured")
            await desk.clear()
    finally:
        await stage.configure_flex()
        await desk.reload()
    assert not wrong, told(wrong)


async def test_german(desks: Desks, stage: Stage, quiet: Path, request: pytest.FixtureRequest) -> None:
    """The second language, for who has it in Flex."""
    async with desks.lent(request.node, "deutsch", locale="de-DE") as desk:
        known = "Object.defineProperty(Twilio.Flex.Manager.getInstance(), 'localization', {get: () => ({localeTag: 'de-DE'})})"
        await desk.page.evaluate(known)
        call = await desk.assisted(quiet)
        await expect(desk.of("state")).to_have_text("Hört zu")
        await expect(desk.panel(call)).to_have_attribute("lang", "de-DE")
