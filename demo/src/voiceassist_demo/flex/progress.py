"""Says how far something is: on a terminal in one line that is written over, elsewhere once for each kind of line."""

from __future__ import annotations

import re
import sys


class Progress:
    """Prints lines of progress; `end` when something else is to be printed."""

    def __init__(self) -> None:
        self._kind = ""
        self._open = False

    def __call__(self, text: str) -> None:
        """One line; lines that differ in their numbers only are of one kind."""
        kind = re.sub(r"\d+", "#", text)
        if sys.stdout.isatty():
            print(f"\r\033[K  {text}", end="", flush=True)
            self._open = True
        elif kind != self._kind:
            print(f"  {text}", flush=True)
        self._kind = kind

    def end(self) -> None:
        """The next thing that is printed begins a line of its own."""
        if self._open:
            print(flush=True)
            self._open = False
