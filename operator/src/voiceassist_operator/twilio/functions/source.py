"""The functions that are deployed: their JavaScript, where they are found, and a name that is another one for every other content.

The files in `javascript/` beside this module are copies of functions/src of the repository; a test holds them equal.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final

RUNTIME: Final = "node22"
DEPENDENCIES: Final = (("@twilio/runtime-handler", "2.0.3"), ("twilio", "4.23.0"))
"""The runtime's own packages, as in functions/package.json: without them Twilio builds nothing."""
NAME_PREFIX: Final = "voiceassist "
"""How the FriendlyName of each function of ours begins."""
_FILES: Final = (
    ("/forward", "private", "forward.private.js"),
    ("/stream", "public", "stream.js"),
    ("/token", "public", "token.js"),
    ("/feedback", "public", "feedback.js"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """One function as it is to be deployed."""

    path: str
    visibility: str
    """`public`, or `private` for one that only others call."""
    content: str = field(repr=False)

    @property
    def name(self) -> str:
        """The FriendlyName: the path, and a digest of everything that the deployed function depends on.

        Versions cannot be changed, so a function of this name with a version holds this content, and nobody has to remember it.
        """
        everything = json.dumps([self.path, self.visibility, self.content, RUNTIME, DEPENDENCIES])
        return f"{NAME_PREFIX}{self.path} {hashlib.sha256(everything.encode()).hexdigest()[:16]}"


@cache
def sources() -> tuple[Source, ...]:
    """Returns all functions, in the order in which they are made."""
    folder = files(__package__) / "javascript"
    return tuple(Source(path, visibility, (folder / name).read_text("utf-8")) for path, visibility, name in _FILES)


def dependencies_json() -> str:
    """Returns the dependencies as a build is given them."""
    return json.dumps([{"name": name, "version": version} for name, version in DEPENDENCIES], separators=(",", ":"))
