"""Whether a relay that has been in use ended where it began (pure): the tolerances, and what is beyond them."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_048_576


@dataclass(frozen=True, slots=True)
class AtRest:
    """A relay without calls: resident memory in bytes, tasks of its event loop, file descriptors, sockets."""

    rss: int
    tasks: int
    fds: int
    sockets: int


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much more a relay may hold at the end than it did at the beginning.

    A scrape or a check of a peer that is just under way is a task and a socket, so a handful is allowed: far fewer than calls have
    come and gone. Memory: the allocator keeps what it had at the highest load, and does not always have it all at the first look.
    """

    tasks: int = 3
    descriptors: int = 4
    bytes_fixed: int = 6 * MB
    bytes_per_call: int = 1024


def beyond(before: AtRest, after: AtRest, calls: int, allowed: Tolerance = Tolerance()) -> list[str]:
    """What is left over after `calls` calls, one line each; empty if all is as it was."""
    most = allowed.bytes_fixed + allowed.bytes_per_call * calls
    rows = (
        ("tasks", before.tasks, after.tasks, allowed.tasks),
        ("file descriptors", before.fds, after.fds, allowed.descriptors),
        ("sockets", before.sockets, after.sockets, allowed.descriptors),
        ("bytes of memory", before.rss, after.rss, most),
    )
    return [
        f"{what}: {then} before, {now} after {calls} calls; at most {room} more are allowed"
        for what, then, now, room in rows
        if now > then + room
    ]
