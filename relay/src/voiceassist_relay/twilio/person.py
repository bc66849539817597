"""Who asks, and which call they hold (pure): read from what Twilio says of a worker and of a task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from ..errors import RequestRefused

ROLES: Final = frozenset({"agent", "supervisor", "admin"})

WATCHERS: Final = frozenset({"supervisor", "admin"})


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: the Sync identity, the worker, and the roles in Flex."""

    identity: str
    worker: str
    roles: frozenset[str]

    @property
    def may_watch(self) -> bool:
        """Whether this person may read along calls of others."""
        return bool(self.roles & WATCHERS)


class Standing(Enum):
    """What a person has to do with a call."""

    HOLDS = auto()
    NOT_YET = auto()
    """The task is theirs, and its conference has not begun: the call may be about to join."""
    NO = auto()


@dataclass(frozen=True, slots=True)
class Holding:
    """A person's part in a call, and by which task."""

    standing: Standing
    task_sid: str = ""


def not_accepted() -> RequestRefused:
    """A token that is none, or none any more."""
    return RequestRefused(
        401, "token_invalid", "Token: Twilio does not accept it.", "Flex renews its token: read it anew for each request and try again."
    )


def person_from(answer: Mapping[str, Any]) -> Person:
    """The person that Twilio's answer about a Flex token describes. Raises RequestRefused: 401 invalid, 403 not one of us."""
    if answer.get("valid") is not True:
        raise not_accepted()
    listed = answer.get("roles")
    roles = frozenset(role for role in listed if isinstance(role, str)) if isinstance(listed, list) else frozenset()
    identity, worker = answer.get("identity"), answer.get("worker_sid")
    if not isinstance(identity, str) or not identity or not roles & ROLES:
        raise RequestRefused(
            403,
            "not_a_worker",
            "Token: it is valid, but not of an agent, supervisor or admin of Flex.",
            "Sign in to Flex with a role that handles tasks.",
        )
    return Person(identity, worker if isinstance(worker, str) else "", roles)


def customer_call_sids(attributes: object) -> tuple[str, ...]:
    """The SIDs of the customer's leg that a task's attributes name (JSON text, which a worker can write): the conference's participant,
    then `call_sid`."""
    try:
        parsed = json.loads(attributes) if isinstance(attributes, str) else {}
    except (ValueError, RecursionError):
        return ()
    found: list[object] = []
    here: object = parsed
    for step in ("conference", "participants", "customer"):
        here = here.get(step) if isinstance(here, dict) else None
    found.append(here)
    found.append(parsed.get("call_sid") if isinstance(parsed, dict) else None)
    return tuple(sid for sid in found if isinstance(sid, str) and sid)
