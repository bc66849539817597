"""Where log lines go: a bounded queue, and a thread that writes, so that nobody waits for who reads the log. As in the relay."""

from __future__ import annotations

import atexit
import os
import select
import threading
from collections import deque
from collections.abc import Callable

MOST_BYTES = 1 << 20
"""What may wait to be written. A line that finds no room is dropped, and counted."""
LAST_SECONDS = 1.0
"""At the end of the process: how long what waits may still take."""


class LogWriter:
    """A file for whole lines whose `write` never waits.

    It writes to a descriptor: `sys.stderr` has a lock, which a thread that waits for a reader would take into the interpreter's end.
    """

    def __init__(self, descriptor: int, gap: Callable[[int], str], *, most_bytes: int = MOST_BYTES) -> None:
        """`gap` makes the line that stands where so many are missing."""
        self.on_dropped: Callable[[int], None] = lambda _: None
        """Told of lines that were dropped, in the thread that wrote them."""
        self._descriptor, self._gap, self._most = descriptor, gap, most_bytes
        self._lines: deque[bytes] = deque()
        self._waiting = 0  # bytes, those that are being written included
        self._missing = 0  # lines dropped since the last one that found room
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.drain, LAST_SECONDS)

    def write(self, text: str) -> int:
        """Takes a whole line, with its end, or drops it."""
        line = text.encode(errors="backslashreplace")
        with self._changed:
            dropped = self._waiting + len(line) > self._most
            if dropped:
                self._missing += 1
            else:
                if self._missing:
                    line, self._missing = self._gap(self._missing).encode() + line, 0
                self._lines.append(line)
                self._waiting += len(line)
                self._changed.notify_all()
        if dropped:
            self.on_dropped(1)
        return len(text)

    def flush(self) -> None:
        """Does nothing: whoever logs does not wait. See `drain`."""

    def drain(self, seconds: float) -> bool:
        """Waits until all is written, for so many seconds at most; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines.popleft()
            lost = 0 if self._written(line) else line.count(b"\n")
            with self._changed:
                self._waiting -= len(line)
                self._changed.notify_all()
            if lost:
                self.on_dropped(lost)

    def _written(self, line: bytes) -> bool:
        """Writes it, however long the reader takes. False: there is no reader."""
        left = memoryview(line)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # whoever gave us the descriptor made it so
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True
