"""How every state looks and reads: axe finds nothing, 320 px are enough, Flex's light and dark; pictures where $VOICEASSIST_SHOTS says."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from voiceassist_demo.stage import Stage

from .packages import axe_script
from .rig import Desk, Relayed, control, faults, model_faults, sockets

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

AXE = """async () => {
  const found = await axe.run(document.querySelector('[data-testid=voice-assist-panel]'), {resultTypes: ['violations']});
  return found.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? ''))]);
}"""
WIDER = """(panel) => panel.scrollWidth > panel.clientWidth + 1
  || [...panel.querySelectorAll('*')].some((one) => one.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1)"""
SHOTS = os.environ.get("VOICEASSIST_SHOTS")
Scene = Callable[[Desk, Stage, Path], Awaitable[None]]

LONG = "I am sorry about the delay. Your parcel reached our depot on Tuesday; we can deliver it tomorrow before noon, free of charge."


async def off(desk: Desk, stage: Stage, quiet: Path) -> None:
    await desk.take(quiet)


async def starting(desk: Desk, stage: Stage, quiet: Path) -> None:
    await desk.take(quiet)
    await faults(stage, {"kind": "hold", "path": "/Streams.json"})
    await desk.start_button.click()
    await desk.is_in("starting")


async def listening(desk: Desk, stage: Stage, quiet: Path) -> None:
    await desk.assisted(quiet)


async def _listed(desk: Desk, stage: Stage, quiet: Path) -> Relayed:
    relay = Relayed(stage, await desk.assisted(quiet))
    sources = [{"title": "Delivery times and compensation", "url": "https://example.com/delivery"}]
    await relay.suggestion("May I send it back without the original box?", "Yes, within 30 days.", redactions=["card number"])
    await relay.suggestion("What does it cost?", "Nothing.", kind="warning")
    await relay.suggestion("Where is the parcel that was due on Monday?", LONG, sources=sources)
    await expect(desk.cards).to_have_count(3)
    return relay


async def suggestions(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)


async def draft(desk: Desk, stage: Stage, quiet: Path) -> None:
    relay = await _listed(desk, stage, quiet)
    for part in range(1, 4):
        await relay.draft(part, LONG[: 30 * part])
    await expect(desk.cards).to_have_count(4)


async def transcript(desk: Desk, stage: Stage, quiet: Path) -> None:
    relay = await _listed(desk, stage, quiet)
    words = (("agent", "Northline Parcels, good morning."), ("customer", "My parcel was due on Monday, and it still has not arrived."))
    for number, (track, text) in enumerate(words * 4):
        more = {"id": f"w{number}", "revision": "0123456789", "track": track, "part": 1, "text": text, "final": number != 7}
        await relay.message(type="transcript", **more)
    await desk.of("tab-transcript").click()
    await expect(desk.of("transcript").get_by_role("listitem")).to_have_count(8)


async def paused(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)
    await desk.of("pause").click()
    await desk.is_in("paused")


async def still_sent(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)
    await faults(stage, {"kind": "5xx", "path": "/sync/v1/.*/Documents/"})
    await desk.of("pause").click()
    await expect(desk.of("alert")).to_be_visible(timeout=40_000)


async def reconnecting_page(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)
    await faults(stage, {"kind": "5xx", "path": "/tsock/init", "transport": True})
    await sockets(stage, "cut")
    await desk.is_in("reconnecting")


async def reconnecting_model(desk: Desk, stage: Stage, quiet: Path) -> None:
    relay = await _listed(desk, stage, quiet)
    await relay.status("reconnecting", "ModelUnreachable", "The model does not answer; trying again.")
    await desk.is_in("reconnecting")


async def moved(desk: Desk, stage: Stage, quiet: Path) -> None:
    relay = await _listed(desk, stage, quiet)
    await faults(stage, {"kind": "hold", "path": "/Streams.json"})
    await relay.status("lost", "RelayStopping", "The relay stops; the call goes on elsewhere.")
    await desk.is_in("moved")


async def failed(desk: Desk, stage: Stage, quiet: Path) -> None:
    await desk.take(quiet)
    await model_faults(stage, {"kind": "unauthorized"})
    await desk.start_button.click()
    await desk.is_in("failed", 40)


async def failed_later(desk: Desk, stage: Stage, quiet: Path) -> None:
    relay = await _listed(desk, stage, quiet)
    await relay.status("failed", "ModelQuota", "The model's quota is used up.")
    await desk.is_in("failed")


async def not_configured(desk: Desk, stage: Stage, quiet: Path) -> None:
    await stage.configure_flex({})
    await desk.reload()
    await desk.take(quiet)
    await desk.is_in("notConfigured")


async def why_not_helpful(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)
    await desk.cards.first.get_by_test_id("voice-assist-notHelpful").click()
    await expect(desk.of("reasons")).to_be_visible()


async def editing(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)
    await desk.cards.first.get_by_test_id("voice-assist-edit").click()
    await expect(desk.cards.first.locator("textarea")).to_be_visible()


async def keys(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)
    await desk.of("keys").click()


async def ended(desk: Desk, stage: Stage, quiet: Path) -> None:
    await _listed(desk, stage, quiet)
    await control(stage, "POST", f"calls/{desk.calls[-1]['callSid']}/complete")
    await desk.is_in("off")


SCENES: tuple[Scene, ...] = (
    *(off, starting, listening, suggestions, draft, transcript, paused, still_sent, reconnecting_page, reconnecting_model, moved),
    *(failed, failed_later, why_not_helpful, editing, keys, ended, not_configured),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def looked_at(stage: Stage, browser: Browser) -> AsyncIterator[Desk]:
    """A Flex whose window changes its size; motion is reduced, as some people ask for."""
    desk = await Desk.open(stage, browser, "looks@example.com", reduced_motion="reduce")
    yield desk
    await desk.context.close()


async def theme(desk: Desk, light: bool) -> None:
    """Flex's own light or dark."""
    await desk.page.evaluate("(isLight) => Twilio.Flex.Manager.getInstance().updateConfig({theme: {isLight}})", light)


async def widen(desk: Desk, pixels: int) -> None:
    """Makes the window so wide that the panel is."""
    for _ in range(3):
        box = await desk.of("panel").bounding_box()
        size = desk.page.viewport_size
        assert box is not None and size is not None
        if abs(box["width"] - pixels) < 1:
            return
        await desk.page.set_viewport_size({"width": round(size["width"] + 2 * (pixels - box["width"])), "height": 900})
        await desk.page.wait_for_timeout(100)
    box = await desk.of("panel").bounding_box()
    assert box is not None and abs(box["width"] - pixels) < 2, box


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_every_state(scene: Scene, looked_at: Desk, stage: Stage, quiet: Path) -> None:
    """At 320 and 480 px, light and dark: no barrier, nothing beyond its edge, nothing that moves."""
    desk, wrong = looked_at, dict[str, Any]()
    try:
        await scene(desk, stage, quiet)
        await desk.page.evaluate(await axe_script())
        for light in (True, False):
            await theme(desk, light)
            for pixels in (320, 480):
                await widen(desk, pixels)
                name = f"{scene.__name__}-{pixels}-{'light' if light else 'dark'}"
                if found := await desk.page.evaluate(AXE):
                    wrong[f"axe, {name}"] = found
                if await desk.of("panel").evaluate(WIDER):
                    wrong[f"beyond its edge, {name}"] = True
                if SHOTS:
                    await desk.page.locator(".Twilio-CallCanvas").first.screenshot(path=Path(SHOTS) / f"{name}.png")
        moving = (
            "(panel) => document.getAnimations().filter((one) => panel.contains(one.effect?.target) && one.playState === 'running').length"
        )
        if await desk.of("panel").evaluate(moving):
            wrong["moves"] = True
    finally:
        await theme(desk, True)
        await control(stage, "POST", "faults/release")
        await faults(stage)
        await model_faults(stage)
        await desk.clear()
        if scene is not_configured:
            await stage.configure_flex()
            await desk.reload()
    assert not wrong, json.dumps(wrong, indent=1)


async def test_german(stage: Stage, browser: Browser, quiet: Path) -> None:
    """The second language, for who has it in Flex."""
    desk = await Desk.open(stage, browser, "deutsch@example.com", locale="de-DE")
    try:
        known = "Object.defineProperty(Twilio.Flex.Manager.getInstance(), 'localization', {get: () => ({localeTag: 'de-DE'})})"
        await desk.page.evaluate(known)
        call = await desk.assisted(quiet)
        await expect(desk.of("state")).to_have_text("Hört zu")
        await expect(desk.panel(call)).to_have_attribute("lang", "de-DE")
        await desk.clear()
    finally:
        await desk.context.close()
