"""Structured logs: JSON lines, or readable ones on a terminal. Never secrets, never spoken words, never a query string."""

from __future__ import annotations

import hashlib
import logging
import sys
from typing import Literal

import structlog

Format = Literal["auto", "json", "console"]


def call_hash(call_sid: str) -> str:
    """The first 10 hex digits of a call SID's SHA-256: how logs and traces name a call."""
    return hashlib.sha256(call_sid.encode()).hexdigest()[:10]


def configure_logs(level: str = "info", style: Format = "auto") -> None:
    """Sets up structlog for the process. Libraries' own loggers speak from warning up, in the same shape."""
    console = sys.stderr.isatty() if style == "auto" else style == "console"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
