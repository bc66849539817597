"""Serverless's rules without HTTP: names, caps, what a build needs and comes to, what may be deployed and deleted; time is an argument."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from .errors import bad_parameter, conflict, not_found
from .serverless_model import (
    Build,
    BuildPlan,
    Dates,
    Deployment,
    Environment,
    Function,
    Outcome,
    ServerlessService,
    Status,
    Variable,
    Version,
)
from .settings import Settings
from .sids import SidSource

T = TypeVar("T")
PLAN_WITHOUT_ORDERS = BuildPlan(times=None)


class ServerlessStore:
    """All services of the account. Lists are in the order of creation."""

    def __init__(self, sids: SidSource, settings: Settings) -> None:
        self.services: dict[str, ServerlessService] = {}
        self.refused_builds: list[str] = []
        """Messages with which builds were refused by order."""
        self._sids = sids
        self._settings = settings
        self._plans: list[BuildPlan] = []

    # Services

    def create_service(
        self, unique_name: str, friendly_name: str, *, include_credentials: bool, ui_editable: bool, now: float
    ) -> ServerlessService:
        """A new service; 409/20409 if the name is taken."""
        if any(service.unique_name == unique_name for service in self.services.values()):
            raise conflict("Service with this UniqueName already exists.")
        self._cap(self.services, "services", "Services")
        sid = self._sids("ZS")
        number = 1000 + zlib.crc32(sid.encode()) % 9000
        base = f"{unique_name.lower()}-{number}"
        service = ServerlessService(sid, unique_name, friendly_name, include_credentials, ui_editable, base, Dates(now, now))
        self.services[sid] = service
        return service

    def service(self, ref: str) -> ServerlessService:
        """The service with this SID or unique name; 404/20404."""
        found = self.services.get(ref) or next((one for one in self.services.values() if one.unique_name == ref), None)
        if found is None:
            raise not_found(f"/Services/{ref}")
        return found

    def delete_service(self, ref: str) -> None:
        """Delete a service with everything in it."""
        del self.services[self.service(ref).sid]

    # Environments

    def create_environment(self, service: ServerlessService, unique_name: str, suffix: str | None, now: float) -> Environment:
        """A new environment; 409/20409 if its name or its suffix (no suffix is one, too) is taken in the service."""
        if any(one.unique_name == unique_name or one.domain_suffix == suffix for one in service.environments.values()):
            raise conflict("Environment with this UniqueName or DomainSuffix already exists.")
        self._cap(service.environments, "environments", "Environments")
        domain = f"{service.domain_base}{f'-{suffix}' if suffix else ''}.twil.io"
        made = Environment(self._sids("ZE"), unique_name, suffix, domain, Dates(now, now))
        service.environments[made.sid] = made
        return made

    def environment(self, service: ServerlessService, sid: str) -> Environment:
        """The environment; 404/20404."""
        return _get(service.environments, sid, f"/Services/{service.sid}/Environments")

    # Variables

    def set_variable(self, environment: Environment, variable: Variable | None, key: str | None, value: str | None, now: float) -> Variable:
        """A new variable, or (``variable`` given) another key or value of one; 409/20409 if the key is taken."""
        if any(one.key == key and one is not variable for one in environment.variables.values()):
            raise conflict("Variable with this Key already exists.")
        if variable is None:
            self._cap(environment.variables, "variables", "Variables")
            variable = Variable(self._sids("ZV"), "", "", Dates(now, now))
            environment.variables[variable.sid] = variable
        variable.key = variable.key if key is None else key
        variable.value = variable.value if value is None else value
        variable.dates.updated = now
        return variable

    # Functions and versions

    def create_function(self, service: ServerlessService, friendly_name: str, now: float) -> Function:
        """A new function."""
        self._cap(service.functions, "functions", "Functions")
        made = Function(self._sids("ZH"), friendly_name, Dates(now, now))
        service.functions[made.sid] = made
        return made

    def function(self, service: ServerlessService, sid: str) -> Function:
        """The function; 404/20404."""
        return _get(service.functions, sid, f"/Services/{service.sid}/Functions")

    def upload(self, function: Function, path: str, visibility: str, content: str, now: float) -> Version:
        """A new version of a function."""
        made = Version(self._sids("ZN"), function.sid, path, visibility, content, now)
        function.versions[made.sid] = made
        function.dates.updated = now
        return made

    # Builds

    def plan_builds(self, *plans: BuildPlan) -> None:
        """What the next builds come to, in this order, instead of what was planned before; then they complete."""
        self._plans = list(plans)

    @property
    def plans(self) -> list[BuildPlan]:
        """What is planned and has not been used up."""
        return [plan for plan in self._plans if plan.times != 0]

    def create_build(
        self, service: ServerlessService, version_sids: Sequence[str], dependencies: Sequence[Mapping[str, str]], runtime: str, now: float
    ) -> Build:
        """A new build of these function versions.

        400/20001 for none, for one that is not in the service, for two of one path, and when there are as many builds as may be.
        """
        if not version_sids:
            raise bad_parameter("At least one Function Version or Asset Version is required for Build.")
        known = {version.sid: version for function in service.functions.values() for version in function.versions.values()}
        missing = [sid for sid in version_sids if sid not in known]
        if missing:
            raise bad_parameter(f"FunctionVersions: there is no {', '.join(missing)} in this Service")
        versions = tuple(known[sid] for sid in version_sids)
        if len({version.path for version in versions}) != len(versions):
            raise bad_parameter("FunctionVersions: two versions have the same path")
        self._cap(service.builds, "builds", "Builds")
        plan = self._next_plan()
        if plan.outcome is Outcome.REFUSED:
            self.refused_builds.append(plan.message or "The Build was refused.")
            raise bad_parameter(self.refused_builds[-1])
        limits = self._settings.serverless
        seconds = limits.build_seconds if plan.seconds is None else plan.seconds
        polls = limits.build_polls if plan.polls is None else plan.polls
        made = Build(self._sids("ZB"), versions, tuple(dependencies), runtime, Dates(now, now), plan, seconds, polls)
        service.builds[made.sid] = made
        return made

    def build(self, service: ServerlessService, sid: str) -> Build:
        """The build; 404/20404."""
        return _get(service.builds, sid, f"/Services/{service.sid}/Builds")

    def poll(self, build: Build, now: float) -> Status:
        """A build's status as somebody asks for it: asking counts."""
        if build.status is Status.BUILDING and build.plan.outcome is not Outcome.HANG:
            if build.polls_left <= 0 and now >= build.dates.created + build.seconds:
                self.settle(build, Status(build.plan.outcome.value), now)
            build.polls_left -= 1
        return build.status

    def settle(self, build: Build, status: Status, now: float) -> None:
        """End a build."""
        build.status, build.dates.updated = status, now

    def delete_build(self, service: ServerlessService, sid: str) -> None:
        """Delete a build; 409/20409 while it is deployed."""
        build = self.build(service, sid)
        if any(one.build_sid == build.sid for one in service.environments.values()):
            raise conflict("Build is deployed to an Environment and cannot be deleted.")
        del service.builds[build.sid]

    def _next_plan(self) -> BuildPlan:
        while self._plans and self._plans[0].times == 0:
            self._plans.pop(0)
        if not self._plans:
            return PLAN_WITHOUT_ORDERS
        plan = self._plans[0]
        if plan.times is not None:
            self._plans[0] = replace(plan, times=plan.times - 1)
        return plan

    # Deployments

    def deploy(
        self, service: ServerlessService, environment: Environment, build_sid: str | None, is_plugin: bool, now: float
    ) -> Deployment:
        """Put a build into an environment; without one take out what is there.

        409/20409 if that is so already; 400/20001 for a build that is not in the service or not completed.
        """
        if build_sid is not None:
            build = service.builds.get(build_sid)
            if build is None:
                raise bad_parameter(f"BuildSid: there is no {build_sid} in this Service")
            if build.status is not Status.COMPLETED:
                raise bad_parameter(f"BuildSid: the Build is not completed; its status is {build.status}")
        if environment.build_sid == build_sid:
            raise conflict("Environment already has requested deployment.")
        made = Deployment(self._sids("ZD"), build_sid, is_plugin, now)
        environment.deployments[made.sid] = made
        environment.build_sid, environment.dates.updated = build_sid, now
        return made

    # What runs

    def deployed(self, service: ServerlessService, environment: Environment) -> dict[str, Any]:
        """What runs in an environment now: files, variables, domain; for a test that runs it."""
        build = None if environment.build_sid is None else service.builds[environment.build_sid]
        return {
            "domainName": environment.domain_name,
            "environmentSid": environment.sid,
            "buildSid": environment.build_sid,
            "runtime": build and build.runtime,
            "dependencies": [] if build is None else [dict(one) for one in build.dependencies],
            "variables": {one.key: one.value for one in environment.variables.values()},
            "functions": [
                {
                    "path": one.path,
                    "visibility": one.visibility,
                    "content": one.content,
                    "versionSid": one.sid,
                    "functionSid": one.function_sid,
                }
                for one in (build.versions if build else ())
            ],
        }

    def _cap(self, rows: Mapping[str, object], name: str, shown: str) -> None:
        cap: int | None = getattr(self._settings.serverless, f"max_{name}")
        if cap is not None and len(rows) >= cap:
            raise bad_parameter(f"The limit of {cap} {shown} has been reached.")


def _get(rows: Mapping[str, T], sid: str, at: str) -> T:
    if sid not in rows:
        raise not_found(f"{at}/{sid}")
    return rows[sid]
