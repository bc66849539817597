"""What the tests in Flex need besides the browser: the page's files, and axe, which looks for barriers; each made once and kept."""

from __future__ import annotations

from pathlib import Path

from voiceassist_demo.flex import npm

_AXE = Path(__file__).with_name("axe")


async def axe_script() -> str:
    """The source of axe, to be run in a page."""
    modules = await npm.packages("flex-axe", _AXE, "fetching axe, once", print)
    return (modules / "axe-core" / "axe.min.js").read_text()
