"""The command: reads an object by kubectl and puts annotations on it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from voiceassist_crds import __version__, names

from ..policy.resources.metadata import PLUGIN_MANAGER
from . import tables
from .orders import ORDERS, Refused, annotations_for

TIMEOUT_SECONDS = 60
"""For each call of kubectl."""


class Failed(Exception):
    """kubectl could not do it; the text is its own."""


def parser() -> argparse.ArgumentParser:
    """Returns the command line."""
    where = argparse.ArgumentParser(add_help=False)
    for option in ("-n", "--namespace"), ("--context",), ("--kubeconfig",):
        where.add_argument(*option, help="as kubectl has it")
    options = argparse.ArgumentParser(prog="kubectl voiceassist", description="Roll-outs of the prompt of a VoiceAssist.")
    options.add_argument("--version", action="version", version=__version__)
    commands = options.add_subparsers(dest="command", required=True)
    for command, told in {"status": "where the roll-out is", "history": "the last prompts and what became of them", **ORDERS}.items():
        one = commands.add_parser(command, help=told, description=told, parents=[where])
        one.add_argument("name", help="of the VoiceAssist")
        if command in ORDERS:
            one.add_argument("--reason", default="", help="why, for the history")
    return options


def run(options: argparse.Namespace) -> str:
    """Returns what is to be printed. Raises Refused and Failed."""
    where = [f"--{name}={value}" for name in ("namespace", "context", "kubeconfig") if (value := getattr(options, name))]
    found = json.loads(_kubectl("get", f"{names.PLURAL}.{names.GROUP}", options.name, "-o", "json", *where))
    prompt: dict[str, Any] = (found.get("status") or {}).get("prompt") or {}
    match options.command:
        case "status":
            return tables.status(options.name, prompt)
        case "history":
            return tables.history(prompt)
    asked = annotations_for(options.command, prompt, found["metadata"].get("annotations") or {}, _said(options.reason, where))
    patch = json.dumps({"metadata": {"annotations": asked}})
    wanted = ("patch", f"{names.PLURAL}.{names.GROUP}", options.name, "--type=merge", f"--field-manager={PLUGIN_MANAGER}", "-p", patch)
    _kubectl(*wanted, *where)
    return f"{options.name}: {ORDERS[options.command]}: asked for\n"


def _said(reason: str, where: Sequence[str]) -> str:
    """Who asks, as the API server knows them, and why."""
    try:
        user = json.loads(_kubectl("auth", "whoami", "-o", "json", *where))["status"]["userInfo"]["username"]
    except (Failed, ValueError, LookupError):
        user = ""  # a cluster that does not tell it
    return ": ".join(part for part in (user, reason) if part)[:200]


def _kubectl(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell reads it
            ["kubectl", *arguments],  # noqa: S607 - the one that the user has
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError:
        raise Failed("kubectl is not there; this is a plugin of it") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"kubectl {arguments[0]} has not answered in {TIMEOUT_SECONDS} s") from None
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"kubectl {arguments[0]} ended with {done.returncode}")
    return done.stdout


def main() -> None:
    """Exit 0: done; 1: kubectl could not; 2: it cannot be done as things are."""
    options = parser().parse_args()
    try:
        print(run(options), end="")
    except (Failed, Refused) as error:
        print(f"kubectl voiceassist: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Refused) else 1)
