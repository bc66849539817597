"""What a Serverless service has, as far as the operator looks, and what may be done to it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

from .source import Source


@dataclass(frozen=True, slots=True)
class Service:
    """A Serverless service."""

    sid: str
    friendly_name: str
    include_credentials: bool
    ui_editable: bool


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of the service."""

    sid: str
    domain_name: str
    build_sid: str = ""
    """The build that is deployed; empty for none."""

    @property
    def url(self) -> str:
        """The functions URL."""
        return f"https://{self.domain_name}"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment."""

    sid: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Version:
    """What was uploaded for a function."""

    sid: str
    path: str
    visibility: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function; its versions the oldest first, looked at only where the name is one of the desired."""

    sid: str
    name: str
    versions: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """A build."""

    sid: str
    status: str
    """`building`, `completed` or `failed`."""
    versions: frozenset[str]
    created: float
    """Epoch seconds."""


@dataclass(frozen=True, slots=True)
class ServerlessFacts:
    """What was seen. Without a service there is nothing else."""

    service: Service | None = None
    environment: Environment | None = None
    variables: tuple[Variable, ...] = ()
    functions: tuple[Function, ...] = ()
    builds: tuple[Build, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateService:
    """Makes the service."""

    unique_name: str
    friendly_name: str


@dataclass(frozen=True, slots=True)
class UpdateService:
    """Puts the service's settings right."""

    sid: str
    friendly_name: str


@dataclass(frozen=True, slots=True)
class CreateEnvironment:
    """Makes the environment."""

    unique_name: str


@dataclass(frozen=True, slots=True)
class SetVariable:
    """Makes a variable, or gives the one with this SID another value."""

    key: str
    value: str
    sid: str = ""


@dataclass(frozen=True, slots=True)
class CreateFunction:
    """Makes a function without content."""

    name: str


@dataclass(frozen=True, slots=True)
class Upload:
    """Uploads a function's content."""

    function_sid: str
    source: Source = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateBuild:
    """Builds these versions."""

    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deploy:
    """Puts a build into the environment."""

    build_sid: str


@dataclass(frozen=True, slots=True)
class DeleteBuild:
    """Deletes a build that is not deployed."""

    sid: str


@dataclass(frozen=True, slots=True)
class DeleteFunction:
    """Deletes a function that is in no build of ours any more."""

    sid: str


Step = (
    CreateService
    | UpdateService
    | CreateEnvironment
    | SetVariable
    | CreateFunction
    | Upload
    | CreateBuild
    | Deploy
    | DeleteBuild
    | DeleteFunction
)
