"""Holds every answer of the Twilio stand-in against the vendor's published OpenAPI files; what does not fit is collected."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from voiceassist_sim.twilio import Exchange

SPECS = Path(__file__).parent.parent / "specs"
FILES = {product: SPECS / f"twilio_{product.replace('-', '_')}.json" for product in ("api", "sync", "taskrouter", "flex-api", "serverless")}
ASKED = ("sync", "flex-api", "serverless")
"""The products whose requests are held against the file, too."""
FORM = "application/x-www-form-urlencoded"
ARRAYS = ("FunctionVersions", "AssetVersions")
CLEARED = "WebhookUrl"
"""May be given empty, which takes the address away; the file's format `uri` cannot say so."""
VALIDATED_TOKEN = {
    "valid": bool,
    "code": int,
    "message": (str, type(None)),
    "expiration": str,
    "realm_user_id": str,
    "identity": str,
    "roles": list,
    "worker_sid": str,
}


@cache
def spec(product: str) -> dict[str, Any]:
    """The published file, made stricter: an answer may hold no member that the file does not declare."""
    document: dict[str, Any] = json.loads(FILES[product].read_text())
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    if product == "serverless":  # younger than the published file, and in the vendor's own client
        document["components"]["schemas"]["build_enum_runtime"]["enum"].append("node24")
    return document


@cache
def openapi(product: str) -> OpenAPI:
    return OpenAPI.from_dict(spec(product))


class AnswerCheck:
    """Give it to the stand-in as ``on_exchange``; ``problems`` says what did not fit, ``checked`` counts by product and status."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.checked: dict[tuple[str, int], int] = {}

    def __call__(self, exchange: Exchange) -> None:
        self.checked[exchange.product, exchange.status] = self.checked.get((exchange.product, exchange.status), 0) + 1
        try:
            _check(exchange)
            if exchange.status < 400 and exchange.product in ASKED:
                _check_request(exchange)
        except Exception as error:
            cause = error.__cause__ or error
            details = getattr(cause, "schema_errors", "")
            self.problems.append(f"{exchange.method} {exchange.product}{exchange.path} {exchange.status}: {error!r} {cause} {details}")


def _check(exchange: Exchange) -> None:
    if exchange.status >= 400:
        body = json.loads(exchange.body)
        assert set(body) == {"code", "message", "more_info", "status"}, body
        assert body["status"] == exchange.status
        assert isinstance(body["code"], int)
        assert body["code"] >= 20000
        assert body["more_info"].endswith(f"/{body['code']}")
        assert isinstance(body["message"], str)
        assert body["message"]
    elif exchange.product == "iam":
        body = json.loads(exchange.body)
        assert exchange.status == 200
        for name, value in body.items():
            assert isinstance(value, VALIDATED_TOKEN[name]), name
        assert set(body) >= {"valid", "code", "message"}
    elif exchange.product == "serverless-upload":  # in no specification: it answers with the resource that can be fetched then
        assert exchange.status == 201
        sid = json.loads(exchange.body)["sid"]
        _fits("serverless", "get", f"{exchange.path}/{sid}", 200, exchange)
    else:
        _fits(exchange.product, exchange.method.lower(), exchange.path, exchange.status, exchange)
        assert exchange.status != 204 or exchange.body == b""


def _check_request(exchange: Exchange) -> None:
    """What the stand-in accepted is what the published file declares.

    Without array fields: the file's style of arrays is not the one that the vendor takes (a repeated key).
    """
    body, content_type = exchange.request_body, "application/json" if exchange.product == "flex-api" else FORM
    if content_type == FORM:
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        body = urlencode([pair for pair in pairs if pair[0] not in ARRAYS and pair != (CLEARED, "")]).encode()
    server = next(iter(spec(exchange.product)["paths"].values()))["servers"][0]["url"]
    arguments = dict(parse_qsl(exchange.query_string, keep_blank_values=True))
    request = MockRequest(
        server,
        exchange.method.lower(),
        exchange.path,
        args=arguments,
        headers={"Authorization": "Basic eDp4"},
        data=body or None,
        content_type=content_type,
    )
    openapi(exchange.product).validate_request(request)


def _fits(product: str, method: str, path: str, status: int, exchange: Exchange) -> None:
    content_type = exchange.headers.get("Content-Type", "").partition(";")[0]
    server = next(iter(spec(product)["paths"].values()))["servers"][0]["url"]
    response = MockResponse(exchange.body, status, dict(exchange.headers), content_type or "application/json")
    openapi(product).validate_response(MockRequest(server, method, path), response)
