"""Serverless's REST operations on code: functions, their versions and uploads, builds, deployments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from .api import Answer, ApiRequest, Body, Part, Route, route
from .errors import TwilioError, bad_parameter, not_found
from .fields import boolean, text
from .paging import page
from .serverless_json import SERVICES, Shapes
from .serverless_model import DEFAULT_DEPENDENCIES, DEFAULT_RUNTIME, NODE_RUNTIMES, Build, Environment, Function, ServerlessService, Version
from .serverless_routes import MAX_PAGE_SIZE
from .serverless_store import ServerlessStore
from .settings import Settings
from .sids import is_sid

_FUNCTIONS: Final = f"{SERVICES}/{{ServiceSid}}/Functions"
_VERSIONS: Final = f"{_FUNCTIONS}/{{FunctionSid}}/Versions"
_BUILDS: Final = f"{SERVICES}/{{ServiceSid}}/Builds"
_DEPLOYMENTS: Final = f"{SERVICES}/{{ServiceSid}}/Environments/{{EnvironmentSid}}/Deployments"
_UPLOADED: Final = ("Path", "Visibility", "Content")


class ServerlessCode:
    """The operations of the products ``serverless`` and ``serverless-upload`` on what runs."""

    def __init__(self, account_sid: str, store: ServerlessStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._shapes = Shapes(account_sid)

    def routes(self) -> list[Route]:
        """Those of ``serverless``."""
        return [
            route("GET", _FUNCTIONS, self.list_functions),
            route("POST", _FUNCTIONS, self.create_function, "FriendlyName"),
            route("GET", f"{_FUNCTIONS}/{{Sid}}", self.fetch_function),
            route("POST", f"{_FUNCTIONS}/{{Sid}}", self.update_function, "FriendlyName"),
            route("DELETE", f"{_FUNCTIONS}/{{Sid}}", self.delete_function),
            route("GET", _VERSIONS, self.list_versions),
            route("GET", f"{_VERSIONS}/{{Sid}}", self.fetch_version),
            route("GET", f"{_VERSIONS}/{{Sid}}/Content", self.fetch_content),
            route("GET", f"{SERVICES}/{{ServiceSid}}/Assets", self.list_assets),
            route("GET", _BUILDS, self.list_builds),
            Route(
                "POST",
                _BUILDS,
                self.create_build,
                Body.FORM,
                frozenset({"Dependencies", "Runtime"}),
                repeated=frozenset({"FunctionVersions", "AssetVersions"}),
            ),
            route("GET", f"{_BUILDS}/{{Sid}}", self.fetch_build),
            route("GET", f"{_BUILDS}/{{Sid}}/Status", self.fetch_status),
            route("DELETE", f"{_BUILDS}/{{Sid}}", self.delete_build),
            route("GET", _DEPLOYMENTS, self.list_deployments),
            route("POST", _DEPLOYMENTS, self.create_deployment, "BuildSid", "IsPlugin"),
            route("GET", f"{_DEPLOYMENTS}/{{Sid}}", self.fetch_deployment),
        ]

    def upload_routes(self) -> list[Route]:
        """The one of ``serverless-upload``."""
        return [Route("POST", _VERSIONS, self.upload, Body.MULTIPART)]

    # Functions

    def _service(self, request: ApiRequest) -> ServerlessService:
        return self._store.service(request.params["ServiceSid"])

    def _function(self, request: ApiRequest, param: str) -> tuple[ServerlessService, Function]:
        service = self._service(request)
        return service, self._store.function(service, request.params[param])

    def list_functions(self, request: ApiRequest) -> Answer:
        """A page of a service's functions."""
        service = self._service(request)
        rows = [self._shapes.function(request, service, one) for one in service.functions.values()]
        return Answer(200, page(request, "functions", rows, max_page_size=MAX_PAGE_SIZE))

    def create_function(self, request: ApiRequest) -> Answer:
        """A new function; others may have the same name."""
        service = self._service(request)
        made = self._store.create_function(service, text(request.form, "FriendlyName", 255, needed=True) or "", request.now)
        return Answer(201, self._shapes.function(request, service, made))

    def fetch_function(self, request: ApiRequest) -> Answer:
        """A function."""
        return Answer(200, self._shapes.function(request, *self._function(request, "Sid")))

    def update_function(self, request: ApiRequest) -> Answer:
        """Give a function another name."""
        service, function = self._function(request, "Sid")
        function.friendly_name = text(request.form, "FriendlyName", 255, needed=True) or ""
        function.dates.updated = request.now
        return Answer(200, self._shapes.function(request, service, function))

    def delete_function(self, request: ApiRequest) -> Answer:
        """Delete a function and its versions; builds that have them keep them."""
        service, function = self._function(request, "Sid")
        del service.functions[function.sid]
        return Answer(204)

    # Versions

    def _version(self, request: ApiRequest) -> tuple[ServerlessService, Version]:
        service, function = self._function(request, "FunctionSid")
        if request.params["Sid"] not in function.versions:
            raise not_found(request.path)
        return service, function.versions[request.params["Sid"]]

    def list_versions(self, request: ApiRequest) -> Answer:
        """A page of a function's versions."""
        service, function = self._function(request, "FunctionSid")
        rows = [self._shapes.version(request, service, one) for one in function.versions.values()]
        return Answer(200, page(request, "function_versions", rows, max_page_size=MAX_PAGE_SIZE))

    def fetch_version(self, request: ApiRequest) -> Answer:
        """A version."""
        return Answer(200, self._shapes.version(request, *self._version(request)))

    def fetch_content(self, request: ApiRequest) -> Answer:
        """A version's content."""
        return Answer(200, self._shapes.content(request, *self._version(request)))

    def upload(self, request: ApiRequest) -> Answer:
        """A new version of a function: path, visibility and a file of JavaScript."""
        service, function = self._function(request, "FunctionSid")
        path, visibility, content = _uploaded(request.parts)
        made = self._store.upload(function, path, visibility, content, request.now)
        return Answer(201, self._shapes.version(request, service, made))

    # Builds

    def list_assets(self, request: ApiRequest) -> Answer:
        """A service's assets: none, as they cannot be made here; the vendor's toolkit asks for them."""
        self._service(request)
        return Answer(200, page(request, "assets", [], max_page_size=MAX_PAGE_SIZE))

    def _build(self, request: ApiRequest) -> tuple[ServerlessService, Build]:
        service = self._service(request)
        return service, self._store.build(service, request.params["Sid"])

    def list_builds(self, request: ApiRequest) -> Answer:
        """A page of a service's builds."""
        service = self._service(request)
        rows = [self._shapes.build(request, service, one) for one in service.builds.values()]
        return Answer(200, page(request, "builds", rows, max_page_size=MAX_PAGE_SIZE))

    def create_build(self, request: ApiRequest) -> Answer:
        """A new build; assets are not served, so there is no version of one that it could name."""
        service = self._service(request)
        versions = request.lists.get("FunctionVersions", ())
        for sid in (*versions, *request.lists.get("AssetVersions", ())):
            if not is_sid(sid, "ZN"):
                raise bad_parameter(f"FunctionVersions and AssetVersions must be SIDs ZN…, not {sid[:40]!r}")
        if request.lists.get("AssetVersions"):
            raise bad_parameter(f"AssetVersions: there is no {request.lists['AssetVersions'][0]} in this Service")
        runtime = self._runtime(request.form.get("Runtime"))
        made = self._store.create_build(service, versions, _dependencies(request.form), runtime, request.now)
        return Answer(201, self._shapes.build(request, service, made))

    def fetch_build(self, request: ApiRequest) -> Answer:
        """A build."""
        service, build = self._build(request)
        self._store.poll(build, request.now)
        return Answer(200, self._shapes.build(request, service, build))

    def fetch_status(self, request: ApiRequest) -> Answer:
        """A build's status."""
        service, build = self._build(request)
        self._store.poll(build, request.now)
        return Answer(200, self._shapes.build_status(request, service, build))

    def delete_build(self, request: ApiRequest) -> Answer:
        """Delete a build that is not deployed."""
        self._store.delete_build(self._service(request), request.params["Sid"])
        return Answer(204)

    def _runtime(self, given: str | None) -> str:
        if given is not None and given not in NODE_RUNTIMES:
            raise bad_parameter(f"Runtime must be one of {', '.join(NODE_RUNTIMES)}, not {given[:40]!r}")
        if given is not None and given not in self._settings.serverless.runtimes:
            raise TwilioError(400, 82007, f"Runtime {given} is not supported any more")
        return given or DEFAULT_RUNTIME

    # Deployments

    def _environment(self, request: ApiRequest) -> tuple[ServerlessService, Environment]:
        service = self._service(request)
        return service, self._store.environment(service, request.params["EnvironmentSid"])

    def list_deployments(self, request: ApiRequest) -> Answer:
        """A page of an environment's deployments."""
        service, environment = self._environment(request)
        rows = [self._shapes.deployment(request, service, environment, one) for one in environment.deployments.values()]
        return Answer(200, page(request, "deployments", rows, max_page_size=MAX_PAGE_SIZE))

    def create_deployment(self, request: ApiRequest) -> Answer:
        """Deploy a build, or without one take out what is deployed."""
        service, environment = self._environment(request)
        is_plugin = bool(boolean(request.form, "IsPlugin"))
        build_sid = request.form.get("BuildSid")
        if build_sid is not None and not is_sid(build_sid, "ZB"):
            raise bad_parameter(f"BuildSid must be a SID ZB…, not {build_sid[:40]!r}")
        made = self._store.deploy(service, environment, build_sid, is_plugin, request.now)
        return Answer(201, self._shapes.deployment(request, service, environment, made))

    def fetch_deployment(self, request: ApiRequest) -> Answer:
        """A deployment."""
        service, environment = self._environment(request)
        found = environment.deployments.get(request.params["Sid"])
        if found is None:
            raise not_found(request.path)
        return Answer(200, self._shapes.deployment(request, service, environment, found))


def _uploaded(parts: Mapping[str, Part]) -> tuple[str, str, str]:
    """Path, visibility and content of an upload; 400/20001 for what does not fit."""
    unknown = sorted(set(parts) - set(_UPLOADED))
    if unknown:
        raise bad_parameter(f"Unknown parameter {unknown[0][:80]!r}")
    missing = [name for name in _UPLOADED if name not in parts]
    if missing:
        raise bad_parameter(f"Missing required parameter {missing[0]}")
    try:
        path, visibility, content = (parts[name].content.decode("utf-8") for name in _UPLOADED)
    except UnicodeDecodeError:
        raise bad_parameter("Path, Visibility and Content must be texts in UTF-8") from None
    if not path.startswith("/") or not 2 <= len(path) <= 255 or any(character.isspace() or character in "?#" for character in path):
        raise bad_parameter("Path must begin with / and have at most 255 characters, without spaces, ? and #")
    if visibility not in ("public", "protected", "private"):
        raise bad_parameter(f"Visibility must be one of public, protected, private, not {visibility[:40]!r}")
    file = parts["Content"]
    if file.filename is None:
        raise bad_parameter("Content must be a file: its part needs a filename")
    if file.content_type != "application/javascript":
        raise bad_parameter(f"Content must be application/javascript, not {file.content_type or 'without a type'}")
    if not content.strip():
        raise bad_parameter("Content must not be empty")
    return path, visibility, content


def _dependencies(form: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """What a build installs: a JSON list of name and version; the vendor's toolkit puts quotation marks around it, which are taken off."""
    given = form.get("Dependencies")
    if given is None:
        return DEFAULT_DEPENDENCIES
    if given.startswith('"['):
        given = given.removeprefix('"').removesuffix('"')
    try:
        rows = json.loads(given)
    except ValueError:
        raise bad_parameter("Dependencies must be JSON") from None
    good = isinstance(rows, list) and all(
        isinstance(one, dict) and set(one) == {"name", "version"} and all(isinstance(value, str) and value for value in one.values())
        for one in rows
    )
    if not good:
        raise bad_parameter('Dependencies must be a list of objects {"name", "version"}')
    if len({one["name"] for one in rows}) != len(rows):
        raise bad_parameter("Dependencies names a package twice")
    return tuple(rows)
