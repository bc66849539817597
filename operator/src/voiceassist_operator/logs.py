"""Structured logs of the operator: JSON lines, or readable ones on a terminal. kopf and libraries speak from warning up.

What other people's exceptions say is not written (`voiceassist_crds.tracebacks`), nor what was put into a library's line.
"""

from __future__ import annotations

import json
import logging
import sys
from types import TracebackType
from typing import Literal, TextIO, cast

import structlog

from voiceassist_crds.tracebacks import places_and_classes, said

from .log_writer import LogWriter


def configure_logs(level: str, style: Literal["auto", "json", "console"]) -> LogWriter:
    """Sets up structlog for the process, and hands the standard library's loggers to it. Returns what writes the lines."""
    console = sys.stderr.isatty() if style == "auto" else style == "console"
    writer = LogWriter(sys.stderr.fileno(), _gap_on_a_console if console else _gap)
    common: list[structlog.typing.Processor] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last: list[structlog.typing.Processor] = [
        structlog.processors.ExceptionRenderer(places_and_classes),
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*common, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, writer)),
    )
    plain = structlog.stdlib.ProcessorFormatter
    handler = logging.StreamHandler(writer)
    handler.setFormatter(plain(foreign_pre_chain=[_of_a_library, *common], processors=[plain.remove_processors_meta, *last]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    sys.excepthook = _uncaught
    return writer


def _gap(lines: int) -> str:
    return json.dumps({"event": "log lines dropped", "level": "warning", "lines": lines}) + "\n"


def _gap_on_a_console(lines: int) -> str:
    return f"[warning] log lines dropped: {lines}\n"


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """What nobody caught ends the process; its last words are as careful as all others."""
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("voiceassist").critical("ended by a defect", error=said(error), exc_info=(kind, error, where))


def _of_a_library(_: object, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A library's line by its first words, without what was put into them: that may be anything."""
    record = entry.get("_record")
    if record is not None:
        words = str(record.msg).splitlines() or [""]
        entry["event"], entry["library"] = words[0][:200], record.name
    return entry
