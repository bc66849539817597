"""Structured logs of the operator: JSON lines, or readable ones on a terminal. kopf and libraries speak from warning up."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog


def configure_logs(level: str, style: Literal["auto", "json", "console"]) -> None:
    """Sets up structlog for the process, and hands the standard library's loggers to it."""
    console = sys.stderr.isatty() if style == "auto" else style == "console"
    common: list[structlog.typing.Processor] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*common, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    plain = structlog.stdlib.ProcessorFormatter
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(plain(foreign_pre_chain=common, processors=[plain.remove_processors_meta, *last]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
