"""Twilio stand-ins for the operator's tests: as many accounts as there are objects, in one process of their own."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx2

from voiceassist_sim.twilio import TwilioServer

AUTH_TOKEN = "token-not-to-be-logged"
API_KEY, API_SECRET = "SK" + "0" * 31 + "1", "secret-not-to-be-logged"
TESTER, TESTER_SECRET = "SK" + "f" * 32, "of-the-second-writer"
"""The key of whoever else writes: the journal tells its requests from the operator's."""
Json = dict[str, Any]


@dataclass
class Twilio:
    """One account at its own address, driven over HTTP as an administrator or a second writer would."""

    url: str
    account_sid: str
    _http: httpx2.Client = field(default_factory=lambda: httpx2.Client(trust_env=False, timeout=60.0))

    @property
    def template(self) -> str:
        """For `twilio.apiUrl`."""
        return f"{self.url}/{{product}}"

    def ask(self, method: str, path: str, *, form: Json | None = None, body: Any = None, file: str | None = None) -> Json:
        """A request to a product, signed in as somebody else than the operator; an error fails the test."""
        files = None if file is None else {"Content": ("function.js", file, "application/javascript")}
        url, login = self.url + path, (TESTER, TESTER_SECRET)
        answer = self._http.request(method, url, data=form, json=body, files=files, auth=login)
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text)
        return json.loads(answer.text) if answer.text else {}

    def sim(self, method: str, path: str, body: Any = None) -> Json:
        """The control API."""
        answer = self._http.request(method, f"{self.url}/_sim{path}", json=body)
        assert answer.status_code < 300, (path, answer.text)
        return json.loads(answer.text)

    # What is there

    def sync_services(self) -> list[Json]:
        return self.sim("GET", "/sync")["services"]

    def serverless_services(self) -> list[Json]:
        return self.ask("GET", "/serverless/v1/Services")["services"]

    def within(self, service: str, what: str, key: str = "") -> list[Json]:
        """What a Serverless service holds: `Environments`, `Functions`, `Builds`."""
        return self.ask("GET", f"/serverless/v1/Services/{service}/{what}")[key or what.lower()]

    def flex(self) -> Json:
        return self.ask("GET", "/flex-api/v1/Configuration")

    def instances(self) -> Json:
        """Our entries in the Flex configuration."""
        attributes = self.flex()["ui_attributes"] or {}
        return ((attributes.get("custom_data") or {}).get("voice_assist") or {}).get("instances") or {}

    def write_flex(self, **fields: Any) -> None:
        """A second writer."""
        self.ask("POST", "/flex-api/v1/Configuration", body={"account_sid": self.account_sid, **fields})

    # What was asked

    def requests(self, since: int = 0) -> list[Json]:
        """The operator's requests, without the first `since` that anybody ever sent."""
        found = self.sim("GET", "/requests")
        return [one for one in found["requests"][max(0, since - (found["total"] - found["kept"])) :] if one["user"] != TESTER]

    def total(self) -> int:
        """How many requests ever came, from anybody."""
        return int(self.sim("GET", "/requests")["total"])

    def writes(self, since: int = 0) -> list[tuple[str, str, int]]:
        """The operator's requests that change something, as method, path and status."""
        return [(one["method"], one["path"], one["status"]) for one in self.requests(since) if one["method"] != "GET"]

    # What goes wrong

    def faults(self, *rules: Json, seed: int = 1) -> None:
        self.sim("PUT", "/faults", {"seed": seed, "rules": list(rules)})

    def struck(self) -> list[int]:
        """How often each rule has struck."""
        return [rule["fired"] for rule in self.sim("GET", "/faults")["rules"]]


class Clouds:
    """The process that serves all accounts; an account is made by asking for one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cluster.operator.clouds"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_TESTS
        )

    def account(self) -> Twilio:
        """A new account, with nothing in it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the stand-ins' process has ended"
        return Twilio(**json.loads(line))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(60)


_TESTS = __file__.rsplit("/cluster/", 1)[0]


@cache
def clouds() -> Clouds:
    """The process of this session."""
    return Clouds()


@cache
def shared() -> tuple[Twilio, str]:
    """An account for objects to which Twilio does not matter, and the SID of a Sync service in it."""
    twilio = clouds().account()
    service = twilio.ask("POST", "/sync/v1/Services", form={"FriendlyName": "shared", "AclEnabled": "true"})
    return twilio, service["sid"]


async def serve() -> None:
    """An account for each line on standard input, until that ends."""
    loop = asyncio.get_running_loop()
    servers: list[TwilioServer] = []
    keys = {API_KEY: API_SECRET, TESTER: TESTER_SECRET}
    for number in itertools.count():
        if not await loop.run_in_executor(None, sys.stdin.readline):
            break
        account = f"AC{number:032x}"
        server = TwilioServer(account_sid=account, auth_token=AUTH_TOKEN, api_keys=keys, seed=time.time_ns() + number)
        await server.start()
        servers.append(server)
        print(json.dumps({"url": server.url, "account_sid": account}), flush=True)
    for server in servers:
        await server.close()


if __name__ == "__main__":
    asyncio.run(serve())
