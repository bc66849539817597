"""Serverless services over REST: what is there as facts, and one method for each step. By the `twilio` package where it has the call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..client import Part, TwilioClient, segment
from ..model.errors import TwilioRefused
from ..model.refusals import Refusal
from .observed import (
    Build,
    CreateBuild,
    CreateEnvironment,
    CreateFunction,
    CreateService,
    DeleteBuild,
    DeleteFunction,
    Environment,
    Function,
    ServerlessFacts,
    Service,
    SetVariable,
    Step,
    UpdateService,
    Upload,
    Variable,
    Version,
)
from .source import RUNTIME, dependencies_json


class ServerlessAccount:
    """The Serverless services of one account."""

    def __init__(self, client: TwilioClient) -> None:
        self._client = client
        self._services = client.sdk.serverless.v1.services

    async def service(self, ref: str) -> Service | None:
        """Returns a service by SID or UniqueName; None where there is none. One request."""
        found = await _or_none(self._services(ref).fetch_async())
        return None if found is None else _service(found)

    async def look(self, ref: str, environment: str, names: frozenset[str]) -> ServerlessFacts:
        """Returns everything: five requests, and one more for each function whose name is among `names`."""
        service = await self.service(ref)
        if service is None:
            return ServerlessFacts()
        there = self._services(service.sid)
        environments = [one for one in await there.environments.list_async() if one.unique_name == environment]
        found = _environment(environments[0]) if environments else None
        variables = await self.variables(service.sid, found.sid) if found is not None else ()
        functions = []
        for one in await there.functions.list_async():
            versions: tuple[Version, ...] = ()
            if one.friendly_name in names:
                rows = await there.functions(one.sid).function_versions.list_async()
                rows.sort(key=lambda row: (row.date_created, row.sid))
                versions = tuple(_version(row) for row in rows)
            functions.append(Function(one.sid, one.friendly_name, versions))
        builds = tuple(_build(one) for one in await there.builds.list_async())
        return ServerlessFacts(service, found, variables or (), tuple(functions), builds)

    async def glance(self, facts: ServerlessFacts) -> ServerlessFacts:
        """Returns the facts with service, environment and variables looked at anew: the parts that others can change. Three requests."""
        if facts.service is None or facts.environment is None:
            return facts
        service = await self.service(facts.service.sid)
        if service is None:
            return ServerlessFacts()
        environment = await self.environment(service.sid, facts.environment.sid)
        variables = None if environment is None else await self.variables(service.sid, environment.sid)
        if environment is None or variables is None:
            return replace(facts, service=service, environment=None, variables=())
        return replace(facts, service=service, environment=environment, variables=variables)

    async def environment(self, service_sid: str, sid: str) -> Environment | None:
        """Returns an environment; None where it, or its service, is not there."""
        found = await _or_none(self._services(service_sid).environments(sid).fetch_async())
        return None if found is None else _environment(found)

    async def variables(self, service_sid: str, environment_sid: str) -> tuple[Variable, ...] | None:
        """Returns an environment's variables; None where the environment is not there."""
        found = await _or_none(self._services(service_sid).environments(environment_sid).variables.list_async())
        return None if found is None else tuple(_variable(one) for one in found)

    async def set_variable(self, service_sid: str, environment_sid: str, step: SetVariable) -> Variable:
        """Makes a variable or changes it."""
        there = self._services(service_sid).environments(environment_sid).variables
        made = there.create_async(key=step.key, value=step.value) if not step.sid else there(step.sid).update_async(value=step.value)
        return _variable(await made)

    async def poll(self, service_sid: str, build: Build) -> Build:
        """Returns a build with its state now; one that is gone has failed. One request."""
        found = await _or_none(self._services(service_sid).builds(build.sid).build_status().fetch_async())
        return replace(build, status="failed" if found is None else str(found.status))

    async def delete(self, service_sid: str) -> None:
        """Deletes a service with everything in it; one that is gone is no error."""
        await _or_none(self._services(service_sid).delete_async())

    async def take(self, step: Step, facts: ServerlessFacts) -> ServerlessFacts:
        """Takes one step. Returns the facts as they are after it, by Twilio's answer."""
        if isinstance(step, CreateService):
            made = await self._services.create_async(
                unique_name=step.unique_name, friendly_name=step.friendly_name, include_credentials=False, ui_editable=False
            )
            return ServerlessFacts(_service(made))
        assert facts.service is not None  # noqa: S101 - every other step is about a service that is there
        there = self._services(facts.service.sid)
        match step:
            case UpdateService():
                found = await there.update_async(friendly_name=step.friendly_name, include_credentials=False, ui_editable=False)
                return replace(facts, service=_service(found))
            case CreateEnvironment():
                return replace(
                    facts, environment=_environment(await there.environments.create_async(unique_name=step.unique_name)), variables=()
                )
            case CreateFunction():
                made = await there.functions.create_async(friendly_name=step.name)
                return replace(facts, functions=(*facts.functions, Function(made.sid, step.name)))
            case Upload():
                return _with_version(facts, step.function_sid, await self._upload(facts.service.sid, step))
            case CreateBuild():
                made = await there.builds.create_async(
                    function_versions=list(step.versions), dependencies=dependencies_json(), runtime=RUNTIME
                )
                return replace(facts, builds=(*facts.builds, _build(made)))
            case DeleteBuild():
                await _or_none(there.builds(step.sid).delete_async())
                return replace(facts, builds=tuple(one for one in facts.builds if one.sid != step.sid))
            case DeleteFunction():
                await _or_none(there.functions(step.sid).delete_async())
                return replace(facts, functions=tuple(one for one in facts.functions if one.sid != step.sid))
        assert facts.environment is not None  # noqa: S101 - as above
        if isinstance(step, SetVariable):
            now = await self.set_variable(facts.service.sid, facts.environment.sid, step)
            return replace(facts, variables=(*(one for one in facts.variables if one.key != now.key), now))
        await there.environments(facts.environment.sid).deployments.create_async(build_sid=step.build_sid)
        return replace(facts, environment=replace(facts.environment, build_sid=step.build_sid))

    async def _upload(self, service_sid: str, step: Upload) -> Version:
        """Uploads, which the package cannot. After an unclear answer the version may be there: look before it is asked for again."""
        source = step.source
        path = f"/v1/Services/{segment(service_sid)}/Functions/{segment(step.function_sid)}/Versions"
        name = f"{source.path.removeprefix('/')}.js"
        parts = [
            Part("Path", source.path),
            Part("Visibility", source.visibility),
            Part("Content", source.content, filename=name, content_type="application/javascript"),
        ]
        made = await self._client.ask("serverless-upload", "POST", path, parts=parts, repeatable=False)
        return Version(str(made["sid"]), source.path, source.visibility)


async def _or_none(call: Any) -> Any:
    """The call's answer; None where what it is about is not there."""
    try:
        return await call
    except TwilioRefused as error:
        if error.kind is Refusal.NOT_FOUND:
            return None
        raise


def _service(one: Any) -> Service:
    return Service(one.sid, one.friendly_name or "", bool(one.include_credentials), bool(one.ui_editable))


def _environment(one: Any) -> Environment:
    return Environment(one.sid, one.domain_name or "", one.build_sid or "")


def _variable(one: Any) -> Variable:
    return Variable(one.sid, one.key, one.value or "")


def _version(one: Any) -> Version:
    return Version(one.sid, one.path, str(one.visibility).lower())


def _build(one: Any) -> Build:
    versions = frozenset(str(version["sid"]) for version in one.function_versions or ())
    return Build(one.sid, str(one.status), versions, one.date_created.timestamp())


def _with_version(facts: ServerlessFacts, function_sid: str, version: Version) -> ServerlessFacts:
    functions = tuple(replace(one, versions=(*one.versions, version)) if one.sid == function_sid else one for one in facts.functions)
    return replace(facts, functions=functions)
