"""Structured logs of the operator: JSON lines, or readable ones on a terminal. kopf and libraries speak from warning up."""

from __future__ import annotations

import json
import logging
import sys
from typing import Literal, TextIO, cast

import structlog

from .log_writer import LogWriter


def configure_logs(level: str, style: Literal["auto", "json", "console"]) -> LogWriter:
    """Sets up structlog for the process, and hands the standard library's loggers to it. Returns what writes the lines."""
    console = sys.stderr.isatty() if style == "auto" else style == "console"
    writer = LogWriter(sys.stderr.fileno(), _gap_on_a_console if console else _gap)
    common: list[structlog.typing.Processor] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*common, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, writer)),
    )
    plain = structlog.stdlib.ProcessorFormatter
    handler = logging.StreamHandler(writer)
    handler.setFormatter(plain(foreign_pre_chain=common, processors=[plain.remove_processors_meta, *last]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    return writer


def _gap(lines: int) -> str:
    return json.dumps({"event": "log lines dropped", "level": "warning", "lines": lines}) + "\n"


def _gap_on_a_console(lines: int) -> str:
    return f"[warning] log lines dropped: {lines}\n"
