"""Judges an upgrade request by its path, query and headers: which session it opens, or with which status and error it is refused. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .behaviour import Behaviour, Refusal
from .catalog import DEFAULT_MODEL, conversation_model
from .schema import Json
from .session_config import Ground

OPENAI_PATH: Final = "/v1/realtime"
AZURE_PATH: Final = "/openai/v1/realtime"
BETA_MESSAGE: Final = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."


class Dialect(Enum):
    """Whose path it is."""

    OPENAI = "openai"
    AZURE = "azure"
    COMPATIBLE = "compatible"


@dataclass(frozen=True, slots=True)
class Admitted:
    """The upgrade is answered with 101."""

    ground: Ground
    key: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The upgrade is answered with this status and error body."""

    status: int
    code: str
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    close_code: int | None = None
    """Code with which the socket is closed after it was opened for an ``error`` event; None: the status is the answer."""

    def body(self) -> Json:
        """The JSON body."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def presented_key(headers: Mapping[str, str], query: Mapping[str, str], dialect: Dialect, header: str | None) -> str | None:
    """The key that a client presents, None if there is none.

    ``header`` is the name of a compatible server's header; a value of the form ``Bearer …`` is taken without that word.
    """
    if dialect is Dialect.COMPATIBLE and header is not None:
        value = headers.get(header, "")
        return value.removeprefix("Bearer ").strip() or None
    if dialect is Dialect.AZURE:
        key = headers.get("api-key") or query.get("api-key")
        if key:
            return key
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def known_key(key: str, behaviour: Behaviour) -> bool:
    """Whether a key is one of those that are configured."""
    return any(hmac.compare_digest(key.encode(), known.encode()) for known in behaviour.api_keys)


def check_key(
    headers: Mapping[str, str], query: Mapping[str, str], dialect: Dialect, header: str | None, behaviour: Behaviour
) -> str | Rejected:
    """The key of a request, or its refusal with 401."""
    key = presented_key(headers, query, dialect, header)
    if key is None:
        if dialect is Dialect.AZURE:
            return Rejected(401, "401", "Access denied due to missing subscription key.", "authentication_error")
        return Rejected(
            401, "missing_api_key", "You didn't provide an API key. You need to provide it in an Authorization header (Bearer)."
        )
    if not known_key(key, behaviour):
        code = 3000 if behaviour.bad_key is Refusal.OPEN else None
        return Rejected(
            401, "invalid_api_key", f"Incorrect API key provided: {key[:3]}***. Check the key and its project.", close_code=code
        )
    return key


def judge(
    dialect: Dialect,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    behaviour: Behaviour,
    *,
    auth_header: str | None = None,
) -> Admitted | Rejected:
    """Judge one upgrade.

    Args:
        dialect: whose path was asked for.
        headers: of the request, looked up without regard to case.
        query: of the request.
        behaviour: keys, models and the reading of what is unverified.
        auth_header: a compatible server's header for the key (None: Authorization with Bearer).
    """
    if dialect is Dialect.AZURE and "api-version" in query:
        return Rejected(401, "401", "The api-version parameter is not supported on this path.", "authentication_error", "api-version")
    key = check_key(headers, query, dialect, auth_header, behaviour)
    if isinstance(key, Rejected):
        return key
    if "OpenAI-Beta" in headers:
        code = 4000 if behaviour.beta_header is Refusal.OPEN else None
        return Rejected(400, "beta_api_shape_disabled", BETA_MESSAGE, param="OpenAI-Beta", close_code=code)
    ground = _ground(dialect, query, behaviour)
    return ground if isinstance(ground, Rejected) else Admitted(ground, key)


def _ground(dialect: Dialect, query: Mapping[str, str], behaviour: Behaviour) -> Ground | Rejected:
    name, intent = query.get("model"), query.get("intent")
    free_names = dialect is not Dialect.OPENAI
    if intent not in (None, "transcription", "conversation"):
        return Rejected(400, "invalid_value", f"Invalid value: '{intent}'. Supported values are: 'transcription'.", param="intent")
    if intent == "transcription":
        if name is not None:
            return Rejected(400, "invalid_value", "You must not provide a model parameter for transcription sessions.", param="model")
        return Ground(None, "", free_names, behaviour)
    if not name:
        return Rejected(400, "missing_required_parameter", "Missing required parameter: 'model'.", param="model")
    model = conversation_model(name, behaviour.deployments)
    if model is None and (behaviour.unknown_models or (free_names and not behaviour.deployments)):
        model = DEFAULT_MODEL
    if model is None:
        return Rejected(404, "model_not_found", f"The model '{name}' does not exist or you do not have access to it.", param="model")
    return Ground(model, name, free_names, behaviour)
