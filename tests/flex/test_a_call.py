"""A whole call in the real Flex UI: audio in at the relay, suggestions out in the panel; how it starts, pauses and ends."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from integration.end_to_end_rig import cut
from voiceassist_demo.stage import Stage

from .rig import Desk, active_streams, ended, streams, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

QUEUE = "Everyone"
"""The queue from which the stand-in's calls come."""
WATCH_TEXTS = """() => {
  window.seen = [];
  const look = () => {
    for (const card of document.querySelectorAll('[data-testid=voice-assist-suggestion]')) {
      const state = [card.dataset.id, card.hasAttribute('aria-busy'), card.querySelector('p').innerText.trim()];
      if (JSON.stringify(window.seen.at(-1)) !== JSON.stringify(state)) window.seen.push(state);
    }
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


async def test_audio_in_panel_out(desk: Desk, stage: Stage, tmp_path: Path) -> None:
    """A customer asks, the model writes, the agent reads: a draft that grows, then the suggestion in its place, with its question."""
    recording = cut(tmp_path, "a2", "c2", "a3")
    call = await desk.take(recording)
    await desk.page.evaluate(WATCH_TEXTS)
    await desk.start_button.click()
    await desk.is_in("listening")
    await expect(desk.cards.first).to_be_visible()
    await until(desk.questions)
    seen = await desk.page.evaluate("window.seen")
    one = seen[0][0]
    texts = [text for identity, draft, text in seen if identity == one and draft]
    final = [text for identity, draft, text in seen if identity == one and not draft]
    assert len(texts) > 1, seen
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts)), texts
    assert final and final[-1].startswith(texts[-1])
    assert await desk.questions() == ["Where is the parcel that was due on Monday?"]

    await desk.of("tab-transcript").click()
    lines = desk.of("transcript")
    await expect(lines).to_contain_text("Customer")
    await expect(lines).to_contain_text(re.compile("parcel", re.IGNORECASE))
    await desk.of("tab-suggestions").click()

    await ended(stage, call)
    await desk.is_in("off")
    await expect(desk.panel(call)).to_contain_text("The call has ended")
    assert await desk.questions() == ["Where is the parcel that was due on Monday?"], "they stay until the task is completed"
    await desk.page.get_by_role("button", name=re.compile("^Complete")).first.click()
    await expect(desk.panel(call)).to_have_count(0)
    assert len(await streams(stage, call)) == 1


async def test_it_starts_by_itself_where_the_queue_says_so(desk: Desk, stage: Stage, quiet: Path) -> None:
    """The setting is the queue's; a queue that says nothing has a button."""
    await stage.configure_flex(settings={"queues": {QUEUE: {"autoStart": True}}})
    try:
        await desk.reload()
        call = await desk.take(quiet)
        await desk.is_in("listening")
        await ended(stage, call)
        await desk.is_in("off")
        await desk.clear()
    finally:
        await stage.configure_flex(settings={"queues": {"another queue": {"autoStart": True}}})
    await desk.reload()
    await desk.take(quiet)
    await desk.page.wait_for_timeout(1500)
    assert await desk.state() == "off"
    await stage.configure_flex()


async def test_stop_start_pause_and_resume(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Each by its button, each seen at the relay: no audio reaches the model while it is paused."""
    call = await desk.assisted(quiet)
    await desk.of("pause").click()
    await desk.is_in("paused")

    async def heard() -> int:
        sessions = (await stage.get(f"{stage.model_url}/_sim/sessions?open=true"))["sessions"]
        return sum(one["bytesHeard"] for one in sessions)

    before = await heard()
    await desk.page.wait_for_timeout(1500)
    assert await heard() == before
    await desk.of("resume").click()
    await desk.is_in("listening")
    await until(heard, lambda found: found > before)
    await desk.of("stop").click()
    await desk.is_in("off")
    await expect(desk.panel(call)).to_contain_text("It was stopped")
    assert await active_streams(stage, call) == 0
    await desk.start_button.click()
    await desk.is_in("listening")


async def test_hold_pauses_and_takes_up_again(desk: Desk, stage: Stage, quiet: Path) -> None:
    """By Flex's own button: while the customer is on hold nothing is sent to the model; the agent sees why."""
    await desk.assisted(quiet)
    await desk.hold()
    await desk.is_in("paused")
    await expect(desk.of("state")).to_have_text("Paused (hold)")
    await desk.unhold()
    await desk.is_in("listening")


async def test_the_agent_hangs_up(desk: Desk, quiet: Path) -> None:
    """It ends with the call, whoever ends it."""
    await desk.assisted(quiet)
    await desk.page.get_by_role("button", name=re.compile("Hang Up", re.IGNORECASE)).first.click()
    await desk.is_in("off")


async def test_the_paint_is_reported(desk: Desk, stage: Stage, quiet: Path, tmp_path: Path) -> None:
    """When a suggestion was painted goes back to the relay, for as many as the setting says: the last stage of its latency."""

    async def painted() -> float:
        found = await stage.metrics()
        return sum(value for name, value in found.items() if name.startswith("suggestion_painted_seconds_count"))

    await stage.configure_flex(settings={"paintedSample": 1})
    try:
        await desk.reload()
        before = await painted()
        await desk.assisted(cut(tmp_path, "a2", "c2", "a3"))
        await until(desk.questions)
        await until(painted, lambda found: found == before + 1)
    finally:
        await stage.configure_flex()
