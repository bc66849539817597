"""`voiceassist-relay`: the command in the pod and in the demo."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from voiceassist_crds import __version__, names
from voiceassist_crds.config import Checks, is_loopback

from .config.files import read_snapshot
from .config.snapshot import Snapshot
from .config.watch import Guard
from .egress import Egress, check_egress
from .errors import ConfigRefused
from .logs import configure_logs
from .metrics.scrapes import SECONDS
from .realtime.providers import is_format_chosen, provider_of
from .report import report
from .server.addresses import EVERYWHERE
from .server.descriptors import raise_limit
from .server.gathering_loop import GatheringLoop


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="voiceassist-relay",
        description="Bridges calls from Twilio Media Streams to the OpenAI Realtime API and publishes suggestions through Twilio Sync.",
        epilog="Secrets directory: one file each, named "
        + ", ".join(value for key, value in vars(names).items() if key.startswith("SECRET_"))
        + ".",
    )
    options.add_argument("--config", type=Path, required=True, metavar="FILE", help="the RelayConfig (JSON); read again when it changes")
    options.add_argument("--secrets", type=Path, required=True, metavar="DIR", help="the secrets directory; read again when a file changes")
    options.add_argument(
        "--ca-bundle",
        type=Path,
        metavar="FILE",
        help="certificate authorities (PEM) to trust besides the system's; need not be there, and is read again when it changes",
    )
    options.add_argument("--host", default=EVERYWHERE, help="address of the public port (default %(default)s: IPv6 and IPv4)")
    options.add_argument(
        "--port", type=int, default=names.PUBLIC_PORT, help="public port: streams and functions (default %(default)s; 0: any)"
    )
    options.add_argument("--metrics-host", default=None, help="address of the private port (default: as --host)")
    options.add_argument(
        "--metrics-port", type=int, default=names.PRIVATE_PORT, help="private port: metrics, health, status (default %(default)s)"
    )
    options.add_argument(
        "--advertise", default=None, metavar="HOST:PORT", help="where other relays reach the private port (default: $POD_IP and it)"
    )
    options.add_argument(
        "--metrics-seconds",
        type=float,
        default=SECONDS,
        metavar="SECONDS",
        help="answer scrapes of /metrics for so long with the same text (default %(default)g)",
    )
    options.add_argument(
        "--check",
        action="store_true",
        help="validate configuration and secrets, have a conversation of a second with the model, say what is wrong, and exit",
    )
    options.add_argument("--offline", action="store_true", help="with --check: without the conversation")
    options.add_argument(
        "--strict", action="store_true", help="with --check: refuse fields that this version does not know, which are passed over otherwise"
    )
    options.add_argument(
        "--report", action="store_true", help="print what a report of a fault needs, without secrets, SIDs, host and prompts, and exit"
    )
    options.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    options.add_argument("--log-format", default="auto", choices=["auto", "json", "console"], help="auto: console on a terminal, else JSON")
    options.add_argument("--version", action="version", version=f"voiceassist-relay {__version__}")
    return options


def guard_of(host: str) -> Guard:
    """Returns a check that raises ConfigRefused for a configuration that its provider cannot serve, and for one without checks
    unless the process listens on loopback only.
    """

    def guard(snapshot: Snapshot) -> None:
        model = snapshot.config.model
        if (problem := provider_of(model).problem(model)) is not None:
            raise ConfigRefused(f"model: {problem}")
        check_egress(snapshot, os.environ)
        if snapshot.config.checks is Checks.OFF and not is_loopback(host):
            raise ConfigRefused(f"checks: 'Off' given, but the relay listens on {host}; set checks to 'All', or --host 127.0.0.1")

    return guard


def main() -> None:
    """Runs the relay until SIGTERM.

    Exit 2: configuration or secrets cannot be used, or do not pass the check; 1: a port cannot be had, or, with --check, the model is not
    well.
    """
    command = parser()
    options = command.parse_args()
    if options.strict and not options.check:
        command.error("--strict is for --check: a relay that runs passes over what it does not know")
    if options.offline and not options.check:
        command.error("--offline is for --check: a relay that runs needs the model")
    guard = guard_of(options.host)
    try:
        guard(snapshot := read_snapshot(options.config, options.secrets, options.ca_bundle))
    except ConfigRefused as error:
        if options.report:
            print(report(options.config, options.secrets, options.metrics_port, str(error)))
            return
        sys.exit(_refused(error))
    if options.report:
        print(report(options.config, options.secrets, options.metrics_port))
        return
    if options.check:
        if snapshot.passed_over:
            fields = ", ".join(snapshot.passed_over)
            print(f"voiceassist-relay: no such field: {fields}; check the spelling, or the version", file=sys.stderr)
            if options.strict:
                sys.exit(2)
        print(f"ok: configuration {snapshot.config.config_revision}, prompts {', '.join(p.revision for p in snapshot.config.prompts)}")
        if not options.offline:
            sys.exit(_tried(snapshot))
        return
    raise_limit()
    logs = configure_logs(options.log_level, options.log_format)
    from .app import serve  # noqa: PLC0415 - --help and --check answer without loading it

    try:
        with asyncio.Runner(loop_factory=GatheringLoop) as runner:
            runner.run(serve(options, guard, logs))
    except ConfigRefused as error:
        sys.exit(_refused(error))
    except OSError as error:
        print(f"voiceassist-relay: {error.strerror or type(error).__name__}; choose another --port or --metrics-port", file=sys.stderr)
        sys.exit(1)


def _tried(snapshot: Snapshot) -> int:
    """Has a conversation with the model, and prints what came of it."""
    from .health.model_check import try_model  # noqa: PLC0415 - --help answers without loading it
    from .health.peer_check import Unwell  # noqa: PLC0415

    model, egress = snapshot.config.model, Egress(lambda: snapshot, os.environ)
    try:
        found = asyncio.run(try_model(snapshot, egress.tls(), egress.proxies()))
    except Unwell as unwell:
        print(f"voiceassist-relay: model: {unwell.message}", file=sys.stderr)
        return 1
    *others, taken = found
    for one in others:
        print(f"model {model.name}: {one.told()}")
    print(f"ok: model {model.name}: {taken.told()}")
    if not is_format_chosen(model):
        print(
            f"set model.audioFormat to {taken.audio_format}: nothing is chosen, and calls are sent {provider_of(model).audio_format(model)}"
        )
    return 0


def _refused(error: ConfigRefused) -> int:
    print(f"voiceassist-relay: {error}", file=sys.stderr)
    return 2
