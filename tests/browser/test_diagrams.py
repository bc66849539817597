"""The diagrams of docs/ are drawn by mermaid itself, in a browser, and show every name that they speak of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page

from .mermaid import script

ROOT = Path(__file__).parents[2]
DIAGRAMS = {
    f"{path.relative_to(ROOT)}: {title}": text
    for path in sorted(ROOT.glob("docs/**/*.md"))
    for title, text in re.findall(r"^#+ ([^\n]+)\n(?:(?!^#).)*?^```mermaid\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
}


@pytest.fixture(scope="module")
def drawing(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.add_script_tag(path=script())
    page.evaluate("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
    yield page
    page.close()


def draw(page: Page, text: str) -> str:
    """The diagram as SVG. Raises Error with mermaid's own words if it is none."""
    drawn: str = page.evaluate("async text => (await mermaid.render('diagram', text)).svg", text)
    return drawn


def test_there_is_one_for_a_call_a_change_of_prompt_and_a_drain() -> None:
    titles = {title.partition(": ")[2] for title in DIAGRAMS}
    assert titles >= {"A call", "A change of prompt", "A drain"}
    fences = sum(path.read_text().count("```mermaid") for path in ROOT.glob("docs/**/*.md"))
    assert fences == len(DIAGRAMS), "a diagram has no title of its own"


@pytest.mark.parametrize("title", DIAGRAMS)
def test_it_is_drawn(drawing: Page, title: str) -> None:
    text = DIAGRAMS[title]
    svg = draw(drawing, text)
    for name in re.findall(r"participant \w+ as (.+)", text):
        assert name in svg
    assert svg.count("messageText") >= len(re.findall(r"^\s*\w+-(?:-)?>>\w+:", text, re.MULTILINE))


def test_what_is_no_diagram_is_refused(drawing: Page) -> None:
    text = next(iter(DIAGRAMS.values()))
    with pytest.raises(Error, match="Parse error"):
        draw(drawing, text.replace("->>", "->>>", 1))
