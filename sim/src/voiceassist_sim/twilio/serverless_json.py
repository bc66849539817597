"""What Serverless's resources look like in an answer."""

from __future__ import annotations

from typing import Any, Final

from .api import ApiRequest
from .dates import iso
from .serverless_model import Build, Dates, Deployment, Environment, Function, ServerlessService, Variable, Version

SERVICES: Final = "/v1/Services"


class Shapes:
    """The resources of one account as JSON; ``request`` gives what stands before a path in absolute links."""

    def __init__(self, account_sid: str) -> None:
        self._account_sid = account_sid

    def service(self, request: ApiRequest, one: ServerlessService) -> dict[str, Any]:
        """A service."""
        at = f"{SERVICES}/{one.sid}"
        return {
            "sid": one.sid,
            "account_sid": self._account_sid,
            "friendly_name": one.friendly_name,
            "unique_name": one.unique_name,
            "include_credentials": one.include_credentials,
            "ui_editable": one.ui_editable,
            "domain_base": one.domain_base,
            **_dates(one.dates),
            "url": request.url(at),
            "links": {name: request.url(f"{at}/{name.capitalize()}") for name in ("environments", "functions", "assets", "builds")},
        }

    def environment(self, request: ApiRequest, service: ServerlessService, one: Environment) -> dict[str, Any]:
        """An environment."""
        at = f"{SERVICES}/{service.sid}/Environments/{one.sid}"
        return {
            **self._head(one.sid, service),
            "build_sid": one.build_sid,
            "unique_name": one.unique_name,
            "domain_suffix": one.domain_suffix,
            "domain_name": one.domain_name,
            **_dates(one.dates),
            "url": request.url(at),
            "links": {name: request.url(f"{at}/{name.capitalize()}") for name in ("variables", "deployments", "logs")},
        }

    def variable(self, request: ApiRequest, service: ServerlessService, environment: Environment, one: Variable) -> dict[str, Any]:
        """A variable; its value can be read."""
        return {
            **self._head(one.sid, service),
            "environment_sid": environment.sid,
            "key": one.key,
            "value": one.value,
            **_dates(one.dates),
            "url": request.url(f"{SERVICES}/{service.sid}/Environments/{environment.sid}/Variables/{one.sid}"),
        }

    def function(self, request: ApiRequest, service: ServerlessService, one: Function) -> dict[str, Any]:
        """A function."""
        at = f"{SERVICES}/{service.sid}/Functions/{one.sid}"
        return {
            **self._head(one.sid, service),
            "friendly_name": one.friendly_name,
            **_dates(one.dates),
            "url": request.url(at),
            "links": {"function_versions": request.url(f"{at}/Versions")},
        }

    def version(self, request: ApiRequest, service: ServerlessService, one: Version) -> dict[str, Any]:
        """A version of a function, without its content."""
        at = f"{SERVICES}/{service.sid}/Functions/{one.function_sid}/Versions/{one.sid}"
        return {
            **self._head(one.sid, service),
            "function_sid": one.function_sid,
            "path": one.path,
            "visibility": one.visibility,
            "date_created": iso(one.created),
            "url": request.url(at),
            "links": {"function_version_content": request.url(f"{at}/Content")},
        }

    def content(self, request: ApiRequest, service: ServerlessService, one: Version) -> dict[str, Any]:
        """The content of a version."""
        at = f"{SERVICES}/{service.sid}/Functions/{one.function_sid}/Versions/{one.sid}/Content"
        return {**self._head(one.sid, service), "function_sid": one.function_sid, "content": one.content, "url": request.url(at)}

    def build(self, request: ApiRequest, service: ServerlessService, one: Build) -> dict[str, Any]:
        """A build; of a failed one the vendor's API says no more than its status."""
        at = f"{SERVICES}/{service.sid}/Builds/{one.sid}"
        versions = [
            {
                **self._head(version.sid, service),
                "function_sid": version.function_sid,
                "date_created": iso(version.created),
                "path": version.path,
                "visibility": version.visibility.upper(),
            }
            for version in one.versions
        ]
        return {
            **self._head(one.sid, service),
            "status": one.status.value,
            "asset_versions": [],
            "function_versions": versions,
            "dependencies": [dict(dependency) for dependency in one.dependencies],
            "runtime": one.runtime,
            **_dates(one.dates),
            "url": request.url(at),
            "links": {"build_status": request.url(f"{at}/Status")},
        }

    def build_status(self, request: ApiRequest, service: ServerlessService, one: Build) -> dict[str, Any]:
        """The sub-resource that is made for polling."""
        at = f"{SERVICES}/{service.sid}/Builds/{one.sid}/Status"
        return {**self._head(one.sid, service), "status": one.status.value, "url": request.url(at)}

    def deployment(self, request: ApiRequest, service: ServerlessService, environment: Environment, one: Deployment) -> dict[str, Any]:
        """A deployment."""
        return {
            **self._head(one.sid, service),
            "environment_sid": environment.sid,
            "build_sid": one.build_sid,
            **_dates(Dates(one.created, one.created)),
            "url": request.url(f"{SERVICES}/{service.sid}/Environments/{environment.sid}/Deployments/{one.sid}"),
        }

    def _head(self, sid: str, service: ServerlessService) -> dict[str, str]:
        return {"sid": sid, "account_sid": self._account_sid, "service_sid": service.sid}


def _dates(dates: Dates) -> dict[str, str]:
    return {"date_created": iso(dates.created), "date_updated": iso(dates.updated)}
