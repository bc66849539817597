"""Reads the value of a secret from bytes as people put them into files and Secrets; what does not fit is told by place, never by value."""

from __future__ import annotations

import unicodedata

_QUOTES = frozenset("\"'`")


def secret_text(raw: bytes) -> str:
    """The value: printable ASCII without spaces, or "" where there is none.

    A byte order mark, white space and characters of no width are taken from both ends, as editors and clipboards leave them there.
    Raises ValueError whose text may be shown to anybody.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8; save it as plain text, without a byte order mark") from None
    begin, end = 0, len(text)
    while begin < end and _blank(text[begin]):
        begin += 1
    while end > begin and _blank(text[end - 1]):
        end -= 1
    for place in range(begin, end):
        if not "!" <= text[place] <= "~":
            raise ValueError(f"character {place + 1} is {_kind(text[place])}; it must hold one value of printable ASCII and nothing else")
    value = text[begin:end]
    if len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES:
        raise ValueError(f"characters {begin + 1} and {end} are quotes around the value; remove them")
    return value


def _blank(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def _kind(character: str) -> str:
    if character.isspace():
        return "white space"
    category = unicodedata.category(character)
    if category == "Cf":
        return "a character of no width"
    if category == "Cc":
        return "a control character"
    return "a dash that is no ASCII hyphen" if category == "Pd" else "outside printable ASCII"
