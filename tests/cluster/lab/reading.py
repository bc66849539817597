"""What `kubectl get -o json` gives, asked of the API server by this process: a hundredth of the CPU time of a kubectl, which the tests that
wait would else begin a few times a second."""

from __future__ import annotations

import functools
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cluster.lab.errors import CommandError

Json = dict[str, Any]
TIMEOUT = 60.0
"""Seconds that a request may take."""
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class _Kind:
    """A resource of the API server."""

    base: str  # /api/v1, /apis/GROUP/VERSION
    plural: str
    kind: str
    namespaced: bool

    @property
    def version(self) -> str:
        """As an object's apiVersion."""
        return self.base.removeprefix("/apis/").removeprefix("/api/")


@dataclass(frozen=True)
class _Question:
    """The arguments of a `kubectl get`."""

    kinds: tuple[str, ...]
    name: str
    namespace: str  # empty: all
    selector: str

    @classmethod
    def of(cls, arguments: tuple[str, ...]) -> _Question:
        """Raises ValueError for an option that is none of these: -n, -A, -l."""
        words, namespace, selector, left = list[str](), "default", "", iter(arguments)
        for one in left:
            if one == "-n":
                namespace = next(left)
            elif one == "-l":
                selector = next(left)
            elif one == "-A":
                namespace = ""
            elif one.startswith("-"):
                raise ValueError(f"{one}: ask kubectl itself")
            else:
                words.append(one)
        kind, _, name = words[0].partition("/")
        return cls(tuple(kind.lower().split(",")), name or "".join(words[1:2]), namespace, selector)


class Reader:
    """Reads from an API server as its administrator. May be used by several threads."""

    def __init__(self, port: Callable[[], int], authority: Path, pair: tuple[Path, Path]) -> None:
        """`port` of 127.0.0.1 leads to the server; `pair`: the administrator's certificate and key."""
        self._port, self._authority, self._pair = port, authority, pair
        self._known: dict[str, _Kind] = {}
        self._lock = threading.Lock()

    def get(self, *arguments: str) -> Json:
        """An object, or the list of those that there are. Raises CommandError, as the kubectl with these arguments would fail."""
        asked, command = _Question.of(arguments), ["kubectl", "get", *arguments]
        if asked.name:
            [kind] = self._kinds(asked, command)
            where = f"/namespaces/{asked.namespace}" if kind.namespaced else ""
            return _shown(self._ask(f"{kind.base}{where}/{kind.plural}/{asked.name}", command))
        found = [item for kind in self._kinds(asked, command) for item in self._list(kind, asked, command)]
        return {"apiVersion": "v1", "kind": "List", "items": found}

    def _list(self, kind: _Kind, asked: _Question, command: list[str]) -> Iterator[Json]:
        where = f"/namespaces/{asked.namespace}" if kind.namespaced and asked.namespace else ""
        query = f"?{urlencode({'labelSelector': asked.selector})}" if asked.selector else ""
        for item in self._ask(f"{kind.base}{where}/{kind.plural}{query}", command)["items"]:
            yield _shown({"apiVersion": kind.version, "kind": kind.kind, **item})  # which items of a list lack

    def _kinds(self, asked: _Question, command: list[str]) -> list[_Kind]:
        if not self._known.keys() >= set(asked.kinds):  # a kind may have come since
            known = dict(self._discovered(command))
            with self._lock:
                self._known = known
        for name in asked.kinds:
            if name not in self._known:
                raise CommandError(command, 1, "", f"error: the server doesn't have a resource type {name!r}")
        return [self._known[name] for name in asked.kinds]

    def _discovered(self, command: list[str]) -> Iterator[tuple[str, _Kind]]:
        """Kinds by all the names that kubectl knows them by; of those that share one that of the first group, the core, comes last."""
        groups = [(root, group) for root in ("/api", "/apis") for group in self._ask(root, command, _DISCOVERY)["items"]]
        for root, group in reversed(groups):
            own = group["metadata"].get("name", "")
            version = group["versions"][0]
            base = "/".join(part for part in (root, own, version["version"]) if part)
            for resource in version.get("resources", []):
                kind = _Kind(base, resource["resource"], resource["responseKind"]["kind"], resource["scope"] == "Namespaced")
                names = (resource["resource"], resource.get("singularResource", ""), *resource.get("shortNames", []))
                for name in filter(None, names):
                    yield name, kind
                    yield f"{name}.{own}", kind

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._authority))
        context.load_cert_chain(*self._pair)
        return context

    def _ask(self, path: str, command: list[str], accept: str = "application/json") -> Json:
        deadline = time.monotonic() + TIMEOUT
        while True:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port(), timeout=TIMEOUT, context=self._context)
            try:
                connection.request("GET", path, headers={"Accept": accept})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise CommandError(command, 1, "", f"the server could not be asked: {error!r}") from None
            finally:
                connection.close()
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                return _read(answer.status, text, command)
            time.sleep(float(answer.headers.get("Retry-After", "1")))  # of a new kind, for a second


def _read(status: int, text: bytes, command: list[str]) -> Json:
    if status != HTTPStatus.OK:
        told = json.loads(text) if text.startswith(b"{") else {"reason": status, "message": text.decode(errors="replace")}
        raise CommandError(command, 1, "", f"Error from server ({told.get('reason')}): {told.get('message')}")
    found: Json = json.loads(text)
    return found


def _shown(item: Json) -> Json:
    """What kubectl shows of an object."""
    item["metadata"].pop("managedFields", None)
    return item
