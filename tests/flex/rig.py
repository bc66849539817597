"""The real Flex UI in Chromium, on a stage whose relay, model's stand-in and Twilio's stand-in are processes of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

from integration.line_rig import CALLS, cut
from voiceassist_demo.stage import Stage

FLEX = "https://flex.twilio.com"
STARTED_MS = 60_000
QUIET = re.compile(
    r"net::ERR|Failed to load resource|Unable to decode audio|email provision|TaskRouterModel|ConferenceListener|Original error|"
    r"InsightsClient|Insights SDK|Failed to create Sync Map"
)
"""Lines on the console that are Flex's own: its sounds and services that a call does not need are not there."""


class Desk:
    """One worker's Flex in a browser context of its own."""

    def __init__(self, stage: Stage, context: BrowserContext, page: Page, worker: Mapping[str, Any]) -> None:
        self.stage, self.context, self.page, self.worker = stage, context, page, worker
        self.said: list[str] = []
        """Errors on the console that are not Flex's own, and everything that was thrown."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: None if QUIET.search(str(error)) else self.said.append(str(error)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not QUIET.search(message.text):
            self.said.append(message.text)

    @classmethod
    async def open(cls, stage: Stage, browser: Browser, name: str = "agent@example.com", *roles: str, **more: Any) -> Desk:
        """Logs a new worker in and waits until Flex is up. `more` goes to the context."""
        worker = await stage.new_worker(name, *roles)
        context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **more})
        await context.grant_permissions(["notifications", "microphone", "clipboard-read", "clipboard-write"], origin=FLEX)
        page = await context.new_page()
        desk = cls(stage, context, page, worker)
        await page.goto(f"{stage.browser['logInUrl']}{worker['workerSid']}")
        await desk.up()
        return desk

    async def up(self) -> None:
        """Waits until Flex has started."""
        await self.page.wait_for_selector("html[data-flex=running]", timeout=STARTED_MS, state="attached")

    async def reload(self) -> None:
        """As the agent's F5."""
        await self.page.reload()
        await self.up()

    async def close(self) -> None:
        """Closes it."""
        await self.context.close()

    async def ring(self, recording: Path, **more: Any) -> dict[str, Any]:
        """A call that comes in for this worker."""
        given = {"worker": self.worker["workerSid"], "reservation": "pending", "hangUp": None, **more}
        return await self.stage.new_call(recording.resolve(), **given)

    async def accept(self) -> None:
        """Clicks on Accept of the call that comes in."""
        await self.page.get_by_role("button", name=re.compile("^Accept")).first.click()

    async def take(self, recording: Path, **more: Any) -> dict[str, Any]:
        """A call that comes in and is accepted."""
        call = await self.ring(recording, **more)
        await self.accept()
        return call

    async def store(self, path: str) -> Any:
        """A look into Flex's own state."""
        return await self.page.evaluate(f"() => Twilio.Flex.Manager.getInstance().store.getState().flex.{path}")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """A button of the page by its accessible name."""
        return self.page.get_by_role("button", name=name)


async def control(stage: Stage, method: str, path: str, body: Any = None) -> Any:
    """The control API of Twilio's stand-in."""
    status, told = await stage.send(method, f"{stage.twilio_url}/_sim/{path}", body)
    assert status < 300, (method, path, status, told)
    return told


async def sockets(stage: Stage, do: str, **more: Any) -> int:
    """Does something to the sockets of twilio-sync that the panel opened."""
    return int((await control(stage, "POST", "browser/sockets", {"do": do, **more}))["sockets"])


__all__ = ["CALLS", "Desk", "control", "cut", "json", "sockets"]
