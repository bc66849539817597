"""Multipart bodies: what is read, and what is refused."""

from __future__ import annotations

import pytest

from voiceassist_sim.twilio.api import Part
from voiceassist_sim.twilio.errors import TwilioError
from voiceassist_sim.twilio.multipart import parse_multipart

TYPE = "multipart/form-data; boundary=XX"


def part(name: str, content: bytes, more: str = "") -> bytes:
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


def test_what_is_read() -> None:
    file = '--XX\r\nContent-Disposition: form-data; name="File"; filename="a.js"\r\nContent-Type: application/javascript\r\n\r\n'
    body = part("Path", b"/a") + file.encode() + b"one\r\n--X\r\n\r\ntwo\r\n\r\n" + b"--XX--\r\n"
    assert parse_multipart(body, 'multipart/form-data; boundary="XX"') == {
        "Path": Part(b"/a"),
        "File": Part(b"one\r\n--X\r\n\r\ntwo\r\n", "a.js", "application/javascript"),
    }


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (part("a", b"1") + b"--XX--", ""),
        (part("a", b"1") + b"--XX--", "multipart/form-data"),
        (part("a", b"1") + b"--XX--", "multipart/mixed; boundary=XX"),
        (part("a", b"1") + b"--XX--", "application/x-www-form-urlencoded"),
        (part("a", b"1") + b"--XX--", f"multipart/form-data; boundary={'X' * 71}"),
        (b"", TYPE),
        (b"--XX--", TYPE),
        (part("a", b"1"), TYPE),
        (part("a", b"1") + b"--XY--", TYPE),
        (b"before" + part("a", b"1") + b"--XX--", TYPE),
        (part("a", b"1") + b"--XX-- after", TYPE),
        (part("a", b"1") + part("a", b"2") + b"--XX--", TYPE),
        (part("", b"1") + b"--XX--", TYPE),
        (b"--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--XX--", TYPE),
        (b"--XX\r\nContent-Disposition: form-data; name=a\r\n--XX--", TYPE),
        (b'--XXContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--XX--', TYPE),
    ],
)
def test_what_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(TwilioError) as refused:
        parse_multipart(body, content_type)
    assert (refused.value.status, refused.value.code) == (400, 20001)
