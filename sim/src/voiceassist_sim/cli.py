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
from voiceassist_sim.twilio.browser import BrowserEdge, Plugin
from voiceassist_sim.twilio.browser.flex_hosts import read_plugin
from voiceassist_sim.twilio.control_settings import parse_address
from voiceassist_sim.twilio.sids import is_sid

_TWILIO_TEXT = """\
A strict stand-in for Twilio: REST for calls and media streams, Sync, TaskRouter, IAM and Flex, each product under its own
path (http://HOST:PORT/api, /sync, /taskrouter, /iam, /flex-api), media streams over websockets, and a control API under
/_sim. What Twilio refuses is refused with Twilio's codes. When it is ready it prints one line of JSON:
{"listening": "http://HOST:PORT"}.

With --browser-port there is one more endpoint, by TLS, for what a browser meets of Twilio: Flex's hosts, TaskRouter's event bridge, the
sockets of Sync and of the voice SDK, on the same state. The line of JSON then has "browser" with "chromiumArguments", which lead a
Chromium on this machine there and nowhere else, and "logInUrl": open it with the SID of a worker (POST /_sim/workers) at its end, and
Flex comes up (needs --flex-script). POST /_sim/calls with {"worker": "WK…", "reservation": "pending"} lets a call ring in it.
GET /_sim/browser says all this again, who is connected, and what a client did that the protocol does not allow.
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
    browser = parser.add_argument_group("for browsers")
    browser.add_argument(
        "--browser-port", type=_port, metavar="PORT", help="also play Twilio's hosts for browsers on this port, 0 for a free one"
    )
    browser.add_argument(
        "--flex-script", type=Path, metavar="FILE", help="the Flex UI, built as one classic script that sets Twilio.Flex and React"
    )
    browser.add_argument(
        "--plugin-bundle",
        type=_plugin,
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="a Flex plugin's bundle, which Flex's own loader loads; read anew at each load (may be given more than once)",
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
        async with contextlib.AsyncExitStack() as stack:
            listening: dict[str, Any] = {"listening": server.url}
            if args.browser_port is not None:
                edge = BrowserEdge(server, host=args.host, port=args.browser_port, flex_script=args.flex_script, plugins=args.plugin_bundle)
                await stack.enter_async_context(edge)
                listening["browser"] = edge.facts()
            print(json.dumps(listening), flush=True)
            await _told_to_stop()
    except OSError as error:
        return _complain(
            f"cannot listen on {args.host}:{args.browser_port}: {error.strerror or error} (choose another with --browser-port)"
        )
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


def _plugin(text: str) -> Plugin:
    try:
        return read_plugin(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not FILE or NAME=FILE") from None


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
