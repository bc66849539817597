"""Which stream addresses Twilio takes: ``wss``, a public name, no query string."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from .codes import StreamCode

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z", re.ASCII)
_PRIVATE_ENDINGS = frozenset({"localhost", "local", "internal", "localdomain", "lan", "home", "intranet", "svc"})


def check_url(url: str) -> int | None:
    """The error code that Twilio's side gives for this stream address, ``None`` for a good one.

    31922: the scheme is not ``wss``. 31923: not an address of a public name (an IP address, a name without a dot or with a
    private ending, user data, a fragment, blanks). 31920: it has a query string, with which the handshake fails.
    The endings reserved for tests (``.test``, ``.example``, ``.invalid``) count as public.
    """
    if not url or len(url) > 2048 or not url.isascii() or any(char <= " " or char in '"<>\\^`{|}\x7f' for char in url):
        return StreamCode.MALFORMED_URL
    parts = _split(url)
    if parts is None or not parts.scheme or not url[len(parts.scheme) :].startswith("://"):
        return StreamCode.MALFORMED_URL
    if parts.scheme != "wss":
        return StreamCode.SCHEME
    if "@" in parts.netloc or "#" in url or parts.netloc.endswith(":") or not is_public_name(parts.hostname or ""):
        return StreamCode.MALFORMED_URL
    if "?" in url:
        return StreamCode.HANDSHAKE
    return None


def is_public_name(host: str) -> bool:
    """Whether a host name could be found by Twilio from outside: two labels or more, no IP address, no private ending."""
    labels = host.lower().removesuffix(".").split(".")
    if len(labels) < 2 or len(host) > 253 or labels[-1] in _PRIVATE_ENDINGS or labels[-1].isdigit():
        return False
    return all(_LABEL.match(label) for label in labels)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return None
    return parts
