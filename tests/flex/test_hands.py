"""What an agent does with a suggestion, by mouse and by keyboard, and what a screen reader says of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from voiceassist_demo.stage import Stage

from .rig import Desk, Relayed, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

HELD_MS = 200
"""Flex takes the same shortcut within 50 ms for a key that is held down."""
SAID = """() => {
  const regions = [...document.querySelectorAll('[data-testid=voice-assist-announcer]')];
  let last = regions.map((one) => one.textContent);
  window.said = [];
  const look = () => {
    const now = regions.map((one) => one.textContent);
    now.forEach((text, at) => { if (text && text !== last[at]) window.said.push(text.trim()); });
    last = now;
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
NOTES = """() => {
  document.querySelector('#notes')?.remove();
  const notes = document.createElement('textarea');
  notes.id = 'notes';
  notes.style = 'position: fixed; right: 10px; bottom: 10px; z-index: 9999';
  document.body.append(notes);
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def relay(desk: Desk, stage: Stage, quiet: Path) -> AsyncIterator[Relayed]:
    """A call with two suggestions, and a field for notes."""
    call = await desk.assisted(quiet)
    await desk.page.evaluate(NOTES)
    relay = Relayed(stage, call)
    await relay.suggestion("Older?", "An older answer.")
    await relay.suggestion("Newer?", "A newer answer.")
    await desk.shows("Newer?", "Older?")
    yield relay
    await desk.page.evaluate("document.querySelector('#notes')?.remove()")


async def feedback(stage: Stage) -> dict[str, float]:
    """What the relay has counted of agents' verdicts."""
    return {name: value for name, value in (await stage.metrics()).items() if name.startswith("feedback_total")}


async def test_copy_insert_and_dismiss(desk: Desk, relay: Relayed) -> None:
    """To the clipboard; into the field where notes are typed, at the caret; off the list and back."""
    page, newest = desk.page, desk.cards.first
    await newest.get_by_test_id("voice-assist-copy").click()
    assert await page.evaluate("navigator.clipboard.readText()") == "A newer answer."
    await expect(newest).to_contain_text("Copied")

    await page.locator("#notes").fill("Said:")
    await newest.get_by_test_id("voice-assist-insert").click()
    await expect(page.locator("#notes")).to_have_value("Said: A newer answer.")

    await desk.cards.nth(1).hover()
    await desk.cards.nth(1).get_by_test_id("voice-assist-dismiss").click()
    await desk.shows("Newer?")
    await desk.of("undismiss").click()
    await desk.shows("Newer?", "Older?")


async def test_helpful_and_not(desk: Desk, relay: Relayed, stage: Stage) -> None:
    """Each verdict reaches the relay; not helpful may have a reason; edited and used is one, too."""
    before = sum((await feedback(stage)).values())
    first = desk.cards.first
    await first.get_by_test_id("voice-assist-helpful").click()
    await expect(first.get_by_test_id("voice-assist-helpful")).to_have_attribute("aria-pressed", "true")
    await first.get_by_test_id("voice-assist-notHelpful").click()
    await first.get_by_test_id("voice-assist-reasons").get_by_role("button", name="Wrong").click()
    await expect(first).to_contain_text("Thank you")
    await expect(first.get_by_test_id("voice-assist-notHelpful")).to_have_attribute("aria-pressed", "true")
    await first.get_by_test_id("voice-assist-edit").click()
    box = first.locator("textarea")
    await box.fill("In my own words.")
    await first.get_by_role("button", name="Copy this").click()
    assert await desk.page.evaluate("navigator.clipboard.readText()") == "In my own words."
    await until(lambda: feedback(stage), lambda found: sum(found.values()) >= before + 3)
    counted = str(await feedback(stage))
    assert "own words" not in counted and "newer answer" not in counted


async def test_all_by_keyboard(desk: Desk, relay: Relayed) -> None:
    """Flex's own list of shortcuts has ours; they work from anywhere; within the list, arrows and letters do."""
    page = desk.page
    listed = await page.evaluate("JSON.stringify(Twilio.Flex.KeyboardShortcutManager.keyboardShortcuts ?? {})")
    assert "Voice assist" in listed, listed
    await page.evaluate("navigator.clipboard.writeText('')")
    await page.locator("#notes").focus()
    await page.keyboard.press("Control+Shift+2")
    await until(lambda: page.evaluate("navigator.clipboard.readText()"), lambda found: found == "A newer answer.")
    await page.keyboard.press("Control+Shift+3")
    await expect(page.locator("#notes")).to_have_value(re.compile("A newer answer"))
    assert await page.evaluate("document.activeElement.id") == "notes", "focus stays where the agent types"
    await page.keyboard.press("Control+Shift+9")
    await expect(desk.cards.first).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(desk.cards.nth(1)).to_be_focused()
    await page.keyboard.press("c")
    await until(lambda: page.evaluate("navigator.clipboard.readText()"), lambda found: found == "An older answer.")
    await page.keyboard.press("x")
    await desk.shows("Newer?")
    await expect(desk.cards.first).to_be_focused()
    await page.wait_for_timeout(HELD_MS)
    await page.keyboard.press("Control+Shift+9")
    await expect(page.locator("#notes")).to_be_focused()
    await page.keyboard.press("Control+Shift+8")
    await desk.is_in("paused")
    await expect(desk.of("resume")).to_be_visible()  # not while the pause is still being answered
    await page.wait_for_timeout(HELD_MS)
    await page.keyboard.press("Control+Shift+8")
    await desk.is_in("listening")
    await page.keyboard.press("Control+Shift+7")
    await desk.is_in("off")


async def test_a_new_answer_is_said_once(desk: Desk, relay: Relayed) -> None:
    """Drafts are not read out, the finished answer is, once; what was there before is not. The focus stays where it is."""
    page = desk.page
    await page.evaluate(SAID)
    await page.locator("#notes").focus()
    for part in range(1, 8):
        await relay.draft(part, "You can have " + "a long answer " * part)
    await relay.suggestion("What can I have?", "You can have a long answer.", id="g1-draft")
    await desk.shows("What can I have?", "Newer?", "Older?")
    await until(lambda: page.evaluate("window.said"), lambda found: len(found) == 1)
    await page.wait_for_timeout(1000)
    assert await page.evaluate("window.said") == ["New suggestion. What can I have? Answer: You can have a long answer."]
    assert await page.evaluate("document.activeElement.id") == "notes"
