"""Makes new inputs of known ones (pure: chance comes in): bytes flipped, pieces repeated, joined, cut out, replaced by awkward ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "fuzz_corpus"
LONGEST = 20_000
_AWKWARD = (
    [bytes([n]) for n in (0, 1, 0x0A, 0x0D, 0x22, 0x5C, 0x7E, 0x7F, 0x80, 0x81, 0x88, 0x89, 0xC1, 0xFE, 0xFF)]
    + [b"\r\n\r\n", b"\r\n", b"\\u0022", b"\\ud83d", b"\xed\xa0\xbd", b"null", b"{}", b"[]", b"-1", b"1e999", b"9" * 400, b'"', b"[" * 2000]
    + [b"\x81\x80\0\0\0\0", b"\x81\xfe\0\x05\1\2\3\4hello", b"\x81\xff\0\0\0\0\0\x01\0\x01", b"\x01\x80\0\0\0\0", b"\x89\x80\0\0\0\0"]
    + [
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Expect: 100-continue\r\n",
    ]
)


def seeds(target: str) -> list[bytes]:
    """The target's corpus, in the order of its names."""
    return [path.read_bytes() for path in sorted((CORPUS / target).glob("*")) if path.is_file()]


def mutated(chance: random.Random, known: Sequence[bytes]) -> bytes:
    """Something like one of the known inputs."""
    data = bytearray(chance.choice(known) if known else b"")
    for _ in range(chance.choice((1, 1, 2, 3, 5, 9))):
        at = chance.randint(0, len(data))
        match chance.randrange(8):
            case 0 if data:
                data[at - 1] ^= 1 << chance.randrange(8)
            case 1:
                data[at:at] = chance.choice(_AWKWARD)
            case 2:
                data[at : at + chance.choice((1, 2, 4, 16))] = chance.choice(_AWKWARD)
            case 3:
                del data[at : at + chance.choice((1, 1, 2, 8, 64))]
            case 4:
                data[at:at] = bytes(data[at : at + chance.choice((1, 8, 64))]) * chance.choice((1, 2, 50))
            case 5 if known:
                other = chance.choice(known)
                start = chance.randint(0, len(other))
                data[at:at] = other[start : start + chance.choice((4, 40, 400))]
            case 6:
                data[at:at] = chance.randbytes(chance.choice((1, 2, 8)))
            case _:
                del data[at:]
    return bytes(data[:LONGEST])
