"""Structured logs: JSON lines, or readable ones on a terminal. Never secrets, never spoken words, never a query string.

What an exception of somebody else's library says is not written: it may repeat a header, an address or a caller's words. A traceback
has the places and the classes, and the texts of our own errors. Values of secrets that get into a line all the same are blotted out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import structlog

from voiceassist_crds.tracebacks import places_and_classes, said

from .log_writer import LogWriter

Format = Literal["auto", "json", "console"]

BLOT = "(secret)"
_SHORTEST_SECRET = 8
"""Shorter values would blot out words that are none."""
_HIDDEN = 32


def call_hash(call_sid: str) -> str:
    """The first 10 hex digits of a call SID's SHA-256: how logs and traces name a call."""
    return hashlib.sha256(call_sid.encode()).hexdigest()[:10]


class Blotter:
    """Blots out secrets in what is written: the last 32 that were in force."""

    def __init__(self) -> None:
        self._values: list[str] = []

    def hide(self, values: Iterable[str]) -> None:
        """These are not to be read anywhere from now on."""
        new = [value for value in values if len(value) >= _SHORTEST_SECRET and value not in self._values]
        self._values = [*self._values, *new][-_HIDDEN:]

    def __call__(self, _: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """A processor of structlog."""
        return {key: self._blotted(value) for key, value in entry.items()}

    def _blotted(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._values:
                value = value.replace(secret, BLOT)
            return value
        if isinstance(value, dict):
            return {key: self._blotted(one) for key, one in value.items()}
        return [self._blotted(one) for one in value] if isinstance(value, list | tuple) else value


blotter = Blotter()
"""The process's own: logs are one for each process."""


def configure_logs(level: str = "info", style: Format = "auto") -> LogWriter:
    """Sets up structlog for the process. Libraries' own loggers speak from warning up, in the same shape. Returns what writes the lines."""
    console = sys.stderr.isatty() if style == "auto" else style == "console"
    writer = LogWriter(sys.stderr.fileno(), _gap_on_a_console if console else _gap)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    ending: list[structlog.typing.Processor] = [structlog.processors.ExceptionRenderer(places_and_classes), blotter, renderer]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, writer)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_of_a_library, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    return writer


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """What nobody caught ends the process; its last words are as careful as all others."""
    if not issubclass(kind, KeyboardInterrupt):
        structlog.get_logger("voiceassist").critical("ended by a defect", error=said(error), exc_info=(kind, error, where))


def _gap(lines: int) -> str:
    return json.dumps({"event": "log lines dropped", "level": "warning", "lines": lines}) + "\n"


def _gap_on_a_console(lines: int) -> str:
    return f"[warning] log lines dropped: {lines}\n"


def _of_a_library(_: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A library's line by its first words, without what was put into them: that may be anything."""
    record = entry.get("_record")
    if record is not None:
        said = str(record.msg).splitlines() or [""]
        entry["event"], entry["library"] = said[0][:200], record.name
    return entry
