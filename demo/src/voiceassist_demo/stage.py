"""The stage: a Twilio stand-in, a model's stand-in and relays as processes, wired as they are in a cluster.

The relay's public name is one that nobody owns; the Twilio stand-in plays the ingress for it, so that addresses and signatures are
as in the real world while every socket stays on loopback.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from voiceassist_crds import names
from voiceassist_crds.config import DEFAULT_MODEL, RelayConfig

from .errors import DemoError
from .flex.preparing import FlexFiles
from .processes import Child, program

HOST = "assist.voiceassist.example"
DEFAULT_PROMPT = (
    "You listen to a call between a customer and a contact centre agent. After each turn of the customer decide whether a question "
    "or a problem needs an answer. If so, write what the agent can say next: at most two short, friendly sentences."
)


@dataclass(frozen=True, slots=True)
class Account:
    """A Twilio account of the stand-in; made anew for every stage."""

    account_sid: str = field(default_factory=lambda: "AC" + secrets.token_hex(16))
    auth_token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    api_key: str = field(default_factory=lambda: "SK" + secrets.token_hex(16))
    api_secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)


@dataclass(frozen=True, slots=True)
class Model:
    """Where the model is: the stand-in, or a real service."""

    url: str = ""
    name: str = DEFAULT_MODEL
    key: str = field(default="sk-stand-in", repr=False)


class RelayProcess:
    """One relay with its own files."""

    def __init__(self, child: Child, config: Path, secrets_dir: Path, at: str = "127.0.0.1") -> None:
        """`at`: the address that it listens on, as it stands in a URL."""
        self.child, self.config, self.secrets = child, config, secrets_dir
        ports = child.ready["listening"]
        self.public = f"http://{at}:{ports['public']}"
        self.private = f"http://{at}:{ports['private']}"
        self.port: int = ports["public"]


def write_whole(path: Path, text: str) -> None:
    """Replaces a file at once, so that a reader never sees half of it."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


class Stage:
    """Starts everything on entry and ends everything on exit, in the order in which the parts need each other."""

    def __init__(
        self,
        folder: Path,
        *,
        calls: Path | None = None,
        model: Model | None = None,
        config: Mapping[str, Any] | None = None,
        model_arguments: tuple[str, ...] = (),
        twilio_arguments: tuple[str, ...] = (),
        relay_arguments: tuple[str, ...] = (),
        relay_at: tuple[str, ...] = (),
        sync_service: bool = True,
        flex: FlexFiles | None = None,
        ipv6: bool = False,
    ) -> None:
        """`config` is laid over the relay's configuration, one level deep; `calls` is the folder of the sample calls.

        With `flex`, Twilio's hosts are also played for browsers; its files need to be there only when a browser asks.
        `relay_at` stands before the relays' command. With `ipv6` all of it is on ::1, and nothing on 127.0.0.1.
        """
        self.folder = folder
        self.account = Account()
        self.model = model or Model()
        self._calls, self._config = calls, dict(config or {})
        self._model_arguments, self._twilio_arguments, self._sync_service = model_arguments, twilio_arguments, sync_service
        self._relay_arguments, self._relay_at = relay_arguments, relay_at
        self._flex = flex
        self._host, self._at = ("::1", "[::1]") if ipv6 else ("127.0.0.1", "127.0.0.1")
        self.browser: dict[str, Any] = {}
        """With `flex`: what leads a Chromium to Twilio's hosts here (`chromiumArguments`), and where workers log in (`logInUrl`)."""
        self.relays: list[RelayProcess] = []
        self.twilio_url = self.model_url = self.sync_service_sid = ""
        self._children: list[Child] = []
        self._reserved_port = 0

    async def __aenter__(self) -> Stage:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._end()

    async def _start(self) -> None:
        if not self.model.url:
            arguments = [program("voiceassist-sim"), "openai", "--host", self._host, "--port", "0", "--api-key", self.model.key]
            if self._calls is not None:
                arguments += ["--calls", str(self._calls)]
            child = await self._child("model", [*arguments, *self._model_arguments])
            self.model_url = child.ready["listening"]
        self._reserved_port = free_port(self._host)
        account = self.account
        browser = (
            ["--browser-port", "0", *("--flex-script", str(self._flex.script)), *("--plugin-bundle", str(self._flex.plugin))]
            if self._flex
            else []
        )
        child = await self._child(
            "twilio",
            [
                *(program("voiceassist-sim"), "twilio", "--host", self._host, "--port", "0"),
                *("--account", account.account_sid, "--auth-token", account.auth_token),
                *("--api-key", account.api_key, "--api-secret", account.api_secret),
                *("--connect-to", f"{HOST}={self._at}:{self._reserved_port}"),
                *browser,
                *self._twilio_arguments,
            ],
        )
        self.twilio_url = child.ready["listening"]
        self.browser = child.ready.get("browser", {})
        if self._sync_service:
            headers = {"Authorization": aiohttp.encode_basic_auth(account.api_key, account.api_secret)}
            async with self.http.post(
                f"{self.twilio_url}/sync/v1/Services", headers=headers, data={"FriendlyName": "demo", "AclEnabled": "true"}
            ) as answer:
                self.sync_service_sid = (await answer.json())["sid"]
        await self.start_relay(port=self._reserved_port)

    async def _child(self, name: str, arguments: list[str], environment: dict[str, str] | None = None) -> Child:
        child = await Child.start(name, arguments, self.folder, environment)
        self._children.append(child)
        return child

    async def _end(self) -> None:
        try:
            for child in reversed(self._children):
                await child.end()
        finally:
            await self.http.close()

    def config(self, **changes: Any) -> RelayConfig:
        """The relay's configuration, with changes laid over it one level deep."""
        document: dict[str, Any] = {
            "name": "demo",
            "host": HOST,
            "twilio": {
                "accountSid": self.account.account_sid,
                "syncServiceSid": self.sync_service_sid or "IS" + "0" * 32,
                "apiUrl": f"{self.twilio_url}/{{product}}",
            },
            "model": {"provider": "OpenAI", "url": self.model.url or self.model_url, "name": self.model.name, "check": "Session"},
            "prompts": [{"instructions": DEFAULT_PROMPT}],
            "limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 10},
            "functions": {"allowedOrigins": ["*"]},
        }
        for layer in (self._config, changes):
            for key, value in layer.items():
                merge = isinstance(value, Mapping) and isinstance(document.get(key), Mapping)
                document[key] = {**document[key], **value} if merge else value
        return RelayConfig.parse(json.dumps(document))

    async def start_relay(
        self, *, port: int = 0, config: RelayConfig | None = None, secrets_change: Mapping[str, str] | None = None
    ) -> RelayProcess:
        """Starts one more relay, with files of its own."""
        folder = self.folder / f"relay{len(self.relays)}"
        (folder / "secrets").mkdir(parents=True, exist_ok=True)
        path = folder / "relay.json"
        write_whole(path, (config or self.config()).to_json())
        values = {
            names.SECRET_AUTH_TOKEN: self.account.auth_token,
            names.SECRET_API_KEY_SID: self.account.api_key,
            names.SECRET_API_KEY_SECRET: self.account.api_secret,
            names.SECRET_MODEL_KEY: self.model.key,
            **(secrets_change or {}),
        }
        for name, value in values.items():
            write_whole(folder / "secrets" / name, value)
        arguments = [*self._relay_at, program("voiceassist-relay"), "--config", str(path), "--secrets", str(folder / "secrets")]
        arguments += ["--host", self._host, "--port", str(port), "--metrics-port", "0", "--metrics-seconds", "0", "--log-format", "json"]
        arguments += self._relay_arguments
        child = await self._child(f"relay{len(self.relays)}", arguments, {"POD_NAME": f"relay{len(self.relays)}"})
        relay = RelayProcess(child, path, folder / "secrets", self._at)
        self.relays.append(relay)
        return relay

    @property
    def relay(self) -> RelayProcess:
        """The first relay, to which the ingress leads."""
        return self.relays[0]

    async def get(self, url: str) -> Any:
        """JSON from one of the parts."""
        async with self.http.get(url) as answer:
            return await answer.json(content_type=None)

    async def get_bytes(self, url: str) -> bytes:
        """Bytes from one of the parts."""
        async with self.http.get(url) as answer:
            return await answer.read()

    def gone(self) -> list[str]:
        """The parts that have ended although they should run: one line each, with the end of its log."""
        return [f"{child.name} ended: {child.last_words()}" for child in self._children if not child.running]

    def last_words(self, name: str) -> str:
        """The end of a part's log."""
        return next((child.last_words() for child in self._children if child.name == name), "")

    async def send(self, method: str, url: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Sends JSON to one of the parts; gives the status and the JSON answer (None where there is none)."""
        async with self.http.request(method, url, json=body, **more) as answer:
            text = await answer.text()
            try:
                return answer.status, json.loads(text) if text else None
            except ValueError:
                return answer.status, text

    async def new_call(self, recording: Path | str, **more: Any) -> dict[str, Any]:
        """A call at Twilio with a task that an agent has accepted; it is heard from when the first stream opens. Raises DemoError."""
        status, body = await self.send("POST", f"{self.twilio_url}/_sim/calls", {"recording": str(recording), **more})
        if status != 201:
            raise DemoError(f"the call could not be made: {body}")
        return dict(body)

    async def act(self, action: str, call: Mapping[str, Any], relay: RelayProcess | None = None, **more: Any) -> tuple[int, Any]:
        """What the agent's plugin does: start, stop, pause or resume."""
        body = {"action": action, "callSid": call["callSid"], "taskSid": call["taskSid"], "Token": call["flexToken"], **more}
        return await self.send("POST", f"{(relay or self.relay).public}/stream", body)

    async def configure_flex(self, entry: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None) -> None:
        """Writes the Flex configuration as the operator does: by default an entry for every queue; and the plugin's settings, if given."""
        known = {"functionsUrl": f"https://{HOST}", "default": True} if entry is None else dict(entry)
        ours = {"instances": {"demo/demo": known} if known else {}, **({"settings": dict(settings)} if settings else {})}
        await self.flex_configuration({"ui_attributes": {"custom_data": {"voice_assist": ours}}})

    async def flex_configuration(self, changes: Mapping[str, Any]) -> None:
        """Changes top-level fields of the Flex configuration. Raises DemoError."""
        headers = {"Authorization": aiohttp.encode_basic_auth(self.account.account_sid, self.account.auth_token)}
        body = {"account_sid": self.account.account_sid, **changes}
        status, told = await self.send("POST", f"{self.twilio_url}/flex-api/v1/Configuration", body, headers=headers)
        if status != 200:
            raise DemoError(f"the Flex configuration could not be written: {told}")

    async def new_worker(self, name: str, *roles: str) -> dict[str, Any]:
        """A worker with a Flex token: `workerSid`, `identity`, `flexToken`. Raises DemoError."""
        status, body = await self.send("POST", f"{self.twilio_url}/_sim/workers", {"name": name, "roles": list(roles or ("agent",))})
        if status != 201:
            raise DemoError(f"the worker could not be made: {body}")
        return dict(body)

    async def metrics(self, relay: RelayProcess | None = None) -> dict[str, float]:
        """The relay's metrics: `name{labels}` to value, without the prefix and the labels that every series of a relay bears."""
        async with self.http.get(f"{(relay or self.relay).private}/metrics") as answer:
            text = await answer.text()
        pattern = re.compile(r"^voiceassist_relay_(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
        found = {}
        for name, labels, value in pattern.findall(text):
            own = ",".join(label for label in re.findall(r'\w+="[^"]*"', labels) if label.split("=")[0] not in {"name", "namespace"})
            found[f"{name}{{{own}}}" if own else name] = float(value)
        return found


def free_port(host: str = "127.0.0.1") -> int:
    """A port of an address of this machine that nobody listens on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def sample_calls() -> Path:
    """The folder of the sample calls in the source tree, or $VOICEASSIST_CALLS. Raises DemoError."""
    given = os.environ.get("VOICEASSIST_CALLS")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "examples" / "calls"
    if not folder.is_dir():
        raise DemoError(f"{folder} is not there; set VOICEASSIST_CALLS to the folder with the sample calls")
    return folder
