"""Records what this tree's parts exchange, for the contract tests of the version after it: `tools/wire_shapes.py`, once for each release.

Writes tests/contract/versions/<version>/: the schemas and the CRD as they are, and samples of everything that two versions may
exchange, made by the code that makes it. What was recorded for a version that was released is not written again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any, cast

import yaml
from fastapi import FastAPI

from voiceassist_crds import __version__, names
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.messages import (
    AssistState,
    CallDocument,
    CallState,
    Draft,
    Status,
    StatusReason,
    Suggestion,
    Track,
    Transcript,
    Withdrawn,
    WithdrawnReason,
)
from voiceassist_crds.proof import probe_answer
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_crds.schema import SCHEMAS, schema_text
from voiceassist_crds.status import PeerReason, PeerStatus, RelayStatus
from voiceassist_operator.policy.observed import Observed, PodFact, PromptFact, SecretFact
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.policy.relay_config import relay_config
from voiceassist_operator.policy.resources.metadata import Owner
from voiceassist_operator.twilio.model.desired import TwilioRecord
from voiceassist_operator.twilio.model.observed import TwilioFact
from voiceassist_operator.twilio.model.outcome import SyncRecord
from voiceassist_relay.auth import mint_peer, mint_stream_token
from voiceassist_relay.call.dependencies import FunctionDependencies
from voiceassist_relay.call.peer_relays import peer_router
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.interfaces import StreamClaims

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests/contract/versions"
CRD = ROOT / "crds/voiceassists.voiceassist.dev.yaml"
CALL, OVER, NOWHERE = ("CA" + digit * 32 for digit in "123")
ACCOUNT, SERVICE = "AC" + "0" * 32, "IS" + "0" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000


def documents() -> dict[str, CallDocument]:
    """A call's Document in each of its states, every field set at least once."""
    generation = {state: number for number, state in enumerate(CallState, start=1)}

    def one(state: CallState, **changes: Any) -> CallDocument:
        number = generation[state]
        return CallDocument(
            state=state,
            generation=number,
            stream_name=names.stream_name(CALL, number),
            sync_stream=names.sync_stream(CALL, "c2VjcmV0MTIzNDU2"),
            deadline=NOW + 15.25,
            worker="WK" + "a" * 32,
            identity="ann",
            task_sid="WT" + "b" * 32,
            **changes,
        )

    had = {"owner": "10.0.0.7:9090", "stream_sid": "MZ" + "d" * 32, "prompt_revision": "0123456789"}
    return {
        "starting": one(CallState.STARTING),
        "live": one(CallState.LIVE, **had, seq=12),
        "live, paused": one(CallState.LIVE, **had, seq=3, paused=True, restarts=1),
        "stopped": one(CallState.STOPPED, **had, seq=40),
        "lost": one(CallState.LOST, **had, restarts=2),
    }


def statuses() -> dict[str, RelayStatus]:
    """What relays answer at /status."""
    well = PeerStatus(ok=True, since=NOW - 60.5)
    base = RelayStatus(
        version=__version__,
        namespace="team",
        name="support",
        pod="support-relay-abc",
        config_revision="0123456789",
        prompt_revisions={"0123456789": 2},
        secrets_version="1795341600000000000",
        active_calls=2,
        max_calls=60,
        draining=False,
        ready=True,
        model=well,
        sync=well,
    )
    sick = PeerStatus(ok=False, reason=PeerReason.QUOTA, message="the key's quota is used up", since=float(NOW))
    return {
        "well": base,
        "draining": base.model_copy(update={"draining": True, "ready": False, "not_ready_reasons": ["draining"], "model": sick}),
        "not asked yet": base.model_copy(update={"model": PeerStatus(ok=False, reason=PeerReason.UNKNOWN, since=float(NOW))}),
    }


def messages() -> dict[str, Any]:
    """One of each kind of message to the agent's browser."""
    head: dict[str, Any] = {"id": "g1-item_1", "revision": "0123456789"}
    made: list[Draft | Suggestion | Withdrawn | Transcript | Status] = [
        Draft(**head, part=2, answer="Yes, it"),
        Suggestion(**head, seq=1, question="Is it insured?", answer="Yes, it is.", at=NOW * 1000, latency_ms=900),
        Withdrawn(**head, reason=WithdrawnReason.NOT_RELEVANT),
        Transcript(**head, track=Track.CUSTOMER, part=1, text="Is it insured?", final=True),
        Status(**head, state=AssistState.LIVE, reason=StatusReason.STARTED, message="On.", generation=1, stream="S", at=NOW * 1000),
    ]
    return {one.type: one.wire() for one in made}


def with_defaults(schema: dict[str, Any], value: Any) -> Any:
    """`value` as an API server stores it: what is not given and has a default in the schema has it."""
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), one) for one in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    full = {**{name: one["default"] for name, one in properties.items() if "default" in one}, **value}
    return {name: with_defaults(properties.get(name, {}), one) for name, one in full.items()}


def objects() -> dict[str, Any]:
    """The examples as an API server stores them, with a status of the operator's."""
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    made = {}
    for path in sorted((ROOT / "examples").glob("voiceassist-*.yaml")):
        body = with_defaults(schema, yaml.safe_load(path.read_text()))
        made[path.stem] = {**body, "status": make_plan(_observed(body), "2026-01-01T00:00:00Z").status}
    return made


def _observed(body: dict[str, Any]) -> Observed:
    """What an operator sees of an object of whose relays one reports."""
    spec, name = VoiceAssistSpec.read(body["spec"]), body["metadata"]["name"]
    return Observed(
        owner=Owner("team", name, "uid-1", spec, "registry.example/relay:1"),
        generation=3,
        credentials=SecretFact("twilio", True, frozenset({"authToken", "apiKeySid", "apiKeySecret"}), "1"),
        model_key=SecretFact("model", True, frozenset({spec.model.api_key_secret_ref.key}), "1"),
        prompt=PromptFact(spec.prompt.instructions or "Help.", manager="kubectl", cause="first"),
        pods=(PodFact("support-relay-abc", "10.0.0.7", ready=True, status=statuses()["well"]),),
        twilio=TwilioFact(record=TwilioRecord(SyncRecord(SERVICE, made=True))),
    )


def configs(stored: dict[str, Any]) -> dict[str, Any]:
    """The configurations that the operator writes for these objects."""
    made = {}
    for name, body in stored.items():
        spec = VoiceAssistSpec.read(body["spec"])
        made[name] = json.loads(
            relay_config("team", body["metadata"]["name"], spec, spec.prompt.instructions or "Help.", SERVICE).to_json()
        )
    return made


class _Calls:
    """One call is here, one has been."""

    def find(self, call_sid: str) -> Any:
        return self if call_sid == CALL else None

    def had(self, call_sid: str) -> bool:
        return call_sid == OVER

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class _Deps:
    """Of FunctionDependencies, what the routes for other relays use."""

    def __init__(self, config: dict[str, Any]) -> None:
        snapshot = Snapshot(RelayConfig.model_validate(config), Secrets(auth_token=TOKEN, model_key="k"))
        self.current = lambda: snapshot
        self.calls = _Calls()
        self.now = lambda: float(NOW)


async def peer_calls(config: dict[str, Any]) -> list[dict[str, Any]]:
    """What relays ask each other, and what they answer, byte for byte."""
    app = FastAPI()
    app.include_router(peer_router(cast(FunctionDependencies, _Deps(config))))
    asked = [("GET", f"/calls/{call}") for call in (CALL, OVER, NOWHERE)]
    asked += [("POST", f"/calls/{call}/{action}") for call in (CALL, OVER, NOWHERE) for action in ("pause", "resume")]
    made = []
    for method, path in asked:
        header = mint_peer(TOKEN, method, path, NOW)
        status, body = await _ask(app, method, path, {names.PEER_HEADER: header})
        made.append({"method": method, "path": path, "header": header, "status": status, "body": body})
    return made


async def _ask(app: Any, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def shapes() -> dict[str, Any]:
    """Everything, by file."""
    stored = objects()
    config = configs(stored)
    claims = {"call": CALL, "account": ACCOUNT, "generation": 3, "exp": NOW + 300, "paused": True}
    one_config = next(iter(config.values()))
    return {
        "documents.json": {name: one.wire() for name, one in documents().items()},
        "statuses.json": {name: json.loads(one.to_json()) for name, one in statuses().items()},
        "messages.json": messages(),
        "objects.json": stored,
        "configs.json": config,
        "peers.json": {"authToken": TOKEN, "now": NOW, "calls": asyncio.run(peer_calls(one_config))},
        "proofs.json": {
            "authToken": TOKEN,
            "now": NOW,
            "streamClaims": claims,
            "streamToken": mint_stream_token(TOKEN, StreamClaims(**cast(Any, claims))),
            "probe": {"nonce": "a-nonce", "answer": probe_answer(TOKEN, "a-nonce")},
        },
    }


def main() -> int:
    """Writes the folder of this version. Exit 1: it is there."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    folder = FOLDER / __version__
    if folder.exists():
        sys.stderr.write(f"{folder.relative_to(ROOT)} is there; what was released does not change\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        (folder / f"{name}.schema.json").write_text(schema_text(name))
    shutil.copy(CRD, folder / "crd.yaml")
    for name, content in shapes().items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
