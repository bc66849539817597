"""The demo's page in a browser: what a visitor sees while calls run."""

from __future__ import annotations

import itertools
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from .page_rig import Demo, start

DRAFTS = """() => Object.fromEntries([...document.querySelectorAll('.call')].map(
  (call) => [call.dataset.call, [...call.querySelectorAll('.draft')].map((draft) => draft.textContent)[0] ?? '']))"""


def test_calls_run(page: Page, demo: Demo) -> None:
    """Three calls with moving meters, both sides' words, a draft that grows, suggestions with their latency, bars in the plot."""
    page.goto(demo.url)
    expect(page.locator(".call")).to_have_count(3)
    expect(page.locator(".call .state.live").first).to_be_visible()
    levels: dict[str, set[float]] = {"customer": set(), "agent": set()}
    drafts: dict[tuple[str, str], list[str]] = {}
    for _ in range(900):
        for track, seen in levels.items():
            seen.update(page.eval_on_selector_all(f"meter[data-track={track}]", "all => all.map((one) => one.value)"))
        for call, text in page.evaluate(DRAFTS).items():
            if text:
                seen_texts = drafts.setdefault((call, text[:4]), [])
                if text not in seen_texts:
                    seen_texts.append(text)
        if any(len(texts) > 1 for texts in drafts.values()) and all(len(seen) > 5 for seen in levels.values()):
            break
        page.wait_for_timeout(50)
    grown = [texts for texts in drafts.values() if len(texts) > 1]
    assert grown, f"no draft grew: {drafts}"
    assert all(later.startswith(earlier) for texts in grown for earlier, later in itertools.pairwise(texts))
    assert all(0 < max(seen) <= 1 and len(seen) > 5 for seen in levels.values()), levels

    finished = page.locator(".suggestions li:not(.draft):not(.none)")
    expect(finished.first).to_contain_text(re.compile(r"\d+ ms after the last word · prompt [0-9a-f]{10}"))
    expect(page.locator(".words li.customer").first).to_be_visible()
    expect(page.locator(".words li.agent").first).to_be_visible()
    expect(page.locator("#plot rect").first).to_be_attached()
    widths = page.eval_on_selector_all("#plot rect", "all => all.map((one) => Number(one.getAttribute('width')))")
    assert len(widths) % 5 == 0
    assert sum(widths[:5]) > 100, "a bar as long as its time"
    facts = page.locator("#facts")
    expect(facts).to_contain_text("model well")
    expect(facts).to_contain_text("Sync well")
    expect(facts.locator(".bad")).to_have_count(0)


def test_objectives_are_drawn_from_prometheus_own_answers(page: Page, demo: Demo) -> None:
    """Four objectives, each with its share as Prometheus tells it at the same moment, and a way there."""
    page.goto(demo.url)
    drawn = page.locator("#objectives .objective")
    expect(drawn).to_have_count(4, timeout=30_000)
    expect(drawn.nth(1)).to_contain_text("First words come in time")
    expect(drawn.first.locator("b")).to_have_text(re.compile(r"^[\d.]+ %$"), timeout=60_000)
    expect(drawn.first.locator("polyline")).to_have_attribute("points", re.compile(r"\d+\.\d,\d+\.\d"))
    address = page.locator("#watched a").get_attribute("href")
    assert address is not None
    query = f"{address}/api/v1/query?query=1-voiceassist:suggestion_latency:error_ratio_rate5m"
    told = page.request.get(query).json()["data"]["result"]
    assert [one["metric"]["name"] for one in told] == ["demo"]
    shown = float((drawn.first.locator("b").text_content() or "").removesuffix(" %"))
    assert shown == pytest.approx(100 * float(told[0]["value"][1]), abs=15), "a few seconds apart"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 1000), (390, 800)])
def test_it_fits(browser: Browser, demo: Demo, tmp_path: Path, width: int, height: int, scheme: str) -> None:
    """No horizontal scrolling, nothing cut off at the right, ink that stands out from its paper."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(demo.url)
    expect(page.locator(".call")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    rights = page.eval_on_selector_all(
        "header *, .call, .panel, textarea, button", "all => all.map((one) => one.getBoundingClientRect().right)"
    )
    assert max(rights) <= width
    light = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map((color) => color.match(/\\d+/g).map(Number).reduce((sum, one) => sum + one, 0))"
    )
    assert (light[0] < light[1]) == (scheme == "light")
    assert abs(light[0] - light[1]) > 400
    page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    page.close()


def test_a_prompt_is_rolled_out(page: Page, demo: Demo) -> None:
    """The box shows what is in force; a refused prompt says why; a new one shows its revision and later calls obey it."""
    page.goto(demo.url)
    box, rolled = page.locator("#prompt textarea"), page.locator("#rolled")
    expect(rolled).to_have_text(re.compile(r"^in force: [0-9a-f]{10}$"))
    before = rolled.inner_text().split(": ")[1]
    expect(box).to_have_value(re.compile("^You listen to a call"))
    box.fill("   ")
    page.get_by_role("button", name="Roll out").click()
    expect(rolled).to_have_class("bad")
    expect(rolled).to_have_text("the prompt is empty; write what the model is to do")
    box.fill("Help the agent.\nPrefix: Gladly.")
    page.get_by_role("button", name="Roll out").click()
    expect(rolled).to_have_text(re.compile(r"^rolled out: [0-9a-f]{10}; the next call has it$"))
    revision = rolled.inner_text().split()[2].rstrip(";")
    assert revision != before
    suggestion = page.locator(".suggestions li:not(.draft):not(.none)", has_text=f"prompt {revision}").first
    expect(suggestion).to_be_visible(timeout=90_000)
    expect(suggestion.locator("div")).to_have_text(re.compile(r"^Gladly\. "))
    expect(page.locator("#facts")).to_contain_text(f"prompt {revision}")


def test_a_canary_is_shown_beside_the_prompt_in_force(page: Page, demo: Demo) -> None:
    """Half of the next calls are to have it; the text in force, rolled out again, ends it."""
    page.goto(demo.url)
    box, table, rolled = page.locator("#prompt textarea"), page.locator("#rollout"), page.locator("#rolled")
    expect(rolled).to_have_text(re.compile(r"^in force: [0-9a-f]{10}$"))
    before, text = rolled.inner_text().split(": ")[1], box.input_value()
    expect(table).to_be_hidden()
    box.fill("Help the agent.\nWait: 100")
    page.get_by_role("checkbox", name="as a canary").check()
    page.get_by_role("button", name="Roll out").click()
    expect(rolled).to_have_text(re.compile(r"^[0-9a-f]{10} is tried: half of the next calls have it$"))
    canary = rolled.inner_text().split()[0]
    expect(table.locator("tbody tr")).to_have_count(2)
    expect(table.locator("tbody tr").first).to_contain_text(f"in force{before}50 %")
    expect(table.locator("tbody tr").last).to_contain_text(f"canary{canary}50 %")
    expect(table.locator("caption")).to_contain_text("waits for")
    expect(page.locator("#facts")).to_contain_text(f"prompt {before}")
    expect(page.locator("#facts")).to_contain_text(canary)
    page.get_by_role("checkbox", name="as a canary").uncheck()
    box.fill(text)
    page.get_by_role("button", name="Roll out").click()
    expect(table).to_be_hidden()
    expect(rolled).to_contain_text(before)


def test_what_fails_is_shown_and_the_page_comes_back(page: Page, demo: Demo, tmp_path: Path) -> None:
    """A call whose model refuses the key shows the agent's message; the page says when the demo is gone and joins the next one."""
    folder = tmp_path / "stage"
    failing = start(folder)
    try:
        page.goto(failing.url)
        secret = folder / "relay0" / "secrets" / "model-api-key"
        secret.with_suffix(".new").write_text("sk-not-valid")
        secret.with_suffix(".new").replace(secret)
        expect(page.locator("#facts .bad").first).to_be_visible()
        expect(page.locator(".call .state.failed").first).to_be_visible(timeout=90_000)
        message = page.locator(".call:has(.state.failed) .message").first
        expect(message).to_be_visible()
        assert len(message.inner_text()) > 10
        page.screenshot(path=tmp_path / "failed.png")
    finally:
        failing.process.send_signal(signal.SIGINT)
        assert failing.process.wait(300) == 0
    expect(page.locator("#facts")).to_contain_text("does not answer")
    port = failing.url.rsplit(":", 1)[1]
    again = start(tmp_path / "again", "--port", port)
    try:
        expect(page.locator("#facts")).to_contain_text("model well")
        expect(page.locator("#facts .bad")).to_have_count(0)
    finally:
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(300) == 0
