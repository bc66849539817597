"""Suggestion parser: makes drafts and a suggestion of one response's pieces. Pure.

The model calls `suggest {relevant, answer, question}`; its arguments arrive as pieces of JSON that may end anywhere, even inside
an escape or between the halves of a surrogate pair. No draft is given before `relevant` was read as true. Arguments that are
not quite JSON are repaired where their meaning is plain, otherwise dropped.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

MAX_CHARACTERS = 32_768
"""Arguments or text beyond this are not read: no suggestion is that long."""

_PLAIN = re.compile(r'[^"\\\ud800-\udfff]+')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = frozenset("0123456789abcdefABCDEF")
_REPLACEMENT = "\ufffd"
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_FIRST = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>\s*", re.DOTALL | re.IGNORECASE)
_THOUGHT_ENDS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_TAG_BEGINS = re.compile(r"<(?:/?t(?:h(?:i(?:n(?:k(?:i(?:n(?:g)?)?)?)?)?)?)?|/)?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the model said: whether there is something to suggest, the agent's next words, and the customer's question."""

    relevant: bool
    answer: str
    question: str
    repaired: bool = field(default=False, compare=False)
    """Whether it was not in the form that was asked for, and its meaning plain all the same."""


class _Text:
    """A JSON string's characters, decoded piece by piece; a high surrogate waits for its low half."""

    __slots__ = ("_escape", "_high", "closed", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.closed = False
        self._escape: str | None = None
        self._high = 0

    def feed(self, text: str, at: int) -> int:
        """Reads from `at`; returns the index after the closing quote, or the text's length if the string goes on."""
        size = len(text)
        while at < size:
            if self._escape is not None:
                at = self._escaped(text, at, self._escape)
                continue
            plain = _PLAIN.match(text, at)
            if plain is not None:
                self._flush()
                self.parts.append(plain.group())
                at = plain.end()
                continue
            char = text[at]
            at += 1
            if char == '"':
                self._flush()
                self.closed = True
                return at
            if char == "\\":
                self._escape = ""
            else:
                self._unit(ord(char))
        return at

    def _escaped(self, text: str, at: int, escape: str) -> int:
        char = text[at]
        if not escape:
            if char == "u":
                self._escape = "u"
            else:
                self._flush()
                self.parts.append(_ESCAPES.get(char, char))
                self._escape = None
            return at + 1
        if char not in _HEX:  # not an escape after all: the model meant something else, its text goes on
            self._flush()
            self.parts.append(_REPLACEMENT)
            self._escape = None
            return at
        self._escape = escape + char
        if len(self._escape) == 5:
            self._unit(int(self._escape[1:], 16))
            self._escape = None
        return at + 1

    def _unit(self, unit: int) -> None:
        if 0xD800 <= unit < 0xDC00:
            self._flush()
            self._high = unit
        elif 0xDC00 <= unit < 0xE000:
            if self._high:
                self.parts.append(chr(0x10000 + ((self._high - 0xD800) << 10) + (unit - 0xDC00)))
                self._high = 0
            else:
                self.parts.append(_REPLACEMENT)
        else:
            self._flush()
            self.parts.append(chr(unit))

    def _flush(self) -> None:
        if self._high:
            self.parts.append(_REPLACEMENT)
            self._high = 0

    def value(self) -> str:
        """The characters so far; half a surrogate pair or of an escape is not among them."""
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""


class _At(Enum):
    START = auto()
    KEY = auto()
    IN_KEY = auto()
    COLON = auto()
    VALUE = auto()
    IN_TEXT = auto()
    IN_LITERAL = auto()
    IN_NESTED = auto()
    END = auto()


class _Reader:
    """Reads the top level of one JSON object as far as it came: texts by key, literals by key."""

    def __init__(self) -> None:
        self.texts: dict[str, _Text] = {}
        self.literals: dict[str, str] = {}
        self.at = _At.START
        self._key = _Text()
        self._name = ""
        self._text = _Text()
        self._literal = ""
        self._depth = 0
        self._inner: _Text | None = None

    def feed(self, piece: str) -> None:
        at, size = 0, len(piece)
        while at < size and self.at is not _At.END:
            at = self._step(piece, at)

    def _step(self, piece: str, at: int) -> int:
        match self.at:
            case _At.IN_TEXT:
                at = self._text.feed(piece, at)
                if self._text.closed:
                    self.at = _At.KEY
                return at
            case _At.IN_KEY:
                at = self._key.feed(piece, at)
                if self._key.closed:
                    self._name, self.at = self._key.value(), _At.COLON
                return at
            case _At.IN_NESTED:
                return self._nested(piece, at)
            case _At.IN_LITERAL:
                char = piece[at]
                if char in ",}":
                    self.literals[self._name] = self._literal.strip()
                    self.at = _At.KEY if char == "," else _At.END
                else:
                    self._literal += char
                    self.literals[self._name] = self._literal.strip()
                return at + 1
        self._structure(piece[at])
        return at + 1

    def _structure(self, char: str) -> None:
        match self.at, char:
            case _At.START, "{":
                self.at = _At.KEY
            case _At.KEY, '"':
                self._key, self.at = _Text(), _At.IN_KEY
            case _At.KEY, "}":
                self.at = _At.END
            case _At.COLON, ":":
                self.at = _At.VALUE
            case _At.VALUE, '"':
                self._text = self.texts[self._name] = _Text()
                self.literals.pop(self._name, None)
                self.at = _At.IN_TEXT
            case _At.VALUE, "{" | "[":
                self._depth, self._inner, self.at = 1, None, _At.IN_NESTED
            case _At.VALUE, _ if not char.isspace():
                self._literal, self.at = char, _At.IN_LITERAL
                self.literals[self._name] = char
                self.texts.pop(self._name, None)

    def _nested(self, piece: str, at: int) -> int:
        if self._inner is not None:
            at = self._inner.feed(piece, at)
            if self._inner.closed:
                self._inner = None
            return at
        char = piece[at]
        if char == '"':
            self._inner = _Text()
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
            if self._depth == 0:
                self.at = _At.KEY
        return at + 1


class SuggestionParser:
    """One `suggest` call: pieces in, drafts out, and at the end the whole."""

    def __init__(self) -> None:
        self._reader = _Reader()
        self._pieces: list[str] = []
        self._size = 0
        self._shown = ""

    def feed(self, piece: str) -> str | None:
        """Takes the next piece of the arguments; returns the answer so far if there is more of it to show than before."""
        self._size += len(piece)
        if self._size > MAX_CHARACTERS:
            return None
        self._pieces.append(piece)
        self._reader.feed(piece)
        if self._truth() is not True:
            return None
        answer = self._reader.texts.get("answer")
        text = without_thoughts(answer.value(), whole=answer.closed).strip() if answer is not None else ""
        if len(text) <= len(self._shown):
            return None
        self._shown = text
        return text

    @property
    def text(self) -> str:
        """The pieces as they came."""
        return "".join(self._pieces)

    def finish(self, arguments: str | None = None) -> Arguments | None:
        """The whole: `arguments` as the model's server repeats them, else the pieces. None if they cannot be made to fit."""
        text = written = arguments or self.text
        if len(text) > MAX_CHARACTERS:
            return None
        reader = self._reader
        if (said := _THOUGHT_FIRST.sub("", text)) != text:
            text = arguments = said
        if arguments:
            reader = _Reader()
            reader.feed(arguments)
        found = _fit(_json_object(text)) or _fit(_closed_fields(reader))
        return found if found is None or _as_asked(written) else replace(found, repaired=True)

    def _truth(self) -> bool | None:
        reader = self._reader
        literal = reader.literals.get("relevant")
        if literal is None and (text := reader.texts.get("relevant")) is not None and text.closed:
            literal = text.value()
        return _truth(literal)


def from_text(text: str) -> Arguments | None:
    """A suggestion from a response that has text and no call: JSON in the call's form, or the text itself is the answer."""
    if len(text) > MAX_CHARACTERS:
        return None
    if "{" in text and '"relevant"' in text:
        found = SuggestionParser().finish(text)
        return found and replace(found, repaired=True)
    answer = _clean(text)
    return Arguments(True, answer, "", repaired=True) if answer else None


def _as_asked(text: str) -> bool:
    """Whether the arguments are what the tool's schema asks for, to the letter."""
    try:
        fields = json.loads(text)
    except ValueError:
        return False
    kinds = {name: type(value) for name, value in fields.items()} if isinstance(fields, dict) else {}
    return kinds == {"relevant": bool, "answer": str, "question": str} and "<think" not in text


def _json_object(text: str) -> dict[str, Any] | None:
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        return None
    try:
        value = json.loads(text[begin : end + 1], strict=False)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _closed_fields(reader: _Reader) -> dict[str, Any] | None:
    """What a broken object says plainly: its literals and the strings that were closed."""
    answer = reader.texts.get("answer")
    if answer is not None and not answer.closed:
        return None
    return {**reader.literals, **{key: text.value() for key, text in reader.texts.items() if text.closed}}


def _fit(fields: dict[str, Any] | None) -> Arguments | None:
    if fields is None:
        return None
    answer = _words(fields.get("answer"))
    relevant = _truth(fields.get("relevant"))
    if relevant is None:
        if "relevant" in fields or not answer:
            return None
        relevant = True
    if relevant and not answer:
        return None
    return Arguments(relevant, answer if relevant else "", _words(fields.get("question")))


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "null": False}.get(value.strip().lower())
    if value is None:
        return None
    return {1: True, 0: False}.get(value) if isinstance(value, int) else None


def _words(value: Any) -> str:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return _clean("\n".join(value))
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _clean(text: str) -> str:
    return without_thoughts(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def without_thoughts(text: str, *, whole: bool = True) -> str:
    """The text without what a model thought aloud between `<think>` and `</think>`, whether the first or the last of them is missing.

    Of a text that is not whole, a tag that has only begun is held back too.
    """
    if "<" not in text:
        return text
    text = _THOUGHT.sub("", text)
    said = _THOUGHT_ENDS.split(text)[-1]
    return said if whole else _TAG_BEGINS.sub("", said)
