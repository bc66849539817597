"""Twilio's REST answers at the lowest price: what `/stream` makes of a call is there already. Prints its port as one line of JSON.

Nothing is kept: an object is always as `/stream` left it, whatever was written since, so that a call can be played again. The answers
cost next to nothing, so that they do not disturb what is measured. The first argument names the file of the calls' Documents.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _answer(status: bytes, body: dict[str, object]) -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)


_NO_END = "2099-01-01T00:00:00Z"
_OBJECT = {"sid": "TO" + "0" * 32, "unique_name": "x", "created_by": "system", "date_expires": _NO_END}
_ITEM = {"sid": "MI", "key": "status", "revision": "0", "created_by": "system", "data": {"state": "starting", "generation": 1}}
_WRITTEN = _answer(b"200 OK", _OBJECT | _ITEM | {"sid": "ET" + "0" * 32, "revision": "1", "data": {}})
_MADE = _answer(b"201 Created", _OBJECT | {"key": "0001", "revision": "0", "data": {}})
_THERE = _answer(b"200 OK", _OBJECT | {"items": [], "meta": {}})
_STATUS = _answer(b"200 OK", _ITEM)
_TAKEN = _answer(b"409 Conflict", {"code": 54301, "message": "exists", "status": 409})
_MISSING = _answer(b"404 Not Found", {"code": 20404, "message": "not found", "status": 404})
_CREATIONS = (b"/Documents", b"/Maps", b"/Streams")

documents: dict[bytes, bytes] = {}


def answer(method: bytes, path: bytes, body: bytes) -> bytes:
    """The answer to a request."""
    path = path.partition(b"?")[0]
    if method == b"POST":
        taken = path.endswith(_CREATIONS) or (path.endswith(b"/Items") and b"Key=status" in body)
        return _TAKEN if taken else _MADE if path.endswith((b"/Items", b"/Messages")) else _WRITTEN
    if b"/Documents/" in path:
        return documents.get(path[path.rfind(b"/") + 1 :], _MISSING)
    return _STATUS if path.endswith(b"/Items/status") else _THERE


class Stub(asyncio.Protocol):
    """One connection, requests one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's have the methods
        self.held = b""

    def data_received(self, data: bytes) -> None:
        """Answers what has arrived whole."""
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.held) < whole:
                return
            body, self.held = self.held[end + 4 : whole], self.held[whole:]
            method, path, _ = head.split(b" ", 2)
            self.transport.write(answer(method, path, body))


async def main() -> None:
    """Serves until killed."""
    for line in Path(sys.argv[1]).read_text().splitlines():
        name, found = json.loads(line)
        documents[name.encode()] = _answer(b"200 OK", found)
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(json.dumps({"listening": {"public": server.sockets[0].getsockname()[1]}}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
