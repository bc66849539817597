"""Tracebacks for logs: places and classes, and the texts of our own errors alone. Pure.

What an exception of somebody else's library says is not written: it may repeat a header, an address, a login or a caller's words.
"""

from __future__ import annotations

import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_OURS = "voiceassist_"
_MAX_CHAIN = 8


def places_and_classes(exc_info: ExcInfo) -> str:
    """A traceback without the texts of other people's exceptions, causes first."""
    chain: list[BaseException] = []
    error: BaseException | None = exc_info[1]
    while error is not None and error not in chain and len(chain) < _MAX_CHAIN:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\n".join(_one(each) for each in reversed(chain))


def said(error: BaseException) -> str:
    """An exception's class, and its text if it is one of ours."""
    kind = type(error)
    if kind.__module__.startswith(_OURS):
        return f"{kind.__name__}: {error}"
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _one(error: BaseException) -> str:
    stack = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__)).format()
    lines = ["".join(stack).rstrip("\n"), said(error)]
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions[:_MAX_CHAIN]:
            lines += [f"  | {line}" for line in places_and_classes((type(part), part, part.__traceback__)).splitlines()]
    return "\n".join(line for line in lines if line)
