"""Looks at the panel as people see it: axe, what hangs over its edge, what moves; at 320 and 480 px, in Flex's light and dark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .packages import axe_script
from .rig import Desk

# Flex draws a theme with the next frames, and its buttons fade into their colours: axe is to see what people look at.
DRAWN = """async () => {
  for (let frames = 0; frames < 2; frames += 1) await new Promise(requestAnimationFrame);
  const fading = document.getAnimations().filter((one) => one instanceof CSSTransition);
  await Promise.race([Promise.allSettled(fading.map((one) => one.finished)), new Promise((done) => setTimeout(done, 2000))]);
}"""
AXE = """async (name) => {
  const found = await axe.run(document.querySelector(`[data-testid=voice-assist-${name}]`), {resultTypes: ['violations']});
  return found.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? ''))]);
}"""
WIDER = """(panel) => panel.scrollWidth > panel.clientWidth + 1
  || [...panel.querySelectorAll('*')].some((one) => one.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1)"""
MOVING = """async (panel) => {
  const running = () => document.getAnimations().filter((one) => panel.contains(one.effect?.target) && one.playState === 'running');
  const ofTheTheme = running().filter((one) => one instanceof CSSTransition);
  await Promise.race([Promise.allSettled(ofTheTheme.map((one) => one.finished)), new Promise((done) => setTimeout(done, 2000))]);
  return running().length;
}"""
SETTLED = """(panel) => new Promise((done) => {
  let last = 0;
  const look = () => {
    const {width} = panel.getBoundingClientRect();
    if (width === last) return done(width);
    last = width;
    return requestAnimationFrame(look);
  };
  look();
})"""
SHOTS = os.environ.get("VOICEASSIST_SHOTS")


async def look(
    desk: Desk, state: str, part: str = "panel", canvas: str = ".Twilio-CallCanvas", widths: Sequence[int] = (320, 480)
) -> dict[str, Any]:
    """What is wrong with the panel (or what stands in its place) in this state; pictures of the canvas go where $VOICEASSIST_SHOTS says.

    Without `widths` it is as wide as Flex makes it.
    """
    wrong = dict[str, Any]()
    await desk.page.evaluate(await axe_script())
    try:
        for light in (True, False):
            await theme(desk, light)
            for pixels in widths or (0,):
                if pixels:
                    await _widen(desk, part, pixels)
                name = "-".join([state, *([str(pixels)] if pixels else []), "light" if light else "dark"])
                await desk.page.evaluate(DRAWN)
                if found := await desk.page.evaluate(AXE, part):
                    wrong[f"axe, {name}"] = found
                if await desk.of(part).evaluate(WIDER):
                    wrong[f"beyond its edge, {name}"] = True
                if SHOTS:
                    await desk.page.locator(canvas).first.screenshot(path=Path(SHOTS) / f"{name}.png")
        if await desk.of(part).evaluate(MOVING):
            wrong[f"moves, {state}"] = True
    finally:
        await theme(desk, True)
    return wrong


async def theme(desk: Desk, light: bool) -> None:
    """Flex's own light or dark."""
    await desk.page.evaluate("(isLight) => Twilio.Flex.Manager.getInstance().updateConfig({theme: {isLight}})", light)


async def _widen(desk: Desk, part: str, pixels: int) -> None:
    """Makes the window so wide that the panel is."""
    for _ in range(4):
        width = await desk.of(part).evaluate(SETTLED)
        size = desk.page.viewport_size
        assert size is not None
        if abs(width - pixels) < 1:
            return
        await desk.page.set_viewport_size({"width": round(size["width"] + 2 * (pixels - width)), "height": 900})
    raise AssertionError(f"the panel is {width} px wide and not {pixels}")
