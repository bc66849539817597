"""File descriptors: the process takes as many as it may have, since a soft limit of 1024 is less than its calls and connections need."""

from __future__ import annotations

import resource

MOST = 65_536
"""More is not asked for: two ports take 4000 connections at most, and a call three sockets."""


def raise_limit() -> int:
    """Raises the soft limit as far as the hard one lets it. Returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
