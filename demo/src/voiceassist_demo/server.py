"""The page's server: static files, one feed of changes for each browser, the prompt, and what the Flex window asks. On loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from voiceassist_crds.errors import ContractError

from .errors import DemoError

FOLDER = Path(__file__).parent / "page"
BEHIND = 200
"""Changes that a browser may be behind before it is cut off; it then connects again and gets the whole board."""

SetPrompt = Callable[[str, bool], str]
"""Takes the new instructions and whether they are a canary, gives the revision. Raises ContractError."""


class FlexControls(Protocol):
    """What the server needs of the Flex window."""

    def open(self) -> None:
        """Prepares it and opens it; returns at once."""

    def log_in_url(self) -> str:
        """Where Flex comes up for its agent; empty while there is none."""

    def recording(self, call_sid: str) -> Path | None:
        """The recording of a call of this agent."""


def listen(port: int) -> socket.socket:
    """A socket on loopback. Raises DemoError if the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise DemoError(f"port {port} is taken; choose another one with --port (make demo ARGS='--port {_next(port)}')") from None
    listener.listen()
    return listener


def _next(port: int) -> int:
    return port + 1 if port < 65535 else port - 1


class PageServer:
    """Serves one board."""

    def __init__(
        self, board: Callable[[], dict[str, Any]], prompt: Callable[[], dict[str, Any]], set_prompt: SetPrompt, flex: FlexControls
    ) -> None:
        self._board, self._prompt, self._set_prompt, self._flex = board, prompt, set_prompt, flex
        self._browsers: set[asyncio.Queue[str | None]] = set()
        app = web.Application(client_max_size=256 * 1024)
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/feed", self._feed),
                web.get("/prompt", self._get_prompt),
                web.put("/prompt", self._put_prompt),
                web.put("/flex", self._open_flex),
                web.get("/desk", self._desk),
                web.get("/desk/log-in", self._log_in),
                web.get("/desk/recordings/{sid}", self._recording),
                web.static("/page", FOLDER),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def start(self, listener: socket.socket) -> int:
        """Serves on a bound socket; gives the port."""
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Ends all feeds and stops listening."""
        for browser in list(self._browsers):
            with contextlib.suppress(asyncio.QueueFull):
                browser.put_nowait(None)
        await self._runner.cleanup()

    def tell(self, change: dict[str, Any]) -> None:
        """Tells every browser of a change; one that is too far behind is cut off."""
        text = json.dumps(change)
        for browser in list(self._browsers):
            try:
                browser.put_nowait(text)
            except asyncio.QueueFull:
                self._browsers.discard(browser)
                browser.get_nowait()
                browser.put_nowait(None)

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(FOLDER / "index.html", headers={"Cache-Control": "no-store"})

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        queue: asyncio.Queue[str | None] = asyncio.Queue(BEHIND)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        await response.write(b"data: " + json.dumps({"board": self._board()}).encode() + b"\n\n")
        self._browsers.add(queue)
        try:
            while (text := await queue.get()) is not None:
                await response.write(b"data: " + text.encode() + b"\n\n")
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._browsers.discard(queue)
        return response

    async def _get_prompt(self, _: web.Request) -> web.Response:
        return web.json_response(self._prompt())

    async def _put_prompt(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            text = body["instructions"]
            revision = self._set_prompt(str(text), body.get("canary") is True)
        except (ValueError, KeyError, TypeError) as error:
            text = "; ".join(error.problems) if isinstance(error, ContractError) else 'give {"instructions": "…", "canary": false}'
            return web.json_response({"error": text}, status=400)
        return web.json_response({"revision": revision, "tried": self._board().get("rollout", {}).get("canaryRevision") == revision})

    async def _open_flex(self, _: web.Request) -> web.Response:
        self._flex.open()
        return web.json_response({}, status=202)

    async def _desk(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(FOLDER / "desk.html", headers={"Cache-Control": "no-store"})

    async def _log_in(self, _: web.Request) -> web.StreamResponse:
        url = self._flex.log_in_url()
        if not url:
            raise web.HTTPNotFound(text="No agent is at the desk: open Flex from the demo's page.")
        raise web.HTTPFound(url)

    async def _recording(self, request: web.Request) -> web.StreamResponse:
        path = self._flex.recording(request.match_info["sid"])
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": "no-store"})
