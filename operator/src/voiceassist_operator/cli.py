"""`voiceassist-operator`: run, or plan what would be written for an object."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from voiceassist_crds import __version__, names
from voiceassist_crds.config import PROXY_PATTERN
from voiceassist_crds.errors import ContractError
from voiceassist_crds.reasons import ConditionType
from voiceassist_crds.resource import VoiceAssistSpec

from .errors import OperatorError
from .kubernetes.kinds import OPTIONAL
from .kubernetes.lease import DURATION
from .logs import configure_logs
from .policy.allowed import OPEN
from .policy.next_pass import RESYNC_SECONDS
from .policy.observed import Observed, PromptFact, SecretFact
from .policy.plan import make_plan
from .policy.resources.metadata import Installation, Owner
from .twilio.model.desired import TwilioRecord
from .twilio.model.functions import GRACE_SECONDS
from .twilio.model.observed import TwilioFact
from .twilio.model.outcome import SyncRecord
from .twilio.model.schedule import RELEASE_SECONDS
from .twilio.model.schedule import RESYNC_SECONDS as TWILIO_RESYNC_SECONDS

IMAGE = f"ghcr.io/voiceassist/relay:{__version__}"

CRD = f"{names.PLURAL}.{names.GROUP}.yaml"

MADE_LATER = "IS" + "0" * 32
"""Stands for the Sync service that the operator would make."""


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as the base class has it
        """Every document is to be read without the others."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _text)


def _label(text: str) -> tuple[str, str]:
    """A label as it is given, key=value."""
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is no label; it must be key=value")
    return key, value


def _lease_seconds(text: str) -> float:
    """Whole seconds, as the Lease has them."""
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 5 <= int(text) <= 300:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds from 5 to 300")
    return float(text)


def _proxy(text: str) -> str:
    """A proxy's address, without a name and a password: the relays are given it in a configuration that is no secret."""
    if not re.fullmatch(PROXY_PATTERN, text):
        raise argparse.ArgumentTypeError("a proxy is given as http://host:port; a name and a password go into HTTPS_PROXY")
    return text


def parser() -> argparse.ArgumentParser:
    """Returns the command line."""
    options = argparse.ArgumentParser(prog="voiceassist-operator", description="Keeps relay pods as VoiceAssist objects describe them.")
    options.add_argument("--version", action="version", version=f"voiceassist-operator {__version__}")
    commands = options.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the operator")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--namespace", help="watch this namespace (default: the operator's own)")
    where.add_argument("--all-namespaces", action="store_true", help="watch every namespace")
    run.add_argument("--relay-image", default=IMAGE, help="image for objects that name none (default %(default)s)")
    run.add_argument(
        "--allow-custom-endpoints",
        action="store_true",
        help="let objects name another server in place of Twilio (twilio.apiUrl), and models at any host",
    )
    run.add_argument(
        "--allow-custom-network",
        action="store_true",
        help="let objects say how their relays reach Twilio and the model (network, relay.hostAliases, relay.env)",
    )
    run.add_argument(
        "--proxy",
        metavar="URL",
        type=_proxy,
        help="reach Twilio, and from the relays the model, through this proxy (default: the operator's own HTTPS_PROXY)",
    )
    run.add_argument("--no-proxy", metavar="HOST", action="append", default=[], help="reached without it; may be given more than once")
    run.add_argument(
        "--ca-bundle", metavar="FILE", help="trust these authorities (PEM) besides the system's; the relays are given them, too"
    )
    run.add_argument(
        "--metrics-namespace",
        metavar="NAMESPACE",
        action="append",
        default=[],
        help="where Prometheus runs, for the relays' NetworkPolicies; may be given more than once",
    )
    run.add_argument(
        "--allow-model-host",
        metavar="PATTERN",
        action="append",
        default=[],
        help="let models' keys be sent to these hosts, too (* is any text)",
    )
    run.add_argument(
        "--allow-image", metavar="PATTERN", action="append", default=[], help="let objects name images of these repositories, too"
    )
    run.add_argument(
        "--allow-ingress-annotation",
        metavar="PATTERN",
        action="append",
        default=[],
        help="let objects give the Ingress these annotations, too",
    )
    run.add_argument("--any-user-id", action="store_true", help="name no user for relay pods: the platform chooses (OpenShift)")
    run.add_argument("--any-secret", action="store_true", help=f"use Secrets without label or type {names.CREDENTIALS_LABEL} as well")
    run.add_argument(
        "--twilio-resync-seconds",
        type=float,
        default=TWILIO_RESYNC_SECONDS,
        help="look at each object's Sync service, functions and Flex entry this often, and repair them (default %(default)g)",
    )
    run.add_argument(
        "--twilio-let-go-seconds",
        type=float,
        default=RELEASE_SECONDS,
        help="let a deleted object go after this time without relays, even if Twilio could not be tidied up (default %(default)g)",
    )
    run.add_argument(
        "--functions-grace-seconds",
        type=float,
        default=GRACE_SECONDS,
        help="after a change of functions.mode let the Functions at Twilio go on this long for open browser tabs (default %(default)g)",
    )
    run.add_argument(
        "--pod-monitor-label",
        metavar="KEY=VALUE",
        type=_label,
        action="append",
        default=[],
        help="a further label of the PodMonitors that are made, by which a Prometheus selects them; may be given more than once",
    )
    run.add_argument("--lease-name", default="voiceassist-operator", help="the Lease that the leading replica holds (default %(default)s)")
    run.add_argument("--lease-namespace", help="where the Lease is (default: the operator's own namespace)")
    run.add_argument(
        "--lease-seconds",
        metavar="5..300",
        type=_lease_seconds,
        default=DURATION,
        help="seconds after its last renewal that the Lease counts as held: more where the API server is slow at times,"
        " less for a quicker successor of a leader that was killed (default %(default)g)",
    )
    run.add_argument("--metrics-port", type=int, default=8081, help="port for /metrics and /healthz (default %(default)s)")
    run.add_argument("--relay-port", type=int, default=names.PRIVATE_PORT, help=argparse.SUPPRESS)
    run.add_argument("--resync-seconds", type=float, default=RESYNC_SECONDS, help=argparse.SUPPRESS)
    run.add_argument(
        "--endpoint-ca", metavar="FILE", help="trust these authorities (PEM) when dialling public addresses, instead of the system's"
    )
    run.add_argument("--endpoint-port", type=int, default=443, help="port of public addresses (default %(default)s; Twilio uses 443)")
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    run.add_argument("--log-format", default="auto", choices=["auto", "json", "console"])
    plan = commands.add_parser("plan", help="print what the operator would write for an object, as YAML")
    plan.add_argument("file", type=Path, help="a VoiceAssist (YAML)")
    plan.add_argument("--prompt", type=Path, metavar="FILE", help="the prompt's text, where the object takes it from a ConfigMap")
    plan.add_argument("--relay-image", default=IMAGE)
    return options


def plan_documents(body: dict[str, Any], prompt: str | None, image: str) -> list[dict[str, Any]]:
    """Returns what would be written to the cluster, given that the Secrets are there; asks nobody.

    Raises ContractError for a file that is no VoiceAssist, that the API server would refuse, or that the operator would not deploy.
    """
    if body.get("kind") != names.KIND or body.get("apiVersion") != f"{names.GROUP}/{names.VERSION}":
        given = f"{body.get('apiVersion')} {body.get('kind')}"
        raise ContractError("file", [f"kind: {given} given; it must be {names.GROUP}/{names.VERSION} {names.KIND}"])
    from .policy.crd_rules import problems  # noqa: PLC0415 - the operator itself needs no CEL

    if refused := problems(body, yaml.safe_load((resources.files("voiceassist_crds") / CRD).read_text())):
        raise ContractError("file", refused)
    spec = VoiceAssistSpec.read(body.get("spec"))
    metadata = body.get("metadata") or {}
    text = spec.prompt.instructions or prompt
    if text is None:
        raise ContractError("file", ["spec.prompt: the text is in a ConfigMap; give it with --prompt FILE"])
    owner = Owner(
        metadata.get("namespace") or "default", metadata.get("name") or "", metadata.get("uid") or "(set by the cluster)", spec, image
    )
    keys = frozenset({"authToken", "apiKeySid", "apiKeySecret", spec.model.api_key_secret_ref.key})
    seen = Observed(
        owner=owner,
        generation=1,
        credentials=SecretFact(spec.twilio.credentials_secret_ref.name, True, keys, "1"),
        model_key=SecretFact(spec.model.api_key_secret_ref.name, True, keys, "1"),
        prompt=PromptFact(text),
        optional_kinds=frozenset(OPTIONAL),
        custom_endpoints=True,
        installation=Installation(custom_network=True),
        allowed=OPEN,
        twilio=TwilioFact(record=TwilioRecord(SyncRecord(MADE_LATER, made=True))),
    )
    plan = make_plan(seen, "1970-01-01T00:00:00Z")
    if not plan.apply:
        told = {condition["type"]: f"{condition['reason']}: {condition['message']}" for condition in plan.status["conditions"]}
        raise ContractError("file", [told[ConditionType.PROGRESSING if spec.paused else ConditionType.READY]])
    return plan.apply


def main() -> None:
    """Exit 0: ended as asked; 1: the Lease was lost; 2: the file does not fit."""
    options = parser().parse_args()
    if options.command == "plan":
        try:
            body = yaml.safe_load(options.file.read_text())
            prompt = options.prompt.read_text() if options.prompt else None
            documents = plan_documents(body if isinstance(body, dict) else {}, prompt, options.relay_image)
        except (ContractError, OSError, yaml.YAMLError) as error:
            problems = error.problems if isinstance(error, ContractError) else [str(error)]
            for line in problems:
                print(f"voiceassist-operator: {options.file}: {line}", file=sys.stderr)
            sys.exit(2)
        print(yaml.dump_all(documents, Dumper=_Blocks, sort_keys=False, allow_unicode=True), end="")
        return
    logs = configure_logs(options.log_level, options.log_format)
    from .event_loop import EventLoop  # noqa: PLC0415 - --help and plan answer without loading it
    from .main import run  # noqa: PLC0415

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        try:
            sys.exit(runner.run(run(options, logs)))
        except OperatorError as error:
            logs.write(f"voiceassist-operator: {error}\n")
            sys.exit(1)
