"""The conversation of a session: items in order, where a new one goes, and what the client may not do to them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field

from .ledger import Turn
from .schema import INVALID, Json, Refused


@dataclass(slots=True)
class Item:
    """One item; ``data`` holds its fields without id, object and status."""

    id: str
    data: Json
    status: str = "completed"
    turn: Turn | None = None
    """For audio that was committed: what was heard."""
    heard: Turn | None = None
    """For audio that a client gave in an item: what was heard of it."""
    audio: bytes = b""
    audio_ms: int = 0
    answered: bool = False
    """Whether a completed response has taken it into account."""
    extra: Json = field(default_factory=dict)
    """Fields outside the vendor's types (``phase``)."""

    @property
    def type(self) -> str:
        """``message``, ``function_call`` or ``function_call_output``."""
        return str(self.data["type"])

    @property
    def role(self) -> str | None:
        """The role of a message."""
        return self.data.get("role")

    @property
    def text(self) -> str:
        """All of its text."""
        if self.type == "message":
            return "\n".join(part.get("text") or part.get("transcript") or "" for part in self.data["content"])
        return str(self.data.get("arguments", "")) + str(self.data.get("output", ""))

    def render(self, *, with_audio: bool = False) -> Json:
        """The item as it stands in an event; audio only where the client retrieves it."""
        data = dict(self.data)
        if "content" in data:
            data["content"] = [dict(part) for part in data["content"]]
            for part in data["content"]:
                if part["type"] == "input_audio":
                    part.pop("audio", None)
                    part.setdefault("transcript", None)
                    if with_audio:
                        part["audio"] = base64.b64encode(self.audio).decode()
        return {"id": self.id, "object": "realtime.item", "status": self.status, **data, **self.extra}


def decode_audio(text: str, path: str) -> bytes:
    """Decode base64 as strictly as the vendor.

    Raises:
        Refused: it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(INVALID, f"Invalid '{path}': expected base64-encoded audio bytes, but the value cannot be decoded.", path) from None


def client_item(given: Json, item_id: str, path: str, bytes_per_ms: int) -> Item:
    """Make an item of what a client sent (already checked against the table of events).

    Raises:
        Refused: audio in it is no base64.
    """
    data = {name: value for name, value in given.items() if name not in ("id", "object", "status") and value is not None}
    item = Item(item_id, data)
    for index, part in enumerate(data.get("content", [])):
        if part["type"] == "input_audio":
            item.audio += decode_audio(part["audio"], f"{path}.content[{index}].audio")
    item.audio_ms = len(item.audio) // bytes_per_ms
    return item


class Conversation:
    """The default conversation."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._items: list[Item] = []
        self._calls: set[str] = set()
        self.changed_before_end = False
        """Whether an item was put in or taken out before the last one since this was last reset (which breaks the prompt cache)."""

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._items))

    def __len__(self) -> int:
        return len(self._items)

    @property
    def last_id(self) -> str | None:
        """The id of the last item."""
        return self._items[-1].id if self._items else None

    def find(self, item_id: str) -> Item | None:
        """The item with that id."""
        return next((item for item in self._items if item.id == item_id), None)

    def before(self, item_id: str) -> str | None:
        """The id of the item before that one."""
        index = self._index(item_id)
        return self._items[index - 1].id if index else None

    def _index(self, item_id: str) -> int:
        return next(index for index, item in enumerate(self._items) if item.id == item_id)

    def append(self, item: Item) -> str | None:
        """Put an item at the end; the id of the one before it."""
        before = self.last_id
        self._insert(len(self._items), item)
        return before

    def _insert(self, index: int, item: Item) -> None:
        self.changed_before_end |= index < len(self._items)
        self._items.insert(index, item)
        if item.type == "function_call":
            self._calls.add(item.data["call_id"])

    def create(self, item: Item, previous_item_id: str | None) -> str | None:
        """Put in a client's item after ``previous_item_id`` (None: at the end; ``root``: first); the id of the one before it.

        Raises:
            Refused: the previous item does not exist, the id is taken, or an output belongs to no call.
        """
        if self.find(item.id) is not None:
            raise Refused("item_create_duplicate_item_id", f"Error adding item: an item with id '{item.id}' already exists.", "item.id")
        if item.type == "function_call_output" and item.data["call_id"] not in self._calls:
            raise Refused("invalid_tool_call_id", f"Tool call ID '{item.data['call_id']}' not found in conversation.", "item.call_id")
        if previous_item_id is None:
            self._answers(item, len(self._items))
            return self.append(item)
        if previous_item_id == "root":
            self._insert(0, item)
            return None
        if self.find(previous_item_id) is None:
            raise Refused(
                "item_create_invalid_previous_item_id",
                f"Error adding item: the previous item with id '{previous_item_id}' does not exist.",
                "previous_item_id",
            )
        index = self._index(previous_item_id) + 1
        self._answers(item, index)
        self._insert(index, item)
        return previous_item_id

    def _answers(self, item: Item, index: int) -> None:
        """A client puts in what the model said elsewhere: the words before it are answered."""
        if item.role == "assistant" or item.type == "function_call":
            for earlier in self._items[:index]:
                earlier.answered = True

    def delete(self, item_id: str) -> None:
        """Take out an item.

        Raises:
            Refused: there is none with that id.
        """
        if self.find(item_id) is None:
            raise Refused("item_delete_invalid_item_id", f"Error deleting item: the item with id '{item_id}' does not exist.", "item_id")
        index = self._index(item_id)
        self.changed_before_end |= index < len(self._items) - 1
        del self._items[index]

    def retrieve(self, item_id: str) -> Item:
        """The item with that id.

        Raises:
            Refused: there is none.
        """
        item = self.find(item_id)
        if item is None:
            raise Refused(
                "item_retrieve_invalid_item_id", f"Error retrieving item: the item with id '{item_id}' does not exist.", "item_id"
            )
        return item

    def truncate(self, item_id: str) -> None:
        """Check that an item can be truncated: only spoken output of the model can.

        Raises:
            Refused: it does not exist or is no such item.
        """
        item = self.find(item_id)
        if item is None:
            raise Refused(
                "item_truncate_invalid_item_id", f"Error truncating item: the item with id '{item_id}' does not exist.", "item_id"
            )
        if item.role != "assistant" or not any(part["type"] == "output_audio" for part in item.data["content"]):
            raise Refused(INVALID, "Only model output audio messages can be truncated.", "item_id")

    def to_json(self) -> list[Json]:
        """The items for a report."""
        return [
            {"id": item.id, "type": item.type, "role": item.role, "text": item.text, "audioMs": item.audio_ms, "answered": item.answered}
            for item in self._items
        ]
