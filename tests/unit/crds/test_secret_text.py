"""Secrets as people paste them: what is taken off, what is refused, and that no message repeats any of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.secret_text import secret_text

KEY = "sk-proj-Zt5_planted"


@pytest.mark.parametrize(
    "raw",
    [
        KEY.encode(),
        f"{KEY}\n".encode(),
        f" \t{KEY}\r\n\r\n".encode(),
        f"\ufeff{KEY}".encode(),
        f"\u200b{KEY}\u200b".encode(),
        f"\u2060\u00a0{KEY}\u00ad\u200e\u3000".encode(),
    ],
)
def test_secret_text_what_editors_and_clipboards_leave_at_the_ends_is_taken_off(raw: bytes) -> None:
    assert secret_text(raw) == KEY


@pytest.mark.parametrize("raw", [b"", b"\n", "\ufeff \u200b\n".encode()])
def test_secret_text_nothing_is_no_value(raw: bytes) -> None:
    assert secret_text(raw) == ""


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (f"sk\u2014{KEY}".encode(), "character 3 is a dash"),
        (f"\ufeff\u2013{KEY}".encode(), "character 2 is a dash"),
        (f"sk-\u200b{KEY}".encode(), "character 4 is a character of no width"),
        (f"Bearer {KEY}".encode(), "character 7 is white space"),
        (f"{KEY}\nsecond".encode(), "white space"),
        (f"{KEY}\x00".encode(), "a control character"),
        (f"{KEY}\u0430".encode(), "outside printable ASCII"),
        (f'"{KEY}"'.encode(), "characters 1 and 21 are quotes"),
        (f"'{KEY}'\n".encode(), "quotes"),
        (f"`{KEY}`".encode(), "quotes"),
        (f"\u201c{KEY}\u201d".encode(), "character 1 is outside"),
        (KEY.encode("utf-16"), "byte 1 is not UTF-8"),
        (KEY.encode() + b"\xff", "byte 20 is not UTF-8"),
    ],
)
def test_secret_text_everything_else_is_refused_by_its_place(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        secret_text(raw)
    assert "Zt5" not in str(caught.value)


@given(st.text(max_size=60))
def test_secret_text_a_value_is_printable_ascii_or_refused(text: str) -> None:
    try:
        value = secret_text(text.encode(errors="surrogatepass"))
    except ValueError:
        return
    assert value.isascii()
    assert value == "" or (value.isprintable() and " " not in value)
