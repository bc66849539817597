"""Every state that the panel can be in, each from its real cause; and that Flex and its call controls never suffer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from voiceassist_demo.stage import Stage

from .rig import Desk, Relayed, active_streams, break_panel, control, faults, mend_panel, model_faults, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

WATCH_START = """new MutationObserver(() => { window.startedAt ??= performance.now(); })
  .observe(document, {subtree: true, attributes: true, attributeFilter: ['data-flex']})"""
STARTED = """window.startedAt
  - performance.getEntriesByType('resource').find((one) => one.name.startsWith('https://flex.twilio.com/plugins?')).startTime"""
"""Milliseconds from the question which plugins there are to a running Flex."""


async def test_starting(desk: Desk, stage: Stage, quiet: Path) -> None:
    """From the click until the relay has the audio."""
    call = await desk.take(quiet)
    assert await desk.state() == "off"
    await expect(desk.panel(call)).to_contain_text("Nothing of this call is sent to it now")
    await faults(stage, {"kind": "hold", "path": "/Streams.json"})
    await desk.start_button.click()
    await desk.is_in("starting")
    await faults(stage)  # before what is held is let go: the request may be on its way still
    await control(stage, "POST", "faults/release")
    await desk.is_in("listening")


async def test_the_model_is_lost_and_comes_back(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Reconnecting, with its reason in words; then listening again."""
    call = await desk.assisted(quiet)
    await model_faults(stage, {"kind": "refuse"})
    try:
        await desk.is_in("reconnecting")
        await expect(desk.panel(call)).to_contain_text("has lost its language model")
    finally:
        await model_faults(stage)
    await desk.is_in("listening")


async def test_the_model_refuses_the_key(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Failed, with who must do what; a way on that works when it is mended."""
    await model_faults(stage, {"kind": "unauthorized"})
    try:
        call = await desk.take(quiet)
        await desk.start_button.click()
        await desk.is_in("failed")
        await expect(desk.panel(call)).to_contain_text("administrator")
    finally:
        await model_faults(stage)
    await desk.of("retry").click()
    await desk.is_in("listening")


async def test_twilio_fails(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Streams cannot be created: failed in words, and Try again starts it when Twilio is well."""
    call = await desk.take(quiet)
    await faults(stage, {"kind": "5xx", "path": "/Streams.json", "method": "POST"})
    await desk.start_button.click()
    await desk.is_in("failed")
    await expect(desk.panel(call)).to_contain_text(re.compile("Try again"))
    await faults(stage)
    await desk.of("retry").click()
    await desk.is_in("listening")


async def test_the_call_is_not_the_agents(desk: Desk, stage: Stage, quiet: Path) -> None:
    """403: TaskRouter knows no such task of this worker; the panel says so, and no stream is made."""
    call = await desk.take(quiet)
    await faults(stage, {"kind": "refuse", "path": "/taskrouter/.*/Tasks/", "status": 404, "code": 20404})
    await desk.start_button.click()
    await desk.is_in("failed")
    await expect(desk.of("notice")).to_contain_text("This call is not yours yet")
    assert await active_streams(stage, call) == 0
    await faults(stage)
    await desk.of("retry").click()
    await desk.is_in("listening")


async def test_asked_too_often(desk: Desk, stage: Stage, quiet: Path) -> None:
    """429 with Retry-After: it waits that long and asks again, and the agent need not."""
    await desk.take(quiet)
    token = await desk.page.evaluate("Twilio.Flex.Manager.getInstance().user.token")

    async def ask() -> int:
        status, _ = await stage.send("POST", f"{stage.relay.public}/token", {"Token": token})
        return status

    assert 429 in await asyncio.gather(*(ask() for _ in range(40)))
    await desk.start_button.click()
    await desk.is_in("listening")


async def test_the_call_moves_to_another_server(desk: Desk, stage: Stage, quiet: Path) -> None:
    """A relay that stops says so; the panel says that it moves, and goes on when the next one has the call."""
    call = await desk.assisted(quiet)
    relay = Relayed(stage, call)
    await relay.suggestion("One?")
    await relay.status("lost", "RelayStopping", "The relay stops; the call goes on elsewhere.")
    await desk.is_in("moved")
    await desk.shows("One?")
    await relay.status("live", "Started")
    await desk.is_in("listening")
    await desk.shows("One?")


async def test_sync_cannot_be_reached(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Suggestions may be made and do not come: the agent is told."""
    call = await desk.assisted(quiet)
    await faults(stage, {"kind": "5xx", "path": "/tsock/init", "transport": True})
    await desk.sockets("cut")
    await desk.is_in("reconnecting")
    await expect(desk.panel(call)).to_contain_text("Suggestions made meanwhile will appear")
    await faults(stage)
    await desk.is_in("listening")


async def test_a_supervisor_reads_and_no_more(desk: Desk, supervisor: Desk, stage: Stage, quiet: Path) -> None:
    """Who monitors sees the agent's list as it grows, and has no button that changes anything."""
    call = await desk.assisted(quiet, attributes={"name": "Watched caller"})
    relay = Relayed(stage, call)
    await relay.suggestion("One?")
    await desk.shows("One?")
    await supervisor.watch("Watched caller")
    await supervisor.shows("One?")
    await relay.suggestion("Two?")
    await supervisor.shows("Two?", "One?")
    await expect(supervisor.page.get_by_text("Read only").first).to_be_visible()
    for part in ("start", "stop", "pause", "resume", "button", "helpful"):
        await expect(supervisor.of(part)).to_have_count(0)
    assert await desk.state() == "listening"
    assert await active_streams(stage, call) == 1


async def test_an_error_in_the_panel_stays_in_the_panel(desk: Desk, stage: Stage, quiet: Path) -> None:
    """A component of ours that throws: the call controls work, the rest of Flex is whole, and the panel can be opened again."""
    call = await desk.assisted(quiet)
    await break_panel(desk)
    await Relayed(stage, call).suggestion("One?")
    await expect(desk.of("crashed")).to_be_visible()
    await mend_panel(desk)
    for name in ("Hang Up", "Transfer", "Dialpad"):
        await expect(desk.page.get_by_role("button", name=re.compile(name, re.IGNORECASE)).first).to_be_enabled()
    await desk.of("crashed").get_by_role("button").click()
    await desk.shows("One?")
    await desk.page.get_by_role("button", name=re.compile("Hang Up", re.IGNORECASE)).first.click()
    await desk.is_in("off")


async def test_flex_never_waits_for_the_plugin(desk: Desk, stage: Stage, quiet: Path) -> None:
    """With functions and Sync that never answer, in a call: Flex starts as without us (10 s later is what a waiting plugin costs)."""
    call = await desk.assisted(quiet)
    await faults(stage, {"kind": "hang", "path": "/cds/"}, {"kind": "hang", "path": "/iam/"})
    await desk.sockets("deafen")
    await desk.page.add_init_script(WATCH_START)
    await desk.reload()
    took = await desk.page.evaluate(STARTED)
    await faults(stage)
    if took >= 9_000:  # a machine that is busy: then what counts is how long it takes without us
        await desk.reload()
        usual = await desk.page.evaluate(STARTED)
        assert took < usual + 9_000, f"{took} ms, and {usual} ms when everything answers"
    await desk.select(call)
    await desk.is_in("listening")


async def test_logs_have_no_token(desk: Desk, stage: Stage, quiet: Path) -> None:
    """Neither the Flex token nor Sync's is ever on the console."""
    lines: list[str] = []
    desk.page.on("console", lambda message: lines.append(message.text))
    await desk.assisted(quiet)
    await desk.sockets("leave", code=410)

    async def connected() -> bool:
        told = (await control(stage, "GET", "browser"))["sockets"]
        return any(one["identity"] == desk.worker["identity"] and "data_sync" in one["products"] for one in told)

    await until(connected)
    assert not any("eyJ" in line for line in lines)
