"""Lines for the person who waits: what is being done, and how long it has taken."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT = 30.0  # seconds between two signs of life of a long step


def say(text: str) -> None:
    """Print one line at once; on the terminal also where pytest captures what tests print."""
    stream = sys.__stderr__ or sys.stderr
    stream.write(f"cluster: {text}\n")
    stream.flush()


def spelled(seconds: float) -> str:
    """A duration in words: 8.3 s, 2 min 30 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


@contextmanager
def step(what: str, usually: str = "") -> Iterator[None]:
    """Say when a step begins, every 30 s while it lasts, and what it took."""
    say(f"{what}{f' (usually {usually})' if usually else ''}")
    started = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT):
            say(f"  ... {what}: {spelled(time.monotonic() - started)} so far")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    except BaseException:
        say(f"  {what}: failed after {spelled(time.monotonic() - started)}")
        raise
    finally:
        ended.set()
        heart.join()
    say(f"  {what}: {spelled(time.monotonic() - started)}")
