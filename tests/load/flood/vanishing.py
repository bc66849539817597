"""Opens streams and other connections from inside a network namespace and then does nothing: `python -m load.flood.vanishing JSON`."""

from __future__ import annotations

import json
import socket
import sys
import time

from load.flood.wire import Account, Stream, payload


def main() -> None:
    """Says `ready` when all are open; ends with its standard input."""
    asked = json.loads(sys.argv[1])
    account, held = Account(asked["account"], asked["token"]), []
    for number in range(asked["calls"]):
        connection, stream = socket.create_connection((asked["host"], asked["port"])), Stream(account)
        connection.sendall(stream.upgrade())
        assert connection.recv(4096).startswith(b"HTTP/1.1 101")
        connection.sendall(stream.opening() + stream.media(payload(9000 + number, 0)))
        held.append(connection)
    head = Stream(account).upgrade()
    for part in (b"", head[:40]):
        held.append(socket.create_connection((asked["host"], asked["port"])))
        held[-1].sendall(part)
    time.sleep(0.5)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
