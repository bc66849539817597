"""uvicorn, started and stopped by us: no signal handlers, no log lines of its own, sockets bound before it runs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

import uvicorn

from .addresses import BACKLOG
from .bounded_http import OnRefused, bounded_http
from .limits import HttpLimits


class UvicornServer(uvicorn.Server):
    """A server that the process's own drain ends: set `should_exit` when every call is over."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves the signals alone: uvicorn would close its listener at once, and streams are still to be let in."""
        yield

    def _log_started_message(self, listeners: Sequence[socket.SocketType]) -> None:
        pass


def server_config(
    app: Callable[..., Any],
    *,
    media: type[asyncio.Protocol] | None = None,
    limits: HttpLimits | None = None,
    on_refused: OnRefused,
    lifespan: Literal["auto", "on", "off"] = "auto",
    shutdown_seconds: int = 10,
) -> uvicorn.Config:
    """The configuration of one port. Serve it with `UvicornServer(config).serve(sockets=[bind(host, port)])`.

    `media` takes the websocket upgrades; without it they are refused. Forwarded headers are not believed: what is public is in
    the relay's configuration. `shutdown_seconds` bounds the wait for open connections once `should_exit` is set.
    """
    limits = limits or HttpLimits()
    return uvicorn.Config(
        app,
        http=bounded_http(limits, on_refused),
        ws=media if media is not None else "none",
        loop="uvloop",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=shutdown_seconds,
        backlog=BACKLOG,
    )
