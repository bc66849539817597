"""A short soak of the whole line, and the same with a relay that leaks: what the long one (`make soak`) would find is found."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from load.soak.run import Soaked, soak
from load.soak.traffic import Traffic
from load.soak.verdict import MB, AtRest, beyond
from voiceassist_demo.processes import Child
from voiceassist_demo.stage import Stage, sample_calls

LEAK = """#!{python}
import asyncio, socket
from voiceassist_relay import cli
from voiceassist_relay.call import registry

kept = []
honest = registry.Registry.open

def leaky(self, start, connection):
    kept.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
    kept.append(socket.socketpair())
    return honest(self, start, connection)

registry.Registry.open = leaky
cli.main()
"""


class LeakyStage(Stage):
    """A stage whose relay keeps a task and two sockets of every call."""

    async def _child(self, name: str, arguments: list[str], environment: dict[str, str] | None = None) -> Child:
        if name.startswith("relay"):
            program = self.folder / "leaky-relay"
            program.write_text(LEAK.format(python=sys.executable))
            program.chmod(0o755)
            arguments = [str(program), *arguments[1:]]
        return await super()._child(name, arguments, environment)


async def short(stage: Stage) -> Soaked:
    traffic = Traffic(stage, sorted(sample_calls().glob("*.wav")), (1.0, 3.0))
    return await soak(stage, traffic, 5, warm_seconds=4, seconds=9, spread=2, every=2, say=print, settle=3)


async def test_calls_come_and_go_and_nothing_stays_and_a_leak_is_found(tmp_path: Path) -> None:
    async with Stage(tmp_path / "good") as good, LeakyStage(tmp_path / "leaky") as leaky:
        kept, lost = await asyncio.gather(short(good), short(leaky))
    assert kept.troubles == {}
    assert kept.calls >= 10
    assert kept.left_over == [], kept.as_json()
    assert max(row[1] for row in kept.rows) >= 3, "calls overlapped"
    assert lost.calls >= 10
    words = "; ".join(lost.left_over)
    assert all(what in words for what in ("tasks", "file descriptors", "sockets")), words


def test_each_kind_of_leak_is_named() -> None:
    before = AtRest(80 * MB, 10, 16, 5)
    assert beyond(before, before, 1000) == []
    assert beyond(before, AtRest(80 * MB, 13, 20, 9), 1000) == []
    assert [row.split(":")[0] for row in beyond(before, AtRest(88 * MB, 14, 21, 10), 1000)] == [
        "tasks",
        "file descriptors",
        "sockets",
        "bytes of memory",
    ]
    assert beyond(before, AtRest(86 * MB, 10, 16, 5), 0) == []
