"""One soak: warm up, look, load, look again. The numbers come from /proc and from the relay's own metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from load.soak.process import cpu_seconds, held
from load.soak.traffic import Traffic
from load.soak.verdict import MB, AtRest, beyond
from voiceassist_demo.stage import Stage

Say = Callable[[str], None]
QUIET_SECONDS = 60.0
"""How long the last calls' flush and idle connections may take to go away, beyond which they count as left over."""


@dataclass(slots=True)
class Soaked:
    """What a soak saw. `rows`: seconds, calls, bytes, tasks, file descriptors, sockets at each look while loaded."""

    before: AtRest
    after: AtRest
    calls: int
    endings: dict[str, int]
    troubles: dict[str, int]
    metrics: dict[str, float]
    rows: list[tuple[float, int, int, int, int, int]] = field(default_factory=list)

    @property
    def left_over(self) -> list[str]:
        """What did not end where it began."""
        return beyond(self.before, self.after, self.calls)

    def as_json(self) -> dict[str, Any]:
        """For reports."""

        def rest(at: AtRest) -> dict[str, int]:
            return {"rssBytes": at.rss, "tasks": at.tasks, "fds": at.fds, "sockets": at.sockets}

        highest = [max((row[n] for row in self.rows), default=0) for n in range(1, 6)]
        return {
            "calls": self.calls,
            "endings": self.endings,
            "troubles": self.troubles,
            "before": rest(self.before),
            "highest": dict(zip(("calls", "rssBytes", "tasks", "fds", "sockets"), highest, strict=True)),
            "after": rest(self.after),
            "suggestions": total(self.metrics, "turns_total", outcome="suggested"),
            "framesForwarded": total(self.metrics, "frames_total", outcome="forwarded"),
            "reconnects": total(self.metrics, "realtime_reconnects_total"),
            "leftOver": self.left_over,
        }


def total(metrics: dict[str, float], name: str, **labels: str) -> int:
    """The sum of a metric's series that have these labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return int(sum(v for k, v in metrics.items() if k.partition("{")[0] == name and all(part in k for part in wanted)))


async def look(stage: Stage) -> tuple[AtRest, int]:
    """The relay as it is, and its calls."""
    metrics = await stage.metrics()
    now = held(stage.relay.child.pid)
    return AtRest(now.rss, total(metrics, "tasks"), now.fds, now.sockets), total(metrics, "active_calls")


async def at_rest(stage: Stage, settle: float, at_most: AtRest | None = None) -> AtRest:
    """The relay once its calls are over and it has held no less for `settle` seconds, or as soon as it holds no more than `at_most`.

    Connections to Twilio are kept for a while after their last request.
    """
    deadline = time.monotonic() + QUIET_SECONDS
    best: AtRest | None = None
    since = time.monotonic()
    while True:
        now, calls = await look(stage)
        if calls == 0:
            done = at_most is not None and now.tasks <= at_most.tasks and now.fds <= at_most.fds
            if best is None or (now.tasks, now.fds, now.sockets) < (best.tasks, best.fds, best.sockets):
                best, since = now, time.monotonic()
            if done or time.monotonic() - since > settle:
                return now
        if time.monotonic() > deadline:
            if best is None:
                raise RuntimeError(f"{calls} calls did not end within {QUIET_SECONDS:.0f} s")
            return now
        await asyncio.sleep(0.5)


async def soak(
    stage: Stage,
    traffic: Traffic,
    calls: int,
    *,
    warm_seconds: float,
    seconds: float,
    spread: float,
    every: float,
    say: Say,
    settle: float = 25.0,
) -> Soaked:
    """Warms up at full load and lets all go; looks; loads again for `seconds`; lets all go; looks again."""
    traffic.keep(calls, spread / 2)
    await asyncio.sleep(warm_seconds)
    await traffic.end()
    before = await at_rest(stage, settle)
    say(f"warm after {sum(traffic.ended.values())} calls: {line(before, 0)}")
    warm = sum(traffic.ended.values())
    found = Soaked(before, before, 0, {}, {}, {})
    began = time.monotonic()
    traffic.keep(calls, spread)
    while (passed := time.monotonic() - began) < seconds:
        await asyncio.sleep(min(every, seconds - passed))
        now, up = await look(stage)
        if gone := stage.gone():
            raise RuntimeError("; ".join(gone))
        found.rows.append((time.monotonic() - began, up, now.rss, now.tasks, now.fds, now.sockets))
        say(f"{passed:6.0f} s  {sum(traffic.ended.values()) - warm:5} calls over  {line(now, up)}")
    await traffic.end()
    found.calls = sum(traffic.ended.values()) - warm
    found.after = await at_rest(stage, settle, at_most=before)
    found.endings, found.troubles, found.metrics = dict(traffic.ended), dict(traffic.troubles), await stage.metrics()
    say(f"at rest after {found.calls} calls: {line(found.after, 0)}")
    return found


def line(now: AtRest, calls: int) -> str:
    """One look in words."""
    return f"{calls:4} up  {now.rss / MB:7.1f} MB  {now.tasks:5} tasks  {now.fds:5} fds  {now.sockets:5} sockets"


async def affordable(stage: Stage, traffic: Traffic, trial: int, seconds: float, share: float, cores: int) -> tuple[int, float]:
    """How many calls `share` of the machine carries, relay and stand-ins together, and the CPU of one call in cores.

    Measured with `trial` calls. Every part is one thread, so the busiest of them may not need more than 70 % of a core either.
    """
    pids = [child.pid for child in stage._children]
    idle = [cpu_seconds(pid) for pid in pids]
    await asyncio.sleep(3)
    resting = [(cpu_seconds(pid) - was) / 3 for pid, was in zip(pids, idle, strict=True)]
    traffic.keep(trial, 2)
    await asyncio.sleep(4)
    was = [cpu_seconds(pid) for pid in pids]
    await asyncio.sleep(seconds)
    each = [max(1e-5, ((cpu_seconds(pid) - then) / seconds - rest) / trial) for pid, then, rest in zip(pids, was, resting, strict=True)]
    await traffic.end()
    return max(1, int(min(share * cores / sum(each), 0.7 / max(each)))), sum(each)
