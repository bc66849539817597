"""A minimal relay to compare with: `websockets`' sans-I/O objects on both sides, msgspec, uvloop. No check, no Sync, no second try.

sans_io_relay.py MODEL_URL TRACKS        # prints its port as one line of JSON
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys

import msgspec
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

URI = parse_uri(sys.argv[1] + "?model=x")
TRACKS = ("inbound", "outbound")[: int(sys.argv[2])]
TLS = ssl.create_default_context() if URI.secure else None


class Media(msgspec.Struct, gc=False):
    """20 ms of a track."""

    payload: str
    track: str = ""


class Message(msgspec.Struct, gc=False):
    """Any message of Twilio's."""

    event: str
    media: Media | None = None


decode = msgspec.json.Decoder(Message).decode


class Model(asyncio.Protocol):
    """One session at the model."""

    def __init__(self) -> None:
        self.ws, self.waiting = ClientProtocol(URI), []

    def connection_made(self, transport) -> None:
        """Shakes hands."""
        self.transport = transport
        self.ws.send_request(self.ws.connect())
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Nothing that comes matters here, except that the session is there."""
        self.ws.receive_data(data)
        self.ws.events_received()
        self.flush()
        if self.ws.state is State.OPEN and self.waiting:
            waiting, self.waiting = self.waiting, []
            for payload in waiting:
                self.append(payload)

    def append(self, payload: str) -> None:
        """One frame."""
        if self.ws.state is State.OPEN:
            self.ws.send_text(b'{"type":"input_audio_buffer.append","audio":"%b"}' % payload.encode())
            self.flush()
        else:
            self.waiting.append(payload)

    def flush(self) -> None:
        """Writes what the sans-I/O object has to send."""
        for chunk in self.ws.data_to_send():
            if chunk:
                self.transport.write(chunk)


class Call(asyncio.Protocol):
    """One media websocket."""

    def __init__(self) -> None:
        self.ws, self.models, self.tasks = ServerProtocol(), {}, []

    def connection_made(self, transport) -> None:
        """A call has come."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Handshake and frames alike go through the sans-I/O object."""
        self.ws.receive_data(data)
        for event in self.ws.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.TEXT:
                    message = decode(event.data)
                    if message.media is not None:
                        self.models[message.media.track].append(message.media.payload)
            elif isinstance(event, Request):
                self.ws.send_response(self.ws.accept(event))
                loop = asyncio.get_running_loop()
                for track in TRACKS:
                    model = self.models[track] = Model()
                    dial = loop.create_connection(lambda model=model: model, URI.host, URI.port, ssl=TLS)
                    self.tasks.append(loop.create_task(dial))
        for chunk in self.ws.data_to_send():
            if chunk:
                self.transport.write(chunk)
        if self.ws.state is State.CLOSED or self.ws.close_rcvd is not None:
            self.transport.close()

    def connection_lost(self, error) -> None:
        """The call is over."""
        for model in self.models.values():
            model.transport.close()


async def main() -> None:
    """Serves until killed."""
    server = await asyncio.get_running_loop().create_server(Call, "127.0.0.1", 0, backlog=4096)
    print(json.dumps({"listening": {"public": server.sockets[0].getsockname()[1]}}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
