#!/usr/bin/env python3
"""Writes docs/openapi.json: what the relay's public port can be asked, from the models that read the requests and the names of the paths.

tools/openapi.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from voiceassist_crds.base import Model
from voiceassist_crds.names import CALL_SID_PATTERN, CALLBACK_PATH, FEEDBACK_PATH, READY_PATH, STREAM_PATH, TOKEN_PATH, WS_PATH
from voiceassist_relay.functions.requests import MAX_FORM_FIELDS, MAX_TOKEN_CHARS, TOKEN_FIELD, FeedbackFields, StreamFields, TokenFields

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/openapi.json"
FORM = "application/x-www-form-urlencoded"
Schema = dict[str, Any]

ERRORS = {
    "400": "A field, the query string or the token has not the form that is documented; the message names it.",
    "401": "The Flex token is missing or not valid: read it anew.",
    "403": "Not this worker's to do, or the page's origin is not allowed.",
    "408": "The body did not arrive in time.",
    "409": "The call has ended, has no free track, or is in another state.",
    "413": "The body is longer than 16 KiB.",
    "415": "The body is neither JSON nor a form.",
    "429": "Too many requests of this worker.",
    "500": "A secret is missing, which the hint names, or the relay failed.",
    "502": "Twilio failed or refused.",
    "503": "Ask again after a moment.",
}
FUNCTION = ("400", "401", "403", "408", "413", "415", "429", "500", "502", "503")
NO_STORE = {"Cache-Control": {"required": True, "schema": {"const": "no-store"}}}


def text(**more: Any) -> Schema:
    """A JSON text."""
    return {"type": "string", **more}


def an_object(required: dict[str, Schema], **optional: Schema) -> Schema:
    """A JSON object to which later versions may add fields."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def body(model: type[Model]) -> Schema:
    """A function's body: its model's fields and the token. A field that need not be there may be empty, as it is in a form."""
    schema = model.model_json_schema(by_alias=True)
    for name, one in schema.get("properties", {}).items():
        one.pop("title", None)
        one.pop("default", None)
        if name not in schema.get("required", ()):
            one["anyOf"] = [*one["anyOf"], text(maxLength=0)]
    token = text(description="The Flex token, here or in the header Authorization.", maxLength=MAX_TOKEN_CHARS, pattern="^[!-~]*$")
    definitions = schema.pop("$defs", {})
    whole = {
        "type": "object",
        "required": schema.get("required", []),
        "properties": {**schema.get("properties", {}), TOKEN_FIELD: {"anyOf": [token, {"type": "null"}]}},
    }
    for name, definition in definitions.items():
        definition.pop("title", None)
        whole = json.loads(json.dumps(whole).replace(json.dumps({"$ref": f"#/$defs/{name}"}), json.dumps(definition)))
    return whole


def as_form(schema: Schema) -> Schema:
    """What a form can say of a body: it has no null, numbers stand there in digits, and each field once."""
    fields = dict(schema["properties"])
    for name, one in fields.items():
        if "anyOf" in one:
            fields[name] = {**one, "anyOf": [kind for kind in one["anyOf"] if kind.get("type") != "null"]}
    return {**schema, "properties": fields, "additionalProperties": text(), "maxProperties": MAX_FORM_FIELDS}


def answer(description: str, schema: Schema | None = None, media: str = "application/json") -> Schema:
    """One answer."""
    content = {"content": {media: {"schema": schema}}} if schema is not None else {}
    return {"description": description, "headers": NO_STORE, **content}


def errors(*statuses: str) -> Schema:
    """The answers that are errors."""
    return {status: answer(ERRORS[status], {"$ref": "#/components/schemas/Error"}) for status in statuses}


def operation(name: str, summary: str, model: type[Model] | None, answers: Schema, **more: Any) -> Schema:
    """One method of a path."""
    content = {}
    if model is not None:
        schema = body(model)
        kinds = {"application/json": {"schema": schema}, FORM: {"schema": as_form(schema)}}
        content = {"requestBody": {"required": bool(schema["required"]), "content": kinds}}
    return {"operationId": name, "summary": summary, **content, "responses": answers, **more}


def document() -> Schema:
    """The whole document."""
    state = text(enum=["starting", "live", "paused", "stopped"])
    streams = an_object(
        {"state": state, "callSid": text(pattern=f"^{CALL_SID_PATTERN}$")},
        outcome=text(enum=["started", "restarted", "running", "transferred", "watching"]),
        generation={"type": "integer"},
        confirmed={"type": "boolean"},
        ignored=text(),
    )
    token = an_object({"token": text(), "identity": text(), "expires": {"type": "integer"}, "service_sid": text()})
    worker: dict[str, Any] = {"security": [{"flexToken": []}, {}]}
    ready = {
        "200": answer("Calls may come.", text(), "text/plain"),
        "503": answer("The relay is full or about to end.", text(), "text/plain"),
    }
    tokens = {"200": answer("A token of Sync, for one hour.", token), **errors(*FUNCTION)}
    call_sid = {"name": "callSid", "in": "path", "required": True, "schema": text()}
    upgrade = {"426": answer("Something before the relay passed the request on without its upgrade.", text(), "text/plain")}
    form = {FORM: {"schema": {"type": "object", "additionalProperties": text(), "maxProperties": MAX_FORM_FIELDS}}}
    paths = {
        STREAM_PATH: {
            "post": operation(
                "stream",
                "Starts, stops, pauses or resumes the assist of a call.",
                StreamFields,
                {"200": answer("How the stream stands.", streams), **errors(*FUNCTION, "409")},
                **worker,
            )
        },
        TOKEN_PATH: {
            "get": operation("tokenByHeader", "A token of Sync for the worker; the Flex token is in the header.", None, tokens, **worker),
            "post": operation("token", "A token of Sync for the worker.", TokenFields, tokens, **worker),
        },
        FEEDBACK_PATH: {
            "post": operation(
                "feedback",
                "A worker's verdict on a suggestion, or that it was painted.",
                FeedbackFields,
                {"200": answer("It was taken.", an_object({"accepted": {"type": "boolean"}})), **errors(*FUNCTION, "409")},
                **worker,
            )
        },
        CALLBACK_PATH: {
            "post": {
                "operationId": "streamStatus",
                "summary": "For Twilio alone: the status of a stream, signed. An event without what is needed is passed over.",
                "requestBody": {"required": False, "content": form},
                "responses": {"204": answer("It was taken."), **errors("400", "403", "408", "413", "500", "503")},
                "security": [{"twilioSignature": []}],
            }
        },
        READY_PATH: {"get": {"operationId": "ready", "summary": "For load balancers.", "responses": ready, "security": []}},
        f"{WS_PATH}/{{callSid}}": {
            "get": {
                "operationId": "media",
                "summary": "Twilio's media stream. It takes an upgrade to a websocket; this is what a plain request is told.",
                "parameters": [call_sid],
                "responses": upgrade,
                "security": [],
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "VoiceAssist: a relay's public port",
            "version": "v1alpha1",
            "description": "Written by tools/openapi.py from what reads the requests; run `make generate`. In words: functions.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "https://{host}", "variables": {"host": {"default": "assist.example.com"}}}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "flexToken": {"type": "http", "scheme": "bearer", "description": "The Flex token of the worker who asks."},
                "twilioSignature": {"type": "apiKey", "in": "header", "name": "X-Twilio-Signature"},
            },
            "schemas": {
                "Error": an_object(
                    {
                        "error": an_object(
                            {"code": text(pattern="^[a-z_]+$"), "message": text(), "hint": text()},
                            twilio=an_object({"code": {"type": ["integer", "null"]}, "status": {"type": "integer"}}),
                        )
                    }
                )
            },
        },
    }


def main() -> int:
    """Writes the document, or says whether it is as it would be written."""
    whole = json.dumps(document(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        return 0 if DOCUMENT.exists() and DOCUMENT.read_text() == whole else 1
    DOCUMENT.write_text(whole)
    return 0


if __name__ == "__main__":
    sys.exit(main())
