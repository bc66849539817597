"""The command ``voiceassist-sim``: runs one of the stand-ins until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceassist_sim.twilio import Lenient, Settings, TwilioServer
from voiceassist_sim.twilio.control_settings import parse_address
from voiceassist_sim.twilio.sids import is_sid

_TWILIO_TEXT = """\
A strict stand-in for Twilio: REST for calls and media streams, Sync, TaskRouter, IAM and Flex, each product under its own
path (http://HOST:PORT/api, /sync, /taskrouter, /iam, /flex-api), media streams over websockets, and a control API under
/_sim. What Twilio refuses is refused with Twilio's codes. When it is ready it prints one line of JSON:
{"listening": "http://HOST:PORT"}.
"""
_LENIENT_TEXT = "take the lenient reading of a point that Twilio's documents leave open (may be given more than once): "


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status (2: wrong use, or a port that is taken)."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(words)
    args = parser.parse_args(words)
    try:
        return int(asyncio.run(args.run(args)) or 0)
    except KeyboardInterrupt:
        return 0


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="voiceassist-sim", description="Stand-ins for the two clouds that VoiceAssist talks to.")
    commands = parser.add_subparsers(title="stand-ins", metavar="{twilio,openai}", required=True)
    twilio = commands.add_parser("twilio", help="Twilio: REST and media streams", description=_TWILIO_TEXT)
    _add_twilio_arguments(twilio)
    twilio.set_defaults(run=_run_twilio)
    openai = commands.add_parser("openai", help="OpenAI: the Realtime API")
    if "openai" in words[:1]:  # the other stand-in's modules are loaded only for it
        stand_in: Any = importlib.import_module("voiceassist_sim.openai.cli")
        stand_in.add_arguments(openai)
        openai.set_defaults(run=stand_in.run)
    return parser


def _add_twilio_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8601, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument("--account", type=_sid("AC"), required=True, metavar="AC…", help="SID of the account")
    parser.add_argument("--auth-token", required=True, metavar="TOKEN", help="the account's auth token: for basic auth, and it signs")
    parser.add_argument("--api-key", type=_sid("SK"), required=True, metavar="SK…", help="SID of an API key")
    parser.add_argument("--api-secret", required=True, metavar="SECRET", help="the API key's secret")
    parser.add_argument(
        "--connect-to",
        type=_route,
        action="append",
        default=[],
        metavar="HOST=ADDRESS:PORT",
        help="play the ingress: connections for this public name go to this address; the URL stays, and is signed, as it was given. "
        "Without an entry a name cannot be reached (may be given more than once)",
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="use TLS for these connections and trust this PEM file (default: plain)")
    parser.add_argument(
        "--lenient", action="append", default=[], choices=Lenient.names(), metavar="NAME", help=_LENIENT_TEXT + ", ".join(Lenient.names())
    )
    parser.add_argument(
        "--max-concurrent-requests",
        type=_count,
        metavar="N",
        help="refuse more requests at the same time with 429/20429 (default: no limit)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="make identifiers repeatable (default: random)")


async def _run_twilio(args: argparse.Namespace) -> int:
    try:
        server = TwilioServer(
            host=args.host,
            port=args.port,
            account_sid=args.account,
            auth_token=args.auth_token,
            api_keys={args.api_key: args.api_secret},
            settings=Settings(lenient=Lenient.of(args.lenient), max_concurrent_requests=args.max_concurrent_requests),
            connect_to=dict(args.connect_to),
            ca=args.ca,
            seed=args.seed,
        )
    except OSError as error:
        return _complain(f"cannot read {args.ca}: {error.strerror or error}")
    try:
        await server.start()
    except OSError as error:
        return _complain(f"cannot listen on {args.host}:{args.port}: {error.strerror or error} (choose another with --port)")
    try:
        print(json.dumps({"listening": server.url}), flush=True)
        await _told_to_stop()
    finally:
        await server.close()
    return 0


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()


def _complain(text: str) -> int:
    print(f"voiceassist-sim: {text}", file=sys.stderr)
    return 2


def _sid(prefix: str) -> Any:
    def check(text: str) -> str:
        if not is_sid(text, prefix):
            raise argparse.ArgumentTypeError(f"{text!r} is not {prefix} and 32 hexadecimal digits")
        return text

    return check


def _route(text: str) -> tuple[str, tuple[str, int]]:
    host, equals, address = text.partition("=")
    try:
        if not equals or not host:
            raise ValueError
        return host.lower(), parse_address(address)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST=ADDRESS:PORT") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
