#!/usr/bin/env python3
"""Prints the part of a lock file that some packages and their dependencies make up.

    tools/lock_subset.py LOCK NAME [NAME ...]

The images' first stage builds our wheels with the build backend that the workspace's lock file pins, and needs nothing else of it.
Dependencies are read from the comments in which uv says for the sake of which package ("via") another one is there.
"""

import re
import sys
from pathlib import Path


def subset(lock: str, names: set[str]) -> str:
    """The lock file's entries for these packages and for everything that is there for their sake. Raises KeyError for an unknown name."""
    entries = {found[1]: found[0] for found in re.finditer(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==.*\n(?:[ \t].*\n?)*", lock, re.MULTILINE)}
    for name in names:
        entries[name]
    reasons = {name: set(re.findall(r"#\s+(?:via )?([a-z0-9._-]+)(?=\s|$)", entry)) - {"via"} for name, entry in entries.items()}
    wanted: set[str] = set()
    grown = set(names)
    while grown != wanted:
        wanted = grown
        grown = wanted | {name for name, because in reasons.items() if because & wanted}
    return "".join(entries[name] for name in sorted(wanted))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: tools/lock_subset.py LOCK NAME [NAME ...]")
    print(subset(Path(sys.argv[1]).read_text(), set(sys.argv[2:])), end="")
