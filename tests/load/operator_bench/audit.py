"""The API server's audit log, read on from where the last look ended."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path


class Audit:
    """What was asked of the API server, by user: answered requests, watches and the Lease included."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest = path, 0, b""
        self._answered: dict[str, list[tuple[float, str, str]]] = defaultdict(list)

    def answered(self, user: str) -> list[tuple[float, str, str]]:
        """Returns when (epoch seconds), verb and resource of each request of a user so far."""
        with self._path.open("rb") as log:
            log.seek(self._at)
            *lines, self._rest = (self._rest + log.read()).split(b"\n")
            self._at = log.tell()
        for line in lines:
            event = json.loads(line)
            if event["stage"] != "ResponseComplete":
                continue
            ref = event.get("objectRef") or {}
            resource = "/".join(part for part in (ref.get("resource"), ref.get("subresource")) if part)
            when = datetime.fromisoformat(event["stageTimestamp"]).timestamp()
            self._answered[event["user"].get("username", "")].append((when, event["verb"], resource))
        return self._answered[user]
