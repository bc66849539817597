"""A service with an environment and a function, and uploads, for the tests of Serverless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from contract.twilio.conftest import Ask, Reply, basic
from voiceassist_sim.twilio import TwilioServer

CODE = "exports.handler = (context, event, callback) => callback(null, context.GREETING);\n"
NO_SID = "0" * 32


async def refused(awaitable: Any) -> tuple[int, int, str]:
    """Status, code and message of what the vendor's client raises."""
    with pytest.raises(TwilioRestException) as caught:
        await awaitable
    return caught.value.status, caught.value.code, caught.value.msg.partition(": ")[2]


@dataclass(frozen=True)
class Desk:
    """Everything that a test of Serverless needs."""

    server: TwilioServer
    client: Client
    ask: Ask
    session: aiohttp.ClientSession
    service_sid: str
    environment_sid: str
    function_sid: str

    @property
    def service(self) -> Any:
        return self.client.serverless.v1.services(self.service_sid)

    @property
    def environment(self) -> Any:
        return self.service.environments(self.environment_sid)

    @property
    def function(self) -> Any:
        return self.service.functions(self.function_sid)

    @property
    def upload_path(self) -> str:
        return f"/serverless-upload/v1/Services/{self.service_sid}/Functions/{self.function_sid}/Versions"

    async def upload(
        self,
        path: str = "/stream",
        *,
        visibility: str = "public",
        code: bytes = CODE.encode(),
        content_type: str = "application/javascript",
        filename: str | None = "stream.js",
        function_sid: str | None = None,
        more: Mapping[str, str] | None = None,
        without: str = "",
    ) -> Reply:
        """A version of a function, as a multipart form by aiohttp."""
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in {"Path": path, "Visibility": visibility, **(more or {})}.items():
            if name != without:
                form.add_field(name, value)
        if without != "Content":
            form.add_field("Content", code if filename else code.decode(), filename=filename, content_type=content_type)
        url = self.server.url + self.upload_path.replace(self.function_sid, function_sid or self.function_sid)
        async with self.session.post(url, data=form) as response:
            return Reply(response.status, response.headers.copy(), await response.json())

    async def version(self, path: str = "/stream", code: str = CODE) -> str:
        """The SID of a new version."""
        reply = await self.upload(path, code=code.encode())
        assert reply.status == 201, reply.body
        return str(reply.body["sid"])

    async def built(self, *paths: str) -> str:
        """The SID of a new build that is completed."""
        versions = [await self.version(path) for path in paths or ("/stream",)]
        build = await self.service.builds.create_async(function_versions=versions)
        status = self.service.builds(build.sid).build_status()
        while (await status.fetch_async()).status == "building":
            pass
        return str(build.sid)


async def open_desk(server: TwilioServer, client: Client, ask: Ask, session: aiohttp.ClientSession) -> Desk:
    services = client.serverless.v1.services
    made = await services.create_async(unique_name="voice-assist", friendly_name="Voice Assist", include_credentials=False)
    environment = await services(made.sid).environments.create_async(unique_name="production", domain_suffix="prod")
    function = await services(made.sid).functions.create_async(friendly_name="stream")
    return Desk(server, client, ask, session, made.sid, environment.sid, function.sid)


def credentials(server: TwilioServer) -> dict[str, str]:
    return basic(*server.api_key)
