"""A watch of one kind's objects, by their metadata alone where that is enough: no Secret's value comes in. Listed anew now and then."""

from __future__ import annotations

import asyncio
import json
import random
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
SILENT_SECONDS = 50.0
"""A connection on which nothing came for so long is dead. What it should have brought, the listing after it has."""
FIRST_PAUSE, LONGEST_PAUSE, GAP_PAUSE = 1.0, 30.0, 0.1
"""Between two attempts."""
MAX_LINE = 8 << 20
"""Bytes of one event; an object in etcd has 1.5 MiB at most."""
METADATA = "application/json;as={};g=meta.k8s.io;v=v1"
REFUSED = frozenset({400, 403, 404, 405, 406})
"""What an API server answers that will not change by itself; 401 and 429 pass."""
PAGE = 200
"""Objects in one answer of a listing."""
LIST_SECONDS = 600.0
"""Between two listings of what is watched, so that a lost event heals; up to 15 % less, so that not all are made at once."""
SPREAD = 0.85

log = structlog.get_logger("voiceassist.watch")


class _Gap(Exception):
    """The API server does not know any more what happened since; what is there is to be looked at anew."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where events go. None of these may wait."""

    changed: Callable[[Manifest], None]
    """An object is there, or has changed."""
    deleted: Callable[[Manifest], None]
    begin: Callable[[], None]
    """A listing begins, at the start, after a gap, or as it is time."""
    listed: Callable[[Manifest], None]
    """An object that is in the listing."""
    end: Callable[[], None]
    """The listing is complete: what was not in it is not there."""


class Watch:
    """Follows a selection of one kind's objects, until it is cancelled."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        kind: Kind,
        namespace: str,
        selection: Selection,
        receiver: Receiver,
        list_seconds: float = LIST_SECONDS,
    ) -> None:
        """`namespace` "*" is every one."""
        place = "" if namespace == "*" else f"/namespaces/{namespace}"
        self._url = f"{'/apis' if kind.group else '/api'}/{kind.api_version}{place}/{kind.plural}"
        self._select = {key: value for key, value in (("labelSelector", selection.labels), ("fieldSelector", selection.fields)) if value}
        self._http, self._kind, self._receiver = http, kind, receiver
        self._list_seconds = list_seconds
        self._form = "" if selection.whole else "PartialObjectMetadata"
        self._listed_at = float("-inf")
        self.alive_at = time.monotonic()
        """When the API server last answered, or the watch brought something."""
        self.answered = asyncio.Event()
        """Set when the first listing is complete, or refused."""

    async def run(self) -> None:
        """Follows for ever; trouble is logged once and tried again."""
        version, pause, trouble = "", FIRST_PAUSE, ""
        while True:
            try:
                if not version or self._listing_is_due():
                    version = await self._list()
                async for reached in self._follow(version):
                    version, pause, trouble = reached, FIRST_PAUSE, ""
            except _Gap:
                version = ""
                await asyncio.sleep(GAP_PAUSE)
            except httpx2.ReadTimeout:  # whoever swallowed this one may swallow the next one
                log.warning("a watch has fallen silent; what is there is listed", kind=self._kind.name)
                version = ""
                await asyncio.sleep(FIRST_PAUSE)
            except (Retryable, httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
                # The last three: something else answered in the API server's place, in JSON of another form.
                text = str(error) if isinstance(error, Retryable) else type(error).__name__
                if text != trouble:
                    log.warning("watch interrupted, tried again", kind=self._kind.name, error=text)
                trouble = text
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _listing_is_due(self) -> bool:
        wait = self._list_seconds * (SPREAD + (1 - SPREAD) * random.random())  # noqa: S311 - no secret
        return time.monotonic() - self._listed_at >= wait

    async def _list(self) -> str:
        """Hands on what is there, page by page. Returns the version to go on from."""
        page, version = "", ""
        self._receiver.begin()
        while True:
            asked = {**self._select, "limit": str(PAGE), **({"continue": page} if page else {})}
            answer = await self._http.get(self._url, params=asked, headers=_accept(f"{self._form}List" if self._form else ""))
            self._judge(answer)
            found = answer.json()
            for item in found.get("items") or []:
                self._receiver.listed(item)
            version, page = str(found["metadata"]["resourceVersion"]), found["metadata"].get("continue") or ""
            if not page:
                break
        self._receiver.end()
        self._listed_at = time.monotonic()
        self.answered.set()
        return version

    async def _follow(self, version: str) -> AsyncIterator[str]:
        """One watch. Yields the version to go on from, after each event and at the end."""
        asked = {
            **self._select,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(min(SERVER_SECONDS, self._list_seconds)))),
        }
        timeout = httpx2.Timeout(10.0, read=SILENT_SECONDS)
        headers = _accept(self._form)
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
        if answer.status_code in REFUSED:
            self.answered.set()  # nothing is known of the kind, and others need not wait for it
        if answer.status_code != 200:
            raise Retryable(f"answered with {answer.status_code}", FIRST_PAUSE)


def _accept(form: str) -> dict[str, str]:
    return {"Accept": METADATA.format(form) if form else "application/json"}


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
