"""The real Flex UI in Chromium, on a stage whose relay, model's stand-in and Twilio's stand-in are processes of their own."""

from __future__ import annotations

import asyncio
import json
import re
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from voiceassist_crds import names
from voiceassist_demo.stage import Stage

FLEX = "https://flex.twilio.com"
PATIENCE = 90.0
"""Seconds that a wait has, on a machine where much else runs; what comes in time costs none of them."""
STARTED_MS = 180_000
QUIET = re.compile(
    r"net::ERR|Failed to load resource|Unable to decode audio|email provision|TaskRouterModel|ConferenceListener|Original error|"
    r"InsightsClient|Insights SDK|Failed to create Sync Map|Teams context|20404|Could not fetch"
)
"""Lines on the console that are Flex's own: its sounds and services that a call does not need are not there."""
ACT = """({action, task}) => {
  const tasks = [...Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values()];
  const found = tasks.find((one) => one.taskSid === task);
  return Twilio.Flex.Actions.invokeAction(action, {sid: found.sid, task: found});
}"""


INVITE = """({task, to}) => {
  const tasks = [...Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.values()];
  const found = tasks.find((one) => one.taskSid === task);
  const options = {mode: 'WARM', attributes: '', priority: '0'};
  return Twilio.Flex.Actions.invokeAction('TransferTask', {sid: found.sid, task: found, targetSid: to, options});
}"""
"""The directory has no button for it where the conversation is not a legacy one: another plugin would call this action."""


class Desk:
    """One worker's Flex: a page in a browser context of its own, or a second page of one."""

    def __init__(self, stage: Stage, context: BrowserContext, page: Page, worker: Mapping[str, Any]) -> None:
        self.stage, self.context, self.page, self.worker = stage, context, page, worker
        self.name = str(worker["name"]).partition("@")[0]
        """As Flex shows it to others."""
        self.calls: list[dict[str, Any]] = []
        self._crashed = False
        self.said: list[str] = []
        """Errors on the console that are not Flex's own, and everything that was thrown."""
        page.set_default_timeout(1000 * PATIENCE)
        page.set_default_navigation_timeout(STARTED_MS)
        page.on("console", self._console)
        page.on("crash", self._crash)
        page.on("pageerror", lambda error: None if QUIET.search(str(error)) else self.said.append(str(error)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not QUIET.search(message.text):
            self.said.append(message.text)

    def _crash(self, _: Page) -> None:
        self._crashed = True

    @property
    def usable(self) -> bool:
        """Whether the page is there still."""
        browser = self.context.browser
        return not self._crashed and not self.page.is_closed() and browser is not None and browser.is_connected()

    @classmethod
    async def open(cls, stage: Stage, browser: Browser, name: str = "agent@example.com", *roles: str, **more: Any) -> Desk:
        """Logs a new worker in and waits until Flex is up. `more` goes to the browser's context."""
        worker = {**await stage.new_worker(name, *roles), "name": name}
        context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **more})
        await context.grant_permissions(["notifications", "microphone", "clipboard-read", "clipboard-write"], origin=FLEX)
        desk = cls(stage, context, await context.new_page(), worker)
        await desk.log_in()
        return desk

    async def log_in(self) -> None:
        """Logs the worker in, and waits until Flex has started."""
        await self.page.goto(f"{self.stage.browser['logInUrl']}{self.worker['workerSid']}")
        await self.up()

    async def up(self) -> None:
        """Waits until Flex has started."""
        await self.page.wait_for_selector("html[data-flex=running]", timeout=STARTED_MS, state="attached")

    async def reload(self) -> None:
        """As the agent's F5."""
        await self.page.reload()
        await self.up()

    async def second_tab(self) -> Desk:
        """The same worker once more, in another tab of the same browser."""
        desk = Desk(self.stage, self.context, await self.context.new_page(), self.worker)
        await desk.page.goto(f"{FLEX}/agent-desktop/")
        await desk.up()
        return desk

    # calls

    async def ring(self, recording: Path, **more: Any) -> dict[str, Any]:
        """A call that comes in for this worker; it goes on until somebody ends it."""
        given = {"worker": self.worker["workerSid"], "reservation": "pending", "hangUp": None, **more}
        call = await self.stage.new_call(recording.resolve(), **given)
        self.calls.append(call)
        return call

    async def accept(self) -> None:
        """Clicks on Accept of the call that comes in."""
        await self.page.get_by_role("button", name=re.compile("^Accept")).first.click()

    async def take(self, recording: Path, **more: Any) -> dict[str, Any]:
        """A call that comes in and is accepted; its panel is there."""
        call = await self.ring(recording, **more)
        await self.accept()
        await expect(self.panel(call)).to_be_visible()
        return call

    async def assisted(self, recording: Path, **more: Any) -> dict[str, Any]:
        """A call that was accepted and whose assist was started by the button."""
        call = await self.take(recording, **more)
        await self.start_button.click()
        await self.is_in("listening")
        return call

    async def select(self, call: Mapping[str, Any]) -> None:
        """Selects the call's task in Flex's list."""
        await self.act("SelectTask", call)
        await expect(self.panel(call)).to_be_visible()

    async def act(self, action: str, call: Mapping[str, Any]) -> None:
        """One of Flex's own actions on a call's task."""
        await self.page.evaluate(ACT, {"action": action, "task": call["taskSid"]})

    async def hold(self) -> None:
        """Clicks on Flex's button that puts the customer on hold."""
        await self.page.get_by_role("button", name="Hold Customer", exact=True).click()

    async def unhold(self) -> None:
        """Clicks on Flex's button that takes the customer back; it is there when Flex knows of the hold."""
        await self.page.get_by_role("button", name="Unhold Customer", exact=True).click()

    async def transfer(self, to: Desk) -> None:
        """By clicks, in Flex's directory: the other agent gets the call, this one leaves it."""
        await self.page.get_by_role("button", name="Open transfer directory").click()
        button = self.page.get_by_role("button", name=f"Transfer to {to.name}", exact=True)
        await button.hover()  # Flex shows it under the mouse
        await button.click()

    async def invite(self, to: Desk, call: Mapping[str, Any]) -> None:
        """A warm transfer: both agents are in the call's conference."""
        await self.page.evaluate(INVITE, {"task": call["taskSid"], "to": to.worker["workerSid"]})

    async def sockets(self, do: str, **more: Any) -> int:
        """Does something to the sockets that the twilio-sync of this worker's panels has open; how many they are."""
        body = {"do": do, "identity": self.worker["identity"], **more}
        return int((await control(self.stage, "POST", "browser/sockets", body))["sockets"])

    async def clear(self) -> None:
        """Ends what is left of this worker's calls, and waits until Flex has seen it."""
        await self.end_calls()
        await self.cleared()

    async def end_calls(self) -> None:
        """Ends at Twilio what is left of this worker's calls."""
        for call in self.calls:
            await self.stage.send("POST", f"{self.stage.twilio_url}/_sim/calls/{call['callSid']}/complete")
            for status in ("wrapping", "completed", "canceled"):
                await self.stage.send("POST", f"{self.stage.twilio_url}/_sim/tasks/{call['taskSid']}", {"status": status})  # what fits
        self.calls.clear()

    async def cleared(self) -> None:
        """Waits until Flex has no task."""
        await self.page.wait_for_function("Twilio.Flex.Manager.getInstance().store.getState().flex.worker.tasks.size === 0")

    async def watch(self, caller: str) -> None:
        """As a supervisor: looks at the call of `caller` (the task's name) in the Teams view, and listens to it."""
        await self.page.evaluate("Twilio.Flex.Actions.invokeAction('NavigateToView', {viewName: 'teams'})")
        await self.page.get_by_text(caller).first.click()
        await self.page.get_by_role("button", name=re.compile("monitor", re.IGNORECASE)).first.click()

    # what is shown

    def panel(self, call: Mapping[str, Any]) -> Locator:
        """The panel of one call."""
        return self.page.locator(f"[data-voice-assist={call['taskSid']}]")

    def of(self, name: str) -> Locator:
        """A part of the panel that is shown."""
        return self.page.get_by_test_id(f"voice-assist-{name}")

    @property
    def start_button(self) -> Locator:
        """Ours among the call canvas's own."""
        return self.of("button")

    @property
    def cards(self) -> Locator:
        """Suggestions and drafts, newest first."""
        return self.of("suggestion")

    async def is_in(self, state: str, seconds: float = PATIENCE) -> None:
        """Waits for a state."""
        await expect(self.of("state")).to_have_attribute("data-state", state, timeout=1000 * seconds)

    async def state(self) -> str | None:
        """The state that is shown."""
        return await self.of("state").get_attribute("data-state")

    async def questions(self) -> list[str]:
        """The questions of the finished suggestions, in the order shown."""
        return await self.page.eval_on_selector_all(
            "[data-testid=voice-assist-suggestion]:not([aria-busy])", "all => all.map((one) => one.querySelector('h3').innerText.trim())"
        )

    async def shows(self, *questions: str, seconds: float = PATIENCE) -> None:
        """Waits until exactly these finished suggestions are shown, in this order."""
        await until(self.questions, lambda found: found == list(questions), seconds)

    async def store(self, path: str) -> Any:
        """A look into Flex's own state."""
        return await self.page.evaluate(f"() => Twilio.Flex.Manager.getInstance().store.getState().flex.{path}")


async def until(look: Callable[[], Any], fits: Callable[[Any], bool] = bool, seconds: float = PATIENCE) -> Any:
    """Looks until what is found fits; `look` may be async."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if fits(found):
            return found
        assert asyncio.get_running_loop().time() < deadline, f"after {seconds} s still {found!r}"
        await asyncio.sleep(0.05)


class Relayed:
    """Writes to a call's Sync objects as its relay does, through REST: for what would take long to say aloud."""

    def __init__(self, stage: Stage, call: Mapping[str, Any]) -> None:
        self._stage, self._call = stage, call
        self._seq = self._told = 0

    async def _object(self, name: str) -> dict[str, Any]:
        told = await control(self._stage, "GET", "sync")
        return next(one for one in told["objects"] if str(one["uniqueName"]).startswith(name))

    async def _write(self, path: str, **form: str) -> None:
        stage = self._stage
        url = f"{stage.twilio_url}/sync/v1/Services/{stage.sync_service_sid}/{path}"
        headers = {"Authorization": aiohttp.encode_basic_auth(stage.account.api_key, stage.account.api_secret)}
        async with stage.http.post(url, data=form, headers=headers) as answer:
            assert answer.status < 300, (path, answer.status, await answer.text())

    async def suggestion(self, question: str, answer: str = "Yes, of course.", **more: Any) -> dict[str, Any]:
        """Stores the next finished suggestion in the Map."""
        self._seq += 1
        key = names.suggestion_key(900 + self._seq)
        item = {"type": "suggestion", "id": f"g1-test{self._seq}", "revision": "0123456789", "seq": 900 + self._seq, "question": question}
        item |= {"answer": answer, "at": 1_795_000_000_000 + self._seq, **more}
        await self._write(f"Maps/{names.suggestions_map(self._call['callSid'])}/Items", Key=key, Data=json.dumps(item))
        return item

    async def status(self, state: str, reason: str, message: str = "") -> None:
        """Changes the Map's status item."""
        path = f"Maps/{names.suggestions_map(self._call['callSid'])}/Items/{names.STATUS_KEY}"
        told = await self._object(names.suggestions_map(self._call["callSid"]))
        before = next(one["data"] for one in told["items"] if one["key"] == names.STATUS_KEY)
        self._told += 1
        after = {
            **before,
            "state": state,
            "reason": reason,
            "message": message,
            "id": f"g1-status-{self._told}",
            "at": before["at"] + self._told,
        }
        await self._write(path, Data=json.dumps(after))

    async def message(self, **message: Any) -> None:
        """Publishes a message on the call's Stream."""
        stream = await self._object(names.sync_stream(self._call["callSid"], ""))

        async def subscribed() -> bool:
            told = await control(self._stage, "GET", "browser")
            return any(stream["sid"] in one["subscribed"] for one in told["sockets"])

        await until(subscribed)  # what is said on a Stream before that is heard by nobody
        await self._write(f"Streams/{stream['sid']}/Messages", Data=json.dumps(message))

    async def draft(self, part: int, answer: str, *, of: str = "g1-draft") -> None:
        """Publishes a draft."""
        await self.message(type="draft", id=of, revision="0123456789", part=part, answer=answer)


async def break_panel(desk: Desk) -> None:
    """The next suggestion throws while it is drawn: its time cannot be written."""
    await desk.page.evaluate(
        "window.kept = Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format');"
        "Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', {configurable: true, get() { throw new Error('broken'); }})"
    )


async def mend_panel(desk: Desk) -> None:
    """It throws no more; the report of React, and Flex's, on the console are no fault."""
    await desk.page.evaluate("Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', window.kept)")
    desk.said.clear()


def silence(folder: Path, seconds: int = 90) -> Path:
    """A recording of both sides in which nobody speaks."""
    path = folder / f"silence-{seconds}.wav"
    if not path.exists():
        with wave.open(str(path), "wb") as target:
            target.setparams((2, 2, 8000, 0, "NONE", "not compressed"))
            target.writeframes(bytes(4 * 8000 * seconds))
    return path


async def control(stage: Stage, method: str, path: str, body: Any = None) -> Any:
    """The control API of Twilio's stand-in."""
    status, told = await stage.send(method, f"{stage.twilio_url}/_sim/{path}", body)
    assert status < 300, (method, path, status, told)
    return told


async def faults(stage: Stage, *rules: Mapping[str, Any]) -> None:
    """What goes wrong at Twilio from now on: REST, and requests through twilio-sync's socket (`/cds/v3/…`)."""
    await control(stage, "PUT", "faults", {"rules": list(rules)})


async def calm(stage: Stage, failed: bool = False) -> None:
    """Nothing goes wrong at Twilio any more; after a test that failed, at the model neither, and Flex's configuration is the usual one."""
    await control(stage, "POST", "faults/release")
    await faults(stage)
    await control(stage, "PUT", "browser/notification-faults", {"rules": []})
    if failed:
        await model_faults(stage)
        await stage.configure_flex()


async def requests(stage: Stage, path: str) -> int:
    """How often the relay's functions have answered at a path."""
    found = await stage.metrics()
    return round(sum(value for name, value in found.items() if name.startswith("http_requests_total") and f'path="{path}"' in name))


async def ended(stage: Stage, call: Mapping[str, Any]) -> None:
    """The customer hangs up."""
    await control(stage, "POST", f"calls/{call['callSid']}/complete")


async def streams(stage: Stage, call: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The media streams that were forked from a call."""
    calls = (await control(stage, "GET", "calls"))["calls"]
    return list(next(one for one in calls if one["callSid"] == call["callSid"])["streams"])


async def active_streams(stage: Stage, call: Mapping[str, Any]) -> int:
    """How many of them run."""
    return sum(one["active"] for one in await streams(stage, call))


async def model_faults(stage: Stage, *faults: Mapping[str, Any]) -> None:
    """What goes wrong at the model's stand-in from now on; sessions that are open are cut."""
    status, told = await stage.send("PUT", f"{stage.model_url}/_sim/faults", list(faults))
    assert status == 200, told
    await stage.send("POST", f"{stage.model_url}/_sim/drop", {})
