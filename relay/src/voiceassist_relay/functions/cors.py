"""Which web pages may call the functions (pure): the headers of cross-origin answers and preflights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ALLOWED_HEADERS = "authorization, content-type"
MAX_AGE_SECONDS = 600
EXPOSED_HEADERS = "retry-after"


def origin_allowed(origin: str, allowed: Iterable[str]) -> bool:
    """Whether a page of this origin may call. Exactly as configured, `*` for every page; scheme and host ignore case.

    No origin at all is no web page: servers and command lines are not held back here, they need a token like everybody.
    """
    if not origin:
        return True
    return any(entry in {"*", origin} or entry.lower() == origin.lower() for entry in allowed)


def answer_headers(origin: str, allowed: Iterable[str]) -> dict[str, str]:
    """Headers that let the page read the answer; cookies are never used, so credentials are never allowed."""
    allowed = list(allowed)
    if "*" in allowed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED_HEADERS}
    headers = {"Vary": "Origin"}
    if origin and origin_allowed(origin, allowed):
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED_HEADERS}
    return headers


def preflight_headers(methods: Iterable[str]) -> Mapping[str, str]:
    """Headers that a preflight gets besides `answer_headers`."""
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
    }
