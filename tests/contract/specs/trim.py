"""Cuts the vendor's published OpenAPI files down to the operations that the stand-in serves.

    python tests/contract/specs/trim.py FOLDER_WITH_THE_ORIGINALS

Descriptions, examples and vendor extensions go; schemas that are no longer referred to go; everything else stays as it was published.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CALLS = "/2010-04-01/Accounts/{AccountSid}/Calls"
TASKS = "/v1/Workspaces/{WorkspaceSid}"
KEPT: dict[str, tuple[str, tuple[str, ...]]] = {
    "api": (
        "twilio_api_v2010.trimmed.json",
        (
            f"get {CALLS}/{{Sid}}.json",
            f"post {CALLS}/{{Sid}}.json",
            f"post {CALLS}/{{CallSid}}/Streams.json",
            f"post {CALLS}/{{CallSid}}/Streams/{{Sid}}.json",
        ),
    ),
    "sync": ("twilio_sync_v1.json", ("*",)),
    "taskrouter": (
        "twilio_taskrouter_v1.json",
        (
            "get /v1/Workspaces",
            "get /v1/Workspaces/{Sid}",
            f"get {TASKS}/Workers/{{Sid}}",
            f"get {TASKS}/Tasks/{{Sid}}",
            f"post {TASKS}/Tasks/{{Sid}}",
            f"get {TASKS}/Tasks/{{TaskSid}}/Reservations",
            f"get {TASKS}/Tasks/{{TaskSid}}/Reservations/{{Sid}}",
            f"get {TASKS}/Workers/{{WorkerSid}}/Reservations",
            f"get {TASKS}/Workers/{{WorkerSid}}/Reservations/{{Sid}}",
        ),
    ),
    "flex-api": ("twilio_flex_v1.json", ("get /v1/Configuration", "post /v1/Configuration", "get /v1/account/provision/status")),
}
SERVICE = "/v1/Services/{ServiceSid}"
KEPT["serverless"] = (
    "twilio_serverless_v1.json",
    (
        *(f"{method} /v1/Services" for method in ("get", "post")),
        *(f"{method} /v1/Services/{{Sid}}" for method in ("get", "post", "delete")),
        *(f"{method} {SERVICE}/Environments" for method in ("get", "post")),
        *(f"{method} {SERVICE}/Environments/{{Sid}}" for method in ("get", "delete")),
        *(f"{method} {SERVICE}/Environments/{{EnvironmentSid}}/Variables" for method in ("get", "post")),
        *(f"{method} {SERVICE}/Environments/{{EnvironmentSid}}/Variables/{{Sid}}" for method in ("get", "post", "delete")),
        *(f"{method} {SERVICE}/Environments/{{EnvironmentSid}}/Deployments" for method in ("get", "post")),
        f"get {SERVICE}/Environments/{{EnvironmentSid}}/Deployments/{{Sid}}",
        *(f"{method} {SERVICE}/Functions" for method in ("get", "post")),
        *(f"{method} {SERVICE}/Functions/{{Sid}}" for method in ("get", "post", "delete")),
        f"get {SERVICE}/Functions/{{FunctionSid}}/Versions",
        f"get {SERVICE}/Functions/{{FunctionSid}}/Versions/{{Sid}}",
        f"get {SERVICE}/Functions/{{FunctionSid}}/Versions/{{Sid}}/Content",
        f"get {SERVICE}/Assets",
        *(f"{method} {SERVICE}/Builds" for method in ("get", "post")),
        *(f"{method} {SERVICE}/Builds/{{Sid}}" for method in ("get", "delete")),
        f"get {SERVICE}/Builds/{{Sid}}/Status",
    ),
)
DROPPED = ("description", "summary", "examples", "example", "tags", "x-twilio", "contact", "termsOfService", "x-maturity")


def main(originals: Path) -> None:
    for product, (file, operations) in KEPT.items():
        spec = json.loads((originals / file).read_text())
        kept: dict[str, Any] = {}
        for path, item in spec["paths"].items():
            for method in ("get", "post", "delete", "put", "patch"):
                if method in item and (f"{method} {path}" in operations or "*" in operations):
                    kept.setdefault(path, {"servers": item["servers"]})[method] = item[method]
        if "*" not in operations and sum(len(item) - 1 for item in kept.values()) != len(operations):
            raise SystemExit(f"{file} does not have all of {', '.join(operations)}")
        trimmed = {"openapi": spec["openapi"], "paths": _strip(kept), "components": {}, "security": spec["security"]}
        schemas = _strip(spec["components"]["schemas"])
        trimmed["components"] = {
            "schemas": {name: schemas[name] for name in sorted(_referred(trimmed["paths"], schemas))},
            "securitySchemes": spec["components"]["securitySchemes"],
        }
        trimmed["info"] = {"title": spec["info"]["title"], "version": spec["info"]["version"], "license": spec["info"]["license"]}
        (HERE / f"twilio_{product.replace('-', '_')}.json").write_text(json.dumps(trimmed, indent=1, sort_keys=True) + "\n")


def _strip(value: Any, *, of_properties: bool = False) -> Any:
    """Without prose; the names of properties are names and stay."""
    if isinstance(value, list):
        return [_strip(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _strip(one, of_properties=key == "properties") for key, one in value.items() if of_properties or key not in DROPPED}
    for response in kept.get("responses", {}).values() if not of_properties else ():
        response["description"] = ""  # OpenAPI demands one
    return kept


def _referred(value: Any, schemas: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            name = str(one.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            waiting += [part for part in one.values() if isinstance(part, dict | list)]
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
