"""Twilio Sync as the relay uses it: Documents, Streams, Maps, their items and permissions, with small typed results.

Nothing is retried here. Names and keys are encoded here; where a method takes `sid`, a unique name does as well, except for
`publish`, which wants the Stream's own `TO…` SID. Sync's own limits apply: 16 KiB for an item or Document, 4 KB for a message.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog

from voiceassist_crds.names import CALL_SID_PATTERN

from ..config.snapshot import CurrentSnapshot
from ..errors import TwilioError, TwilioRefused, TwilioUnclear
from ..logs import call_hash
from ..peer_health import Reporter
from ..twilio.rest import Answer, Form, TwilioRest, segment
from .payload import encode

PRODUCT = "sync"
NAME_TAKEN = 54301
"""Code of a refused creation: an object of this unique name exists."""
KEY_TAKEN = 54208
"""Code of a refused Map item: an item of this key exists."""
REVISION_MISMATCH = 54103
"""Code of an update whose If-Match is not the object's revision any more."""
PAGE_SIZE = 100
MAX_PAGES = 100
SYSTEM = "system"
"""`created_by` of what was made through REST (Twilio's documentation of the Sync resources); of anything else it is an identity."""
ACL_SECONDS = 600.0
"""How long it is remembered whether a service guards its objects."""
_CALL_SID = re.compile(CALL_SID_PATTERN)
ENOUGH_LEFT = 0.9
"""The share of a time to live that is as good as all of it: it is renewed at its half."""
_REPLACED = 3
"""How often an object that somebody keeps making before us is replaced at once."""

log = structlog.get_logger("voiceassist.sync")


@dataclass(frozen=True, slots=True)
class Revisioned:
    """A Document or a Map's item at one revision. `sid` is the Document's SID, or the item's key."""

    sid: str
    revision: str
    data: dict[str, Any] = field(repr=False)
    foreign: bool = False
    """It was made with somebody's access token, not through REST as we make things."""


@dataclass(frozen=True, slots=True)
class Container:
    """A Stream (`TO…`) or a Map (`MP…`); `existed`: it was there before; `foreign`: made with somebody's access token, not through REST."""

    sid: str
    name: str
    existed: bool = False
    foreign: bool = False
    expires: float = 0.0
    """Epoch seconds; 0 where Sync does not say it."""


def is_taken(error: TwilioRefused) -> bool:
    """Whether a creation was refused because the name or key is in use."""
    return error.status == HTTPStatus.CONFLICT or error.code in {NAME_TAKEN, KEY_TAKEN}


def is_missing(error: TwilioRefused) -> bool:
    """Whether the object of the request does not exist (any more)."""
    return error.status == HTTPStatus.NOT_FOUND


def is_stale(error: TwilioRefused) -> bool:
    """Whether an update was refused because somebody changed the object since it was read."""
    return error.status == HTTPStatus.PRECONDITION_FAILED or error.code == REVISION_MISMATCH


class Watch(Protocol):
    """Who is told how Sync does."""

    def asking(self) -> Reporter:
        """Before a request; given back with its answer."""

    def __call__(self, error: TwilioError | None, reporter: Reporter) -> None:
        """One answer."""


class SyncClient:
    """One Sync service: the one that the snapshot in force names, or a pinned one. Every method raises TwilioError's three kinds.

    `watch` is told of every answer of the service that the snapshot in force names: None for one that Sync gave as asked, else the
    error.
    """

    def __init__(
        self,
        rest: TwilioRest,
        current: CurrentSnapshot,
        *,
        timeout: float | None = None,
        watch: Watch | None = None,
        service_sid: str | None = None,
        on_foreign: Callable[[str], None] | None = None,
        guarded: dict[str, tuple[bool, float]] | None = None,
    ) -> None:
        """`on_foreign` is told the kind of each object that was there before us and is not ours."""
        self._rest = rest
        self._current = current
        self._timeout = timeout
        self._watch = watch
        self._service_sid = service_sid
        self._on_foreign = on_foreign
        self._guarded = {} if guarded is None else guarded

    def pinned(self) -> SyncClient:
        """A client that stays with the service of this moment, so that a call's objects are found where they were made."""
        service = self._current().config.twilio.sync_service_sid
        return SyncClient(
            self._rest,
            self._current,
            timeout=self._timeout,
            watch=self._watch,
            service_sid=service,
            on_foreign=self._on_foreign,
            guarded=self._guarded,
        )

    @property
    def auth_tokens(self) -> tuple[str, ...]:
        """Twilio's auth tokens in force: what we mark our own with."""
        return self._current().secrets.auth_tokens

    async def is_guarded(self) -> bool:
        """Whether the service has `AclEnabled`: then nobody's access token changes what was made through REST."""
        service = self._service_sid or self._current().config.twilio.sync_service_sid
        known, now = self._guarded.get(service), time.monotonic()
        if known is None or now >= known[1]:
            answer = await self._get("service_fetch", "")
            known = self._guarded[service] = (answer.body.get("acl_enabled") is True, now + ACL_SECONDS)
        return known[0]

    def not_ours(self, kind: str, name: str) -> None:
        """Counts and tells of an object that was there before us and is not ours; `name` has the call's SID in it."""
        named = _CALL_SID.search(name)
        call = call_hash(named[0]) if named else ""
        log.error("an object of a call was made by somebody else and is replaced", kind=kind, call=call)
        if self._on_foreign is not None:
            self._on_foreign(kind)

    # Documents

    async def create_document(self, name: str, data: Mapping[str, Any], ttl: int) -> Revisioned:
        """Creates a Document (`ttl` in seconds); TwilioRefused with `is_taken` if one of this name exists."""
        answer = await self._post("document_create", "/Documents", {"UniqueName": name, "Data": encode(data), "Ttl": ttl})
        return _revisioned("document_create", answer)

    async def fetch_document(self, sid: str) -> Revisioned:
        """A Document as it is now; TwilioRefused with `is_missing` if there is none."""
        return _revisioned("document_fetch", await self._get("document_fetch", f"/Documents/{segment(sid)}"))

    async def update_document(
        self, sid: str, data: Mapping[str, Any], *, if_match: str | None = None, ttl: int | None = None
    ) -> Revisioned:
        """Replaces a Document's data; with `if_match`, only if that is still its revision (else TwilioRefused, `is_stale`)."""
        path = f"/Documents/{segment(sid)}"
        answer = await self._post("document_update", path, _with_ttl({"Data": encode(data)}, "Ttl", ttl), if_match)
        return _revisioned("document_update", answer)

    async def delete_document(self, sid: str) -> None:
        """Removes a Document; TwilioRefused with `is_missing` if there is none."""
        await self._request("document_delete", "DELETE", f"/Documents/{segment(sid)}")

    async def set_document_ttl(self, sid: str, ttl: int) -> None:
        """Begins the Document's time to live (seconds) anew."""
        await self._post("document_ttl", f"/Documents/{segment(sid)}", {"Ttl": ttl})

    # Streams

    async def create_stream(self, name: str, ttl: int) -> Container:
        """Creates a Stream (`ttl` in seconds); TwilioRefused with `is_taken` if one of this name exists."""
        answer = await self._post("stream_create", "/Streams", {"UniqueName": name, "Ttl": ttl})
        return Container(_text("stream_create", answer, "sid"), name)

    async def fetch_stream(self, sid: str) -> Container:
        """A Stream; TwilioRefused with `is_missing` if there is none."""
        answer = await self._get("stream_fetch", f"/Streams/{segment(sid)}")
        return _existing("stream_fetch", answer)

    async def delete_stream(self, sid: str) -> None:
        """Removes a Stream: who listens to it is told so. TwilioRefused with `is_missing` if there is none."""
        await self._request("stream_delete", "DELETE", f"/Streams/{segment(sid)}")

    async def set_stream_ttl(self, sid: str, ttl: int) -> None:
        """Begins the Stream's time to live (seconds) anew."""
        await self._post("stream_ttl", f"/Streams/{segment(sid)}", {"Ttl": ttl})

    async def publish(self, stream_sid: str, data: Mapping[str, Any], *, timeout: float | None = None) -> None:
        """Sends one message of at most 4 KB on a Stream, named by its `TO…` SID. Neither order nor delivery is promised."""
        await self._post("stream_publish", f"/Streams/{segment(stream_sid)}/Messages", {"Data": encode(data)}, timeout=timeout)

    async def ensure_stream(self, name: str, ttl: int, *, look: bool = False) -> Container:
        """The Stream of this name, made if it is missing or not ours. One that exists gets the time to live anew, whatever it had.

        `look`: it is likely to be there, so that is found out first, and one that has most of this time left keeps it: one request
        instead of three.
        """
        return await self._ensure(
            "stream",
            name,
            lambda: self.create_stream(name, ttl),
            self.fetch_stream,
            self.delete_stream,
            lambda sid: self.set_stream_ttl(sid, ttl),
            ttl * ENOUGH_LEFT if look else None,
        )

    # Maps

    async def create_map(self, name: str, ttl: int) -> Container:
        """Creates a Map (`ttl` in seconds); TwilioRefused with `is_taken` if one of this name exists."""
        answer = await self._post("map_create", "/Maps", {"UniqueName": name, "Ttl": ttl})
        return Container(_text("map_create", answer, "sid"), name)

    async def fetch_map(self, sid: str) -> Container:
        """A Map; TwilioRefused with `is_missing` if there is none."""
        answer = await self._get("map_fetch", f"/Maps/{segment(sid)}")
        return _existing("map_fetch", answer)

    async def delete_map(self, sid: str) -> None:
        """Removes a Map with its items; TwilioRefused with `is_missing` if there is none."""
        await self._request("map_delete", "DELETE", f"/Maps/{segment(sid)}")

    async def set_map_ttl(self, sid: str, ttl: int) -> None:
        """Begins the Map's time to live (seconds) anew."""
        await self._post("map_ttl", f"/Maps/{segment(sid)}", {"Ttl": ttl})

    async def ensure_map(self, name: str, ttl: int, *, look: bool = False) -> Container:
        """The Map of this name, made if it is missing or not ours. One that exists gets the time to live anew; `look` as for a Stream."""
        return await self._ensure(
            "map",
            name,
            lambda: self.create_map(name, ttl),
            self.fetch_map,
            self.delete_map,
            lambda sid: self.set_map_ttl(sid, ttl),
            ttl * ENOUGH_LEFT if look else None,
        )

    async def _ensure(
        self,
        kind: str,
        name: str,
        create: Callable[[], Awaitable[Container]],
        fetch: Callable[[str], Awaitable[Container]],
        delete: Callable[[str], Awaitable[None]],
        renew: Callable[[str], Awaitable[None]],
        enough: float | None,
    ) -> Container:
        """`enough`: it is looked for first, and keeps its time to live if so many seconds are left."""
        for _ in range(_REPLACED):
            if enough is None:
                try:
                    return await create()
                except TwilioRefused as error:
                    if not is_taken(error):
                        raise
            try:
                found = await fetch(name)
            except TwilioRefused as error:
                if enough is None or not is_missing(error):
                    raise
                enough = None
                continue
            if not found.foreign:
                if enough is None or found.expires < time.time() + enough:
                    await renew(found.sid)
                return found
            enough = None
            self.not_ours(kind, name)
            try:
                await delete(found.sid)
            except TwilioRefused as error:
                if not is_missing(error):
                    raise
        raise TwilioUnclear(f"sync_{kind}_ensure", 0, 0, "somebody else makes it again and again")

    async def create_item(self, map_sid: str, key: str, data: Mapping[str, Any], ttl: int) -> Revisioned:
        """Adds an item to a Map; TwilioRefused with `is_taken` if the key is in use."""
        answer = await self._post("item_create", f"/Maps/{segment(map_sid)}/Items", {"Key": key, "Data": encode(data), "ItemTtl": ttl})
        return _revisioned("item_create", answer, "key")

    async def fetch_item(self, map_sid: str, key: str) -> Revisioned:
        """A Map's item; TwilioRefused with `is_missing` if there is none."""
        return _revisioned("item_fetch", await self._get("item_fetch", f"/Maps/{segment(map_sid)}/Items/{segment(key)}"), "key")

    async def update_item(
        self, map_sid: str, key: str, data: Mapping[str, Any], *, if_match: str | None = None, ttl: int | None = None
    ) -> Revisioned:
        """Replaces an item's data; with `if_match`, only if that is still its revision (else TwilioRefused, `is_stale`)."""
        path = f"/Maps/{segment(map_sid)}/Items/{segment(key)}"
        answer = await self._post("item_update", path, _with_ttl({"Data": encode(data)}, "ItemTtl", ttl), if_match)
        return _revisioned("item_update", answer, "key")

    async def items(
        self, map_sid: str, *, descending: bool = False, start: str | None = None, page_size: int = PAGE_SIZE, most_pages: int = MAX_PAGES
    ) -> AsyncIterator[Revisioned]:
        """A Map's items in the order of their keys, page by page as they are asked for; `start` is the first key (included)."""
        query = {"Order": "desc" if descending else "asc", "PageSize": str(page_size)}
        if start is not None:
            query["From"] = start
        for _ in range(most_pages):
            answer = await self._get("item_list", f"/Maps/{segment(map_sid)}/Items?{urlencode(query)}")
            listed = answer.body.get("items")
            for entry in listed if isinstance(listed, list) else []:
                if isinstance(entry, dict):
                    yield _revisioned("item_list", Answer(answer.status, entry, {}), "key")
            following = _next_query(answer)
            if following is None:
                return
            query = following

    # Permissions

    async def grant(self, map_sid: str, identity: str, *, read: bool = True, write: bool = False, manage: bool = False) -> None:
        """Sets what an identity may do with a Map."""
        path = f"/Maps/{segment(map_sid)}/Permissions/{segment(identity)}"
        await self._post("permission_update", path, {"Read": read, "Write": write, "Manage": manage})

    async def readers(self, map_sid: str) -> list[str]:
        """The identities that may do anything with a Map."""
        found: list[str] = []
        query = {"PageSize": str(PAGE_SIZE)}
        for _ in range(MAX_PAGES):
            answer = await self._get("permission_list", f"/Maps/{segment(map_sid)}/Permissions?{urlencode(query)}")
            listed = answer.body.get("permissions")
            for entry in listed if isinstance(listed, list) else []:
                if isinstance(entry, dict) and any(entry.get(right) is True for right in ("read", "write", "manage")):
                    found.append(str(entry.get("identity")))
            following = _next_query(answer)
            if following is None:
                break
            query = following
        return found

    async def may_read(self, map_sid: str, identity: str) -> bool:
        """Whether an identity may read a Map. TwilioRefused with `is_missing` where there is neither Map nor grant."""
        answer = await self._get("permission_fetch", f"/Maps/{segment(map_sid)}/Permissions/{segment(identity)}")
        return answer.body.get("read") is True

    async def _get(self, operation: str, path: str) -> Answer:
        return await self._request(operation, "GET", path)

    async def _post(self, operation: str, path: str, form: Form, if_match: str | None = None, timeout: float | None = None) -> Answer:
        headers = None if if_match is None else {"If-Match": if_match}
        return await self._request(operation, "POST", path, form=form, headers=headers, timeout=timeout)

    async def _request(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        form: Form | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        in_force = self._current().config.twilio.sync_service_sid
        service = self._service_sid or in_force
        watch = self._watch if service == in_force else None
        reporter = watch.asking() if watch is not None else None
        try:
            answer = await self._rest.request(
                f"sync_{operation}",
                PRODUCT,
                method,
                f"/v1/Services/{service}{path}",
                form=form,
                headers=headers,
                timeout=self._timeout if timeout is None else timeout,
            )
        except TwilioError as error:
            if watch is not None and reporter is not None:
                watch(error, reporter)
            raise
        if watch is not None and reporter is not None:
            watch(None, reporter)
        return answer


def _next_query(answer: Answer) -> dict[str, str] | None:
    """The query of the next page; only that is taken over, so that credentials never follow an address from an answer."""
    meta = answer.body.get("meta")
    following = meta.get("next_page_url") if isinstance(meta, dict) else None
    return dict(parse_qsl(urlsplit(following).query)) if isinstance(following, str) and following else None


def _is_foreign(answer: Answer) -> bool:
    maker = answer.body.get("created_by")
    return isinstance(maker, str) and maker not in {"", SYSTEM}


def _existing(operation: str, answer: Answer) -> Container:
    name = str(answer.body.get("unique_name") or "")
    return Container(_text(operation, answer, "sid"), name, existed=True, foreign=_is_foreign(answer), expires=_expiry(answer))


def _expiry(answer: Answer) -> float:
    text = answer.body.get("date_expires")
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _with_ttl(form: dict[str, str | int], name: str, ttl: int | None) -> Form:
    if ttl is not None:
        form[name] = ttl
    return form


def _text(operation: str, answer: Answer, name: str) -> str:
    value = answer.body.get(name)
    if not isinstance(value, str) or not value:
        raise TwilioUnclear(f"sync_{operation}", answer.status, 0, f"the answer has no {name}")
    return value


def _revisioned(operation: str, answer: Answer, identifier: str = "sid") -> Revisioned:
    data = answer.body.get("data")
    values = data if isinstance(data, dict) else {}
    return Revisioned(_text(operation, answer, identifier), _text(operation, answer, "revision"), values, _is_foreign(answer))
