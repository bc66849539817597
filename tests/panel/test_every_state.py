"""Every state: axe finds nothing, it fits into 320 pixels in both languages, and stands still if it is asked to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from voiceassist_demo.flex.preparing import PLUGIN

from .rig import Panel

STATES = re.findall(r"^  '?([a-z-]+)'?: \(\) =>", (PLUGIN / "gallery/states.ts").read_text(), re.MULTILINE)
AXE = """async () => {
  // at rest: words that have just come are fainter for a sixth of a second, and longer on a busy machine
  const ends = (one) => Number.isFinite(one.effect.getComputedTiming().endTime)
  await Promise.all(document.getAnimations().filter(ends).map((one) => one.finished.catch(() => {})))
  return (await axe.run('.call', {rules: {'landmark-one-main': {enabled: false}}})).violations
}"""
TOO_WIDE = """() => [...document.querySelectorAll('[data-voice-assist] *')]
  .filter((e) => !e.closest('.va-unseen') && e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.outerHTML.slice(0, 120))"""
CUT = """() => [...document.querySelectorAll('[data-voice-assist] :is(button, h2, h3, p, .va-badge, .va-state-name)')]
  .filter((e) => !e.closest('.va-unseen') && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map((e) => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def shared(browser: Browser, page_file: Path) -> Iterator[Panel]:
    """One page for all states."""
    made = Panel(browser, page_file)
    yield made
    made.close()


def test_all_states_are_known(shared: Panel) -> None:
    """The names read from the source are those that the gallery has."""
    shared.open("listening")
    assert shared.run("(g) => Object.keys(g.states.STATES)") == STATES


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(shared: Panel, axe: str, state: str, dark: bool) -> None:
    """No barrier that axe knows, at rest and with an older card's buttons shown."""
    page = shared.open(state, dark=dark).page
    page.evaluate(axe)
    assert page.evaluate(AXE) == []
    if shared.cards.count() > 1:
        shared.cards.nth(1).hover()
        assert page.evaluate(AXE) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_in_what_opens(shared: Panel, axe: str, dark: bool) -> None:
    """The same while a text is edited and with the list of keys open."""
    page = shared.open("rich", dark=dark).page
    page.evaluate(axe)
    shared.of("keys").click()
    shared.of("edit").first.click()
    assert page.evaluate(AXE) == []


def test_axe_would_find_something(shared: Panel, axe: str) -> None:
    """A button without a name and words too pale to read are seen."""
    page = shared.open("listening").page
    page.evaluate(axe)
    page.evaluate("document.querySelector('[data-testid=voice-assist-edit]').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('.va-answer').style.color = '#ccc'")
    assert {found["id"] for found in page.evaluate(AXE)} == {"button-name", "color-contrast"}


@pytest.mark.parametrize("state", STATES)
def test_fits_into_320_pixels_in_both_languages(shared: Panel, state: str) -> None:
    """Nothing is wider than the panel, no words are cut off, and the state's name is seen at once, which is another in each language."""
    names = []
    for language in ("en", "de"):
        shared.open(state, language=language)
        if shared.cards.count() > 1:
            shared.cards.nth(1).hover()
        assert (language, shared.page.evaluate(TOO_WIDE)) == (language, [])
        assert (language, shared.page.evaluate(CUT)) == (language, [])
        expect(shared.of("state")).to_be_in_viewport()
        names.append(shared.of("state").inner_text())
        assert shared.of("panel").get_attribute("lang") == language
    assert names[0] and names[0] != names[1]


def test_unknown_languages_are_english(shared: Panel) -> None:
    """A tag with a region is read by its language; a language without texts gets English, dates included."""
    expect(shared.open("listening", language="de-AT").of("state")).to_have_text("Hört zu")
    expect(shared.open("listening", language="pt-BR").of("state")).to_have_text("Listening")
    assert shared.of("panel").get_attribute("lang") == "en"


def test_stands_still_when_asked_to(browser: Browser, page_file: Path) -> None:
    """With reduced motion nothing is animated; without, signs of listening and of writing are."""
    running = "() => document.getAnimations().filter((a) => a.effect.target.closest('[data-voice-assist]')).length"
    for reduced, moves in (("reduce", False), ("no-preference", True)):
        panel = Panel(browser, page_file, reduced_motion=reduced)
        for state in ("draft", "starting", "reconnecting-model"):
            panel.open(state)
            assert (panel.page.evaluate(running) > 0) == moves, (state, reduced)
        panel.close()
