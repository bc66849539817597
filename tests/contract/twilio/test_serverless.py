"""Serverless through the vendor's own client: from a service to code that is deployed; uploads, which the client lacks, by aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from contract.twilio.conftest import Ask, basic
from voiceassist_sim.twilio import TwilioServer

CODE = "exports.handler = (context, event, callback) => callback(null, context.GREETING);\n"
Upload = Callable[..., Awaitable[tuple[int, Any]]]


async def refused(awaitable: Any) -> tuple[int, int, str]:
    with pytest.raises(TwilioRestException) as caught:
        await awaitable
    return caught.value.status, caught.value.code, caught.value.msg.partition(": ")[2]


@pytest.fixture
async def upload(server: TwilioServer) -> AsyncIterator[Upload]:
    """``await upload(service, function, path="/a")``: a version of a function, as a multipart form by aiohttp."""
    async with aiohttp.ClientSession(headers=basic(*server.api_key)) as session:

        async def send(
            service: str, function: str, *, path: str = "/stream", visibility: str = "public", code: str = CODE
        ) -> tuple[int, Any]:
            form = aiohttp.FormData()
            form.add_field("Path", path)
            form.add_field("Visibility", "public")
            form.add_field("Content", code.encode(), filename="stream.js", content_type="application/javascript")
            url = f"{server.template.format(product='serverless-upload')}/v1/Services/{service}/Functions/{function}/Versions"
            async with session.post(url, data=form) as response:
                return response.status, await response.json()

        yield send


async def test_from_a_service_to_deployed_code(client: Client, upload: Upload, server: TwilioServer, ask: Ask) -> None:
    services = client.serverless.v1.services
    made = await services.create_async(unique_name="voice-assist", friendly_name="Voice Assist", include_credentials=False)
    service = services(made.sid)
    environment = await service.environments.create_async(unique_name="production", domain_suffix="prod")
    assert environment.domain_name == f"{made.domain_base}-prod.twil.io"
    at = service.environments(environment.sid)
    await at.variables.create_async(key="GREETING", value="Good day")
    function = await service.functions.create_async(friendly_name="stream")
    status, version = await upload(made.sid, function.sid)
    assert (status, version["path"], version["visibility"]) == (201, "/stream", "public")
    content = await service.functions(function.sid).function_versions(version["sid"]).function_version_content().fetch_async()
    assert content.content == CODE
    build = await service.builds.create_async(
        function_versions=[version["sid"]], dependencies='[{"name": "twilio", "version": "5.3.0"}]', runtime="node22"
    )
    assert (build.status, build.runtime) == ("building", "node22")
    assert await refused(at.deployments.create_async(build_sid=build.sid)) == (
        400,
        20001,
        "BuildSid: the Build is not completed; its status is building",
    )
    assert (await service.builds(build.sid).build_status().fetch_async()).status == "building"
    assert (await service.builds(build.sid).build_status().fetch_async()).status == "completed"
    deployment = await at.deployments.create_async(build_sid=build.sid)
    assert deployment.build_sid == (await at.fetch_async()).build_sid == build.sid
    deployed = (await ask("GET", f"/_sim/serverless/environments/{environment.domain_name}")).body
    assert deployed["variables"] == {"GREETING": "Good day"}
    assert [(one["path"], one["visibility"], one["content"]) for one in deployed["functions"]] == [("/stream", "public", CODE)]
