"""Sync's REST operations on the items of lists and maps."""

from __future__ import annotations

from .api import Answer, ApiRequest, Route, route
from .errors import TwilioError, bad_parameter
from .fields import choice, required
from .paging import page
from .settings import Settings
from .sync_model import Item, Key, Kind, SyncObject
from .sync_payload import item_json, read_data, read_ttl, required_data
from .sync_store import SyncStore, revision_text


class ItemRoutes:
    """The item operations of one kind: list or map."""

    def __init__(self, account_sid: str, store: SyncStore, settings: Settings, kind: Kind) -> None:
        self._account_sid = account_sid
        self._store = store
        self._settings = settings
        self._kind = kind
        self._of_list = kind is Kind.LIST

    def routes(self) -> list[Route]:
        """The operations of this kind, as in the vendor's specification."""
        at = f"/v1/Services/{{ServiceSid}}/{self._kind.segment}/{{Sid}}/Items"
        one = f"{at}/{{Item}}"
        lives = ("Data", "Ttl", "ItemTtl", "CollectionTtl")
        return [
            route("GET", at, self.list),
            route("POST", at, self.create, *lives, *(() if self._of_list else ("Key",))),
            route("GET", one, self.fetch),
            route("POST", one, self.update, *lives),
            route("DELETE", one, self.delete),
        ]

    def _find(self, request: ApiRequest) -> SyncObject:
        service = self._store.service(request.params["ServiceSid"])
        return self._store.find(service, self._kind, request.params["Sid"], request.now)

    def _key(self, text: str) -> Key:
        if not self._of_list:
            return text
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise bad_parameter(f"A list item's index must be a number, not {text[:40]!r}")
        return int(text)

    def _answer(self, status: int, request: ApiRequest, found: SyncObject, item: Item) -> Answer:
        return Answer(status, item_json(request, self._account_sid, found, item), {"ETag": revision_text(item.revision)})

    def list(self, request: ApiRequest) -> Answer:
        """A page of items, by ``Order``, from ``From`` on (``Bounds`` says whether with it)."""
        found = self._find(request)
        self._store.check_read(found, request.now)
        items = self._store.items(found, request.now)
        descending = choice(request.query, "Order", ("asc", "desc")) == "desc"
        exclusive = choice(request.query, "Bounds", ("inclusive", "exclusive")) == "exclusive"
        if descending:
            items.reverse()
        if "From" in request.query:
            start = self._key(request.query["From"])
            items = [item for item in items if _comes(item.key, start, descending, exclusive)]
        rows = [item_json(request, self._account_sid, found, item) for item in items]
        return Answer(200, page(request, "items", rows, filters=("From", "Bounds", "Order")))

    def create(self, request: ApiRequest) -> Answer:
        """A new item."""
        found = self._find(request)
        key = None if self._of_list else required(request.form, "Key")
        data = required_data(request.form, self._kind, self._settings)
        ttl, collection_ttl = self._ttls(request)
        item = self._store.add_item(found, key, data, request.now, ttl=ttl, collection_ttl=collection_ttl)
        return self._answer(201, request, found, item)

    def fetch(self, request: ApiRequest) -> Answer:
        """An item."""
        found = self._find(request)
        self._store.check_read(found, request.now)
        return self._answer(200, request, found, self._store.item(found, self._key(request.params["Item"]), request.now))

    def update(self, request: ApiRequest) -> Answer:
        """Replace an item's data or set its lifetime; ``CollectionTtl`` only together with one of them. Raises TwilioError."""
        found = self._find(request)
        key = self._key(request.params["Item"])
        self._store.item(found, key, request.now)
        data = read_data(request.form, self._kind, self._settings)
        ttl, collection_ttl = self._ttls(request)
        if data is None and ttl is None:
            if collection_ttl is not None:
                raise bad_parameter("CollectionTtl can only be used when Data or Ttl is updated in the same request")
            raise TwilioError(400, 54010, "No parameters specified")
        item = self._store.update_item(found, key, data, request.if_match, request.now, ttl=ttl, collection_ttl=collection_ttl)
        return self._answer(200, request, found, item)

    def delete(self, request: ApiRequest) -> Answer:
        """Delete an item."""
        self._store.delete_item(self._find(request), self._key(request.params["Item"]), request.if_match, request.now)
        return Answer(204)

    def _ttls(self, request: ApiRequest) -> tuple[int | None, int | None]:
        return read_ttl(request.form, self._settings, "ItemTtl", "Ttl"), read_ttl(request.form, self._settings, "CollectionTtl")


def _comes(key: Key, start: Key, descending: bool, exclusive: bool) -> bool:
    if key == start:
        return not exclusive
    after = key > start  # type: ignore[operator]  # both are indexes or both are keys, by the kind
    return not after if descending else after
