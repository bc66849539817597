"""The things that Serverless keeps, from services to deployments, and what its builds are told to come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

NODE_RUNTIMES: Final = ("node8", "node10", "node12", "node14", "node16", "node18", "node20", "node22", "node24")
"""Every runtime that there has been; ``ServerlessLimits.runtimes`` names those that still run."""
DEFAULT_RUNTIME: Final = "node22"
DEFAULT_DEPENDENCIES: Final = ({"name": "twilio", "version": "5.3.0"}, {"name": "@twilio/runtime-handler", "version": "2.1.2"})
"""What a build is given that names no dependencies."""


class Status(StrEnum):
    """States of a build."""

    BUILDING = "building"
    COMPLETED = "completed"
    FAILED = "failed"


class Outcome(StrEnum):
    """What a build is to come to."""

    COMPLETED = "completed"
    FAILED = "failed"
    HANG = "hang"
    """It stays ``building`` until it is settled."""
    REFUSED = "refused"
    """There is no build: the request is refused with 400/20001 and the message."""


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What the next ``times`` builds come to (``None``: all); ``message`` says why one failed or was refused.

    ``seconds`` and ``polls`` stand in place of the settings ``build_seconds`` and ``build_polls``, if given.
    """

    outcome: Outcome = Outcome.COMPLETED
    message: str | None = None
    times: int | None = 1
    seconds: float | None = None
    polls: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "outcome", Outcome(self.outcome))
        for name in ("times", "seconds", "polls"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
                raise ValueError(f"{name} must be a number, not below 0")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> BuildPlan:
        """From JSON with the fields' names; raises ValueError for what does not fit."""
        unknown = sorted(set(given) - {item.name for item in fields(cls)})
        if unknown:
            raise ValueError(f"unknown field {', '.join(unknown)}; there are: {', '.join(item.name for item in fields(cls))}")
        return cls(**given)


@dataclass(slots=True)
class Dates:
    """Seconds since the epoch."""

    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class Version:
    """One content of a function; it never changes."""

    sid: str
    function_sid: str
    path: str
    visibility: str
    content: str
    created: float


@dataclass(slots=True)
class Function:
    """A function: a name that need not be unique, and its versions, oldest first."""

    sid: str
    friendly_name: str
    dates: Dates
    versions: dict[str, Version] = field(default_factory=dict)


@dataclass(slots=True)
class Variable:
    """One variable of an environment."""

    sid: str
    key: str
    value: str
    dates: Dates


@dataclass(slots=True)
class Build:
    """Versions, dependencies and a runtime. It holds the versions themselves: it outlives the functions that they are of."""

    sid: str
    versions: tuple[Version, ...]
    dependencies: tuple[Mapping[str, str], ...]
    runtime: str
    dates: Dates
    plan: BuildPlan
    seconds: float
    polls_left: int
    status: Status = Status.BUILDING


@dataclass(frozen=True, slots=True)
class Deployment:
    """A build that was put into an environment; ``build_sid`` ``None`` took out what was there."""

    sid: str
    build_sid: str | None
    is_plugin: bool
    created: float


@dataclass(slots=True)
class Environment:
    """Where builds run: a domain, variables, the deployments from the first to the last."""

    sid: str
    unique_name: str
    domain_suffix: str | None
    domain_name: str
    dates: Dates
    build_sid: str | None = None
    variables: dict[str, Variable] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)


@dataclass(slots=True)
class ServerlessService:
    """A service and everything in it."""

    sid: str
    unique_name: str
    friendly_name: str
    include_credentials: bool
    ui_editable: bool
    domain_base: str
    dates: Dates
    environments: dict[str, Environment] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
