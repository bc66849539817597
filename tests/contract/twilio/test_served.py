"""The stand-in serves exactly the operations that the published files, as cut down here, describe."""

import re

from contract.twilio.answers import FILES, AnswerCheck, spec
from voiceassist_sim.twilio import Exchange, TwilioServer

CONFERENCES = {
    ("GET", f"/2010-04-01/Accounts/{{}}/Conferences{rest}.json") for rest in ("", "/{}", "/{}/Participants", "/{}/Participants/{}")
}
"""Served as twilio 9.13.0 (rest/api/v2010/account/conference) describes them: the file of the 2010 API that we have was cut down before."""


def shape(template: str) -> str:
    return re.sub(r"\{\w+\}", "{}", template)


async def test_the_operations_are_those_of_the_specification(server: TwilioServer) -> None:
    for product in FILES:
        published = {
            (method.upper(), shape(path)) for path, item in spec(product)["paths"].items() for method in item if method != "servers"
        }
        served = {(route.method, shape(route.template)) for route in server.products()[product].routes}
        assert served == published | (CONFERENCES if product == "api" else set()), product


async def test_the_form_fields_are_those_of_the_specification(server: TwilioServer) -> None:
    for product in ("api", "sync", "serverless"):
        for route in server.products()[product].routes:
            if route.method != "POST":
                continue
            item = next(item for path, item in spec(product)["paths"].items() if shape(path) == shape(route.template))
            schema = item["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
            for name in schema["properties"]:
                assert route.takes(name), (product, route.template, name)
            assert route.fields | route.repeated <= set(schema["properties"]), (product, route.template)
            arrays = {name for name, one in schema["properties"].items() if one.get("type") == "array"}
            assert route.repeated == arrays, (product, route.template)


async def test_what_is_not_served_is_not_found(server: TwilioServer, ask) -> None:
    for path in ("/serverless/v1/Services/ZS1/Environments/ZE1/Logs", "/serverless-upload/v1/x", "/nothing/v1", "/sync/v2/Services", "/"):
        reply = await ask("GET", path)
        assert (reply.status, reply.code) == (404, 20404), path


async def test_another_method_is_not_allowed(ask) -> None:
    reply = await ask("PUT", "/sync/v1/Services")
    assert (reply.status, reply.code) == (405, 20004)


def test_the_check_itself_finds_what_does_not_fit() -> None:
    def problems(body: bytes, status: int = 200, path: str = "/v1/Services/IS1") -> list[str]:
        check = AnswerCheck()
        check(Exchange("sync", "GET", path, "", b"", status, {"Content-Type": "application/json"}, body))
        return check.problems

    assert problems(b'{"sid": null}') == []
    assert problems(b'{"sid": "IS1"}')  # not a SID
    assert problems(b'{"date_created": "yesterday"}')
    assert problems(b'{"acl_enabled": "true"}')
    assert problems(b'{"surprise": 1}')
    assert problems(b'{"sid": null}', status=201)  # not declared for this operation
    assert problems(b'{"sid": null}', path="/v1/Elsewhere")
    assert problems(b'{"message": "no"}', status=404)


def test_the_check_of_requests_finds_what_does_not_fit() -> None:
    def problems(body: bytes, query: str = "", method: str = "POST") -> list[str]:
        check = AnswerCheck()
        answer = b'{"sid": null}' if method == "POST" else b'{"services": []}'
        status = 201 if method == "POST" else 200
        check(Exchange("sync", method, "/v1/Services", query, body, status, {"Content-Type": "application/json"}, answer))
        return check.problems

    assert problems(b"AclEnabled=true&FriendlyName=x") == []
    assert problems(b"AclEnabled=perhaps")
    assert problems(b"", "PageSize=5", "GET") == []
    assert problems(b"", "PageSize=many", "GET")
