"""A watch of one kind's objects by their metadata alone: no Secret's value comes in, and nothing is kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import structlog

from ..errors import Retryable
from .kinds import Kind, Manifest, Selection

SERVER_SECONDS = 45
"""The API server ends a watch after this time: one that goes on without a word is taken for dead soon after."""
SILENT_SECONDS = 60.0
"""A connection on which nothing came for so long is dead."""
FIRST_PAUSE, LONGEST_PAUSE, GAP_PAUSE = 1.0, 30.0, 0.1
"""Between two attempts."""
MAX_LINE = 8 << 20
"""Bytes of one event; an object in etcd has 1.5 MiB at most."""
METADATA = "application/json;as={};g=meta.k8s.io;v=v1"

log = structlog.get_logger("voiceassist.watch")


class _Gap(Exception):
    """The API server does not know any more what happened since; what is there is to be looked at anew."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where events go. None of these may wait."""

    changed: Callable[[Manifest], None]
    """An object is there, or has changed."""
    deleted: Callable[[Manifest], None]
    looked: Callable[[], None]
    """Followed anew, as at the start: events may have been missed."""


class Watch:
    """Follows a selection of one kind's objects, until it is cancelled."""

    def __init__(self, http: httpx2.AsyncClient, kind: Kind, namespace: str, selection: Selection, receiver: Receiver) -> None:
        """`namespace` "*" is every one."""
        place = "" if namespace == "*" else f"/namespaces/{namespace}"
        self._url = f"{'/apis' if kind.group else '/api'}/{kind.api_version}{place}/{kind.plural}"
        self._select = {key: value for key, value in (("labelSelector", selection.labels), ("fieldSelector", selection.fields)) if value}
        self._http, self._kind, self._receiver = http, kind, receiver
        self.alive_at = time.monotonic()
        """When the API server last answered, or the watch brought something."""

    async def run(self) -> None:
        """Follows for ever; trouble is logged once and tried again."""
        version, pause, trouble = "", FIRST_PAUSE, ""
        while True:
            try:
                version = version or await self._look()
                async for reached in self._follow(version):
                    version, pause, trouble = reached, FIRST_PAUSE, ""
            except _Gap:
                version = ""
                await asyncio.sleep(GAP_PAUSE)
            except (Retryable, httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
                # The last three: something else answered in the API server's place, in JSON of another form.
                text = str(error) if isinstance(error, Retryable) else type(error).__name__
                if text != trouble:
                    log.warning("watch interrupted, tried again", kind=self._kind.name, error=text)
                trouble = text
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _look(self) -> str:
        """Returns the version to go on from; of what is there no more than one object's metadata is read."""
        answer = await self._http.get(self._url, params={**self._select, "limit": "1"}, headers=_accept("PartialObjectMetadataList"))
        self._judge(answer)
        version = str(answer.json()["metadata"]["resourceVersion"])
        self._receiver.looked()
        return version

    async def _follow(self, version: str) -> AsyncIterator[str]:
        """One watch. Yields the version to go on from, after each event and at the end."""
        asked = {
            **self._select,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(SERVER_SECONDS),
        }
        timeout = httpx2.Timeout(10.0, read=SILENT_SECONDS)
        headers = _accept("PartialObjectMetadata")
        async with self._http.stream("GET", self._url, params=asked, headers=headers, timeout=timeout) as answer:
            self._judge(answer)
            async for line in lines(answer.aiter_bytes()):
                self.alive_at = time.monotonic()
                version = self._take(json.loads(line)) or version
                yield version
        self.alive_at = time.monotonic()
        yield version

    def _take(self, event: Mapping[str, Any]) -> str:
        """Hands one event on. Returns its version."""
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            if item.get("code") == 410:
                raise _Gap
            raise Retryable(f"{item.get('code')} {item.get('reason')}", FIRST_PAUSE)
        if kind == "DELETED":
            self._receiver.deleted(item)
        elif kind != "BOOKMARK":
            self._receiver.changed(item)
        return str(item["metadata"].get("resourceVersion") or "")

    def _judge(self, answer: httpx2.Response) -> None:
        if answer.status_code == 410:
            raise _Gap
        if answer.status_code < 500:
            self.alive_at = time.monotonic()  # it is heard; a right that is missing is no deafness
        if answer.status_code != 200:
            raise Retryable(f"answered with {answer.status_code}", FIRST_PAUSE)


def _accept(form: str) -> dict[str, str]:
    return {"Accept": METADATA.format(form)}


async def lines(chunks: AsyncIterator[bytes], most: int = MAX_LINE) -> AsyncIterator[bytes]:
    """Yields what is between line feeds, and those alone: texts may hold other separators. Raises Retryable above `most` bytes."""
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > most:
                raise Retryable(f"an event of more than {most} bytes", FIRST_PAUSE)
            continue
        *whole, left = rest.split(b"\n")
        rest = bytearray(left)
        for line in whole:
            if line:
                yield bytes(line)
