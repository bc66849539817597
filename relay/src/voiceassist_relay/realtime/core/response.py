"""Response: one response of the model, from our request to its end: drafts on the way, one suggestion at most. Pure."""

from __future__ import annotations

from .server_events import Item, ResponseInfo, ServerEvent
from .suggest_tool import NAME
from .suggestion_parser import Arguments, SuggestionParser
from .turns import Turn

_MOST_ITEMS = 16


class Response:
    """Asked for by `event_id` for `turns` (the last one is the one answered); nothing of it is found by index."""

    def __init__(self, event_id: str, turns: list[Turn]) -> None:
        self.event_id = event_id
        self.turns = turns
        self.id: str | None = None
        self.created = False
        self.settled = False
        """Its turns have their outcome."""
        self.drafted: str | None = None
        """The item of which a draft is on the agent's screen."""
        self.early = False
        """It was asked for ahead of the turn's end, out of band: the conversation does not have it."""
        self.begun = False
        """Something of its text came."""
        self.whole = False
        """Our call is complete."""
        self.latest: str | None = None
        """The latest draft, and `ended`: how it ended. Kept while it is not known whether it is the answer."""
        self.ended: ResponseInfo | None = None
        self.call_item: str | None = None
        self.call_id: str | None = None
        self._parser = SuggestionParser()
        self._arguments: str | None = None
        self._texts: dict[str, list[str]] = {}
        self._spoken: dict[str, list[str]] = {}
        """What an item's audio says, for items without a text."""
        self._commentary: set[str] = set()

    @property
    def turn(self) -> Turn | None:
        """The turn that it answers; None if we did not ask for it."""
        return self.turns[-1] if self.turns else None

    def take(self, event: ServerEvent) -> str | None:
        """Any event between its beginning and its end; returns a new draft."""
        match event.type:
            case "response.output_item.added" if event.item is not None:
                self.added(event.item)
            case "response.function_call_arguments.delta":
                self.begun = True
                return self.arguments_delta(event.item_id, event.delta or "")
            case "response.function_call_arguments.done":
                self.begun = True
                return self.arguments_done(event.item_id, event.arguments)
            case "response.output_text.delta":
                self.begun = True
                self.text_delta(event.item_id, event.delta or "")
            case "response.output_text.done":
                self.text_done(event.item_id, event.text or "")
            case "response.output_audio_transcript.delta":
                self.begun = True
                self.text_delta(event.item_id, event.delta or "", spoken=True)
            case "response.output_audio_transcript.done":
                self.text_done(event.item_id, event.transcript or "", spoken=True)
            case "response.output_item.done" if event.item is not None and self.done(event.item):
                self.begun = self.whole = True
        return None

    def added(self, item: Item) -> None:
        """An output item began."""
        if item.id is None or len(self._texts) >= _MOST_ITEMS:
            return
        if item.type == "function_call" and item.name == NAME:
            if self.call_item is None:
                self.call_item, self.call_id = item.id, item.call_id
        elif item.type == "message":
            self._texts.setdefault(item.id, [])
            if item.phase == "commentary":
                self._commentary.add(item.id)

    def arguments_delta(self, item: str | None, piece: str) -> str | None:
        """A piece of a call's arguments; returns a new draft."""
        return self._parser.feed(piece) if item is not None and item == self.call_item else None

    def arguments_done(self, item: str | None, arguments: str | None) -> str | None:
        """A call's arguments as a whole; returns a new draft, for servers that send no pieces."""
        if item is None or item != self.call_item or not arguments:
            return None
        self._arguments = arguments
        return SuggestionParser().feed(arguments) if self.drafted is None else None

    def text_delta(self, item: str | None, piece: str, *, spoken: bool = False) -> None:
        """A piece of a message, or of what its audio says."""
        if item is not None and self._room_for(item):
            (self._spoken if spoken else self._texts).setdefault(item, []).append(piece)

    def text_done(self, item: str | None, text: str, *, spoken: bool = False) -> None:
        """A message's text as a whole, or what its audio says."""
        if item is not None and text and self._room_for(item):
            (self._spoken if spoken else self._texts)[item] = [text]

    def done(self, item: Item) -> bool:
        """An output item ended; returns whether it is our call, whole."""
        self.added(item)
        if item.type == "message" and item.id in self._texts and item.text:
            self._texts[item.id] = [item.text]
        if item.type != "function_call" or item.id != self.call_item or self.call_item is None or item.status not in {None, "completed"}:
            return False
        self.call_id = item.call_id or self.call_id
        self._arguments = item.arguments or self._arguments
        return True

    @property
    def arguments(self) -> str:
        """The call's arguments as the model wrote them, once it is whole."""
        return self._arguments or self._parser.text

    def call(self) -> Arguments | None:
        """What the call says; None if it cannot be made to fit."""
        return self._parser.finish(self._arguments)

    def text(self) -> tuple[str, str]:
        """For a response without a call: the item of its text, and the text. Commentary is passed over."""
        texts = {item: "".join(parts) or "".join(self._spoken.get(item, ())) for item, parts in self._texts.items()}
        items = [item for item, text in texts.items() if text and item not in self._commentary]
        return (items[-1] if items else ""), "\n".join(texts[item] for item in items)

    def _room_for(self, item: str) -> bool:
        if item not in self._texts:
            if len(self._texts) >= _MOST_ITEMS:
                return False
            self._texts[item] = []
        return True
