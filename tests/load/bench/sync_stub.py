"""Twilio's REST answers at the lowest price: every object can be made, none is found. Prints its port as one line of JSON.

The relay writes to it all that it writes to Sync; the answers cost next to nothing, so that they do not disturb what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _answer(status: bytes, body: dict[str, object]) -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)


_MADE = _answer(
    b"201 Created", {"sid": "ET" + "0" * 32, "key": "status", "revision": "0", "unique_name": "x", "data": {}, "items": [], "meta": {}}
)
_LISTED = _answer(b"200 OK", {"sid": "IS" + "0" * 32, "items": [], "meta": {}})
_MISSING = _answer(b"404 Not Found", {"code": 20404, "message": "not found", "status": 404})


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
            self.held = self.held[whole:]
            line = head[: head.find(b"\r\n")]
            if line.startswith(b"POST"):
                self.transport.write(_MADE)
            else:
                self.transport.write(_MISSING if b"/Documents/" in line else _LISTED)


async def main() -> None:
    """Serves until killed."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(json.dumps({"listening": {"public": server.sockets[0].getsockname()[1]}}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
