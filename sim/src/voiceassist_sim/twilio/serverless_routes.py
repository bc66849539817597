"""Serverless's REST operations on services, environments and variables."""

from __future__ import annotations

import re
from typing import Final

from .api import Answer, ApiRequest, Route, route
from .errors import bad_parameter, not_found
from .fields import boolean, required, text
from .paging import page
from .serverless_json import SERVICES, Shapes
from .serverless_model import Environment, ServerlessService, Variable
from .serverless_store import ServerlessStore
from .sids import is_sid

MAX_PAGE_SIZE: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ENVIRONMENTS: Final = f"{SERVICES}/{{ServiceSid}}/Environments"
_VARIABLES: Final = f"{_ENVIRONMENTS}/{{EnvironmentSid}}/Variables"


class ServerlessRoutes:
    """The operations of the product ``serverless`` on what surrounds the code."""

    def __init__(self, account_sid: str, store: ServerlessStore) -> None:
        self._store = store
        self._shapes = Shapes(account_sid)

    def routes(self) -> list[Route]:
        """All of them, as in the vendor's specification."""
        changeable = ("FriendlyName", "IncludeCredentials", "UiEditable")
        return [
            route("GET", SERVICES, self.list_services),
            route("POST", SERVICES, self.create_service, "UniqueName", *changeable),
            route("GET", f"{SERVICES}/{{Sid}}", self.fetch_service),
            route("POST", f"{SERVICES}/{{Sid}}", self.update_service, *changeable),
            route("DELETE", f"{SERVICES}/{{Sid}}", self.delete_service),
            route("GET", _ENVIRONMENTS, self.list_environments),
            route("POST", _ENVIRONMENTS, self.create_environment, "UniqueName", "DomainSuffix"),
            route("GET", f"{_ENVIRONMENTS}/{{Sid}}", self.fetch_environment),
            route("DELETE", f"{_ENVIRONMENTS}/{{Sid}}", self.delete_environment),
            route("GET", _VARIABLES, self.list_variables),
            route("POST", _VARIABLES, self.create_variable, "Key", "Value"),
            route("GET", f"{_VARIABLES}/{{Sid}}", self.fetch_variable),
            route("POST", f"{_VARIABLES}/{{Sid}}", self.update_variable, "Key", "Value"),
            route("DELETE", f"{_VARIABLES}/{{Sid}}", self.delete_variable),
        ]

    # Services

    def list_services(self, request: ApiRequest) -> Answer:
        """A page of services."""
        rows = [self._shapes.service(request, one) for one in self._store.services.values()]
        return Answer(200, page(request, "services", rows, max_page_size=MAX_PAGE_SIZE))

    def create_service(self, request: ApiRequest) -> Answer:
        """A new service."""
        include, editable = boolean(request.form, "IncludeCredentials"), boolean(request.form, "UiEditable")
        friendly_name = text(request.form, "FriendlyName", 255, needed=True) or ""
        made = self._store.create_service(
            _domain_part(request, "UniqueName", 50),
            friendly_name,
            include_credentials=include is not False,
            ui_editable=bool(editable),
            now=request.now,
        )
        return Answer(201, self._shapes.service(request, made))

    def fetch_service(self, request: ApiRequest) -> Answer:
        """A service."""
        return Answer(200, self._shapes.service(request, self._store.service(request.params["Sid"])))

    def update_service(self, request: ApiRequest) -> Answer:
        """Change a service's settings; its unique name stays."""
        service = self._store.service(request.params["Sid"])
        friendly_name = text(request.form, "FriendlyName", 255)
        include, editable = boolean(request.form, "IncludeCredentials"), boolean(request.form, "UiEditable")
        if friendly_name == "":
            raise bad_parameter("FriendlyName must not be empty")
        service.friendly_name = friendly_name or service.friendly_name
        service.include_credentials = service.include_credentials if include is None else include
        service.ui_editable = service.ui_editable if editable is None else editable
        service.dates.updated = request.now
        return Answer(200, self._shapes.service(request, service))

    def delete_service(self, request: ApiRequest) -> Answer:
        """Delete a service with everything in it."""
        self._store.delete_service(request.params["Sid"])
        return Answer(204)

    # Environments

    def _service(self, request: ApiRequest) -> ServerlessService:
        return self._store.service(request.params["ServiceSid"])

    def list_environments(self, request: ApiRequest) -> Answer:
        """A page of a service's environments."""
        service = self._service(request)
        rows = [self._shapes.environment(request, service, one) for one in service.environments.values()]
        return Answer(200, page(request, "environments", rows, max_page_size=MAX_PAGE_SIZE))

    def create_environment(self, request: ApiRequest) -> Answer:
        """A new environment."""
        service = self._service(request)
        name = text(request.form, "UniqueName", 100, needed=True) or ""
        suffix = _domain_part(request, "DomainSuffix", 16) if request.form.get("DomainSuffix") else None
        made = self._store.create_environment(service, name, suffix, request.now)
        return Answer(201, self._shapes.environment(request, service, made))

    def fetch_environment(self, request: ApiRequest) -> Answer:
        """An environment."""
        service = self._service(request)
        return Answer(200, self._shapes.environment(request, service, self._store.environment(service, request.params["Sid"])))

    def delete_environment(self, request: ApiRequest) -> Answer:
        """Delete an environment; what is deployed there is gone."""
        service = self._service(request)
        del service.environments[self._store.environment(service, request.params["Sid"]).sid]
        return Answer(204)

    # Variables

    def _environment(self, request: ApiRequest) -> tuple[ServerlessService, Environment]:
        service = self._service(request)
        return service, self._store.environment(service, request.params["EnvironmentSid"])

    def _variable(self, request: ApiRequest) -> tuple[ServerlessService, Environment, Variable]:
        service, environment = self._environment(request)
        sid = request.params["Sid"]
        if sid not in environment.variables:
            raise not_found(request.path)
        return service, environment, environment.variables[sid]

    def list_variables(self, request: ApiRequest) -> Answer:
        """A page of an environment's variables."""
        service, environment = self._environment(request)
        rows = [self._shapes.variable(request, service, environment, one) for one in environment.variables.values()]
        return Answer(200, page(request, "variables", rows, max_page_size=MAX_PAGE_SIZE))

    def create_variable(self, request: ApiRequest) -> Answer:
        """A new variable."""
        service, environment = self._environment(request)
        required(request.form, "Key")
        required(request.form, "Value")
        made = self._store.set_variable(environment, None, *_key_and_value(request), request.now)
        return Answer(201, self._shapes.variable(request, service, environment, made))

    def fetch_variable(self, request: ApiRequest) -> Answer:
        """A variable."""
        return Answer(200, self._shapes.variable(request, *self._variable(request)))

    def update_variable(self, request: ApiRequest) -> Answer:
        """Give a variable another key or value."""
        service, environment, variable = self._variable(request)
        self._store.set_variable(environment, variable, *_key_and_value(request), request.now)
        return Answer(200, self._shapes.variable(request, service, environment, variable))

    def delete_variable(self, request: ApiRequest) -> Answer:
        """Delete a variable."""
        _, environment, variable = self._variable(request)
        del environment.variables[variable.sid]
        return Answer(204)


def _domain_part(request: ApiRequest, name: str, most: int) -> str:
    """A name that becomes part of a domain."""
    value = text(request.form, name, most, needed=True) or ""
    if not _NAME.fullmatch(value):
        raise bad_parameter(f"{name} becomes part of a domain: letters, digits and hyphens only, not {value[:60]!r}")
    if is_sid(value):
        raise bad_parameter(f"{name} must not have the shape of a SID")
    return value


def _key_and_value(request: ApiRequest) -> tuple[str | None, str | None]:
    key, value = text(request.form, "Key", 128), request.form.get("Value")
    if key is not None and not _KEY.fullmatch(key):
        raise bad_parameter(f"Key must be the name of a variable: letters, digits and underscores, not {key[:60]!r}")
    if value == "":
        raise bad_parameter("Value must not be empty")
    if value is not None and len(value.encode()) > 450:
        raise bad_parameter(f"Value may have 450 bytes, not {len(value.encode())}")
    return key, value
