"""The panel's gallery in a page of Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

Asked = list[Any]

FOCUSED = """async () => {
  const until = performance.now() + 3000;
  do await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  while (document.activeElement === document.body && performance.now() < until);
  const e = document.activeElement;
  return e.dataset.id ?? e.dataset.testid ?? e.tagName.toLowerCase();
}"""


class Panel:
    """One page of the gallery. `said`: everything that was printed or thrown and should not have been."""

    def __init__(self, browser: Browser, page_file: Path, width: int = 320, height: int = 700, **context: Any) -> None:
        self._url = page_file.as_uri()
        self.said: list[str] = []
        self.context: BrowserContext = browser.new_context(viewport={"width": width, "height": height}, **context)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.said.append(message.text)

    def open(self, state: str, *, dark: bool = False, language: str = "en") -> Panel:
        """Loads a state of the gallery."""
        self.page.goto(f"{self._url}?state={state}&language={language}{'&dark=1' if dark else ''}")
        self.of("panel").wait_for()
        return self

    def of(self, name: str) -> Locator:
        """A part of ours by the end of its test id."""
        return self.page.get_by_test_id(f"voice-assist-{name}")

    @property
    def cards(self) -> Locator:
        """All cards, newest first."""
        return self.of("suggestion")

    def run(self, script: str, argument: Any = None) -> Any:
        """Runs `(gallery, argument) => …` in the page; `gallery.states` makes views, `gallery.show` puts one in."""
        return self.page.evaluate(f"(argument) => ({script})(window.gallery, argument)", argument)

    def show(self, expression: str) -> None:
        """Shows the present view with the fields of an object expression, which may use `view` and `s` (the states' makers)."""
        self.run(f"(g) => {{ const view = g.view(); const s = g.states; g.show({{...view, ...({expression})}}); }}")

    def asked(self) -> Asked:
        """The commands that the panel has asked for, and forgets them."""
        return list(self.run("(g) => g.asked.splice(0)"))

    def focused(self) -> str:
        """What has the focus: a card's id, else a test id, else the element's name; `body` where nothing has it for 3 s."""
        return str(self.page.evaluate(FOCUSED))

    def frames(self) -> None:
        """Waits until the browser has drawn what was shown."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def top(self, card: str) -> float:
        """Where a card is on the screen, in pixels from the top."""
        box = self.page.locator(f"[data-id='{card}']").bounding_box()
        assert box is not None, card
        return box["y"]

    def close(self) -> None:
        """Closes it; nothing may have been printed."""
        self.context.close()
        assert self.said == []


__all__ = ["Panel"]
