"""Insert, into rich-text editors that keep a model of their own: Lexical, which Flex UI brings along, and Quill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

EDITORS = ("lexical", "quill")


@pytest.fixture
def page(browser: Browser, page_file: Path) -> Iterator[Page]:
    """Both editors, a button, and the plugin's hands; nothing may be thrown or printed."""
    made = browser.new_page()
    said: list[str] = []
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    made.goto((page_file.parent / "editors.html").as_uri())
    yield made
    made.close()
    assert said == []


def field(page: Page, editor: str) -> str:
    """The selector of an editor's own field."""
    return {"lexical": "#lexical", "quill": "#quill .ql-editor"}[editor]


def text(page: Page, editor: str) -> str:
    """What the editor's model has."""
    return str(page.evaluate(f"editors.{editor}()"))


@pytest.mark.parametrize("editor", EDITORS)
def test_an_answer_goes_to_the_caret(page: Page, editor: str) -> None:
    """Into the model, where the agent typed last; the focus stays where it is; typing and undoing go on from there."""
    page.locator(field(page, editor)).click()
    page.keyboard.type("Said: . Bye.")
    for _ in range(len(". Bye.")):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("getSelection().anchorOffset === 'Said: '.length")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")  # editors hear of the caret later
    page.locator("#elsewhere button").click()
    assert page.evaluate("editors.insert('We deliver it tomorrow')") == "inserted"
    assert text(page, editor) == "Said: We deliver it tomorrow. Bye."
    assert page.evaluate("document.activeElement.textContent") == "Insert"
    page.locator(field(page, editor)).focus()
    page.keyboard.type(" before noon")
    assert text(page, editor) == "Said: We deliver it tomorrow before noon. Bye."


@pytest.mark.parametrize("editor", EDITORS)
def test_an_answer_takes_the_place_of_what_is_selected(page: Page, editor: str) -> None:
    """As typing does."""
    page.locator(field(page, editor)).click()
    page.keyboard.type("Old words")
    page.keyboard.press("Control+a")
    assert page.evaluate("editors.insert('New words')") == "inserted"
    assert text(page, editor) == "New words"


@pytest.mark.parametrize("editor", EDITORS)
def test_an_answer_of_two_lines(page: Page, editor: str) -> None:
    """Both arrive, in their order."""
    page.locator(field(page, editor)).click()
    assert page.evaluate("editors.insert('One\\nTwo')") == "inserted"
    assert text(page, editor).split() == ["One", "Two"]
