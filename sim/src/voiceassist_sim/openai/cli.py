"""The sub-command ``voiceassist-sim openai``: runs the stand-in until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from .behaviour import AnswerStyle, Behaviour, BehaviourError
from .faults import FaultError, Faults
from .phrasebook import CallsError
from .server import RealtimeServer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 for any free one (default)")
    parser.add_argument("--calls", type=Path, metavar="DIR", help="folder with the sample calls to recognise (default: examples/calls)")
    parser.add_argument("--api-key", action="append", metavar="KEY", help="a key that opens sessions; may be repeated (default: sk-test)")
    parser.add_argument("--compatible-path", metavar="PATH", help="serve this path too, as a compatible server does")
    parser.add_argument("--compatible-header", metavar="NAME", help="its header for the key (default: Authorization with Bearer)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM) for wss; needs --tls-key")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="key (PEM) of the certificate")
    parser.add_argument("--first-token-ms", type=int, help="delay before a response's first output (default: 180)")
    parser.add_argument("--delta-ms", type=int, help="delay between deltas (default: 8)")
    parser.add_argument("--answer-style", choices=[style.value for style in AnswerStyle], help="shape of the answers (default: fine)")
    parser.add_argument("--session-seconds", type=float, help="longest life of a session (default: 3600)")
    parser.add_argument("--behaviour", metavar="JSON", help="any settings as a JSON object, as PUT /_sim/behaviour takes them")
    parser.add_argument("--faults", metavar="JSON", help="faults from the start as a JSON list, as PUT /_sim/faults takes them")


async def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; prints one line of JSON, ``{"listening": "http://host:port"}``, when ready.

    Returns:
        The exit code: 0, or 2 for options that do not fit (one line on standard error says why).
    """
    try:
        server = RealtimeServer(
            args.host,
            args.port,
            behaviour=_behaviour(args),
            faults=_faults(args),
            calls=args.calls,
            compatible_path=args.compatible_path,
            compatible_header=args.compatible_header,
            tls=_tls(args),
        )
    except (BehaviourError, CallsError, FaultError, ValueError) as error:
        return _failed(str(error))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with server:
            print(json.dumps({"listening": server.url}), flush=True)
            await stop.wait()
    except OSError as error:
        return _failed(f"cannot listen on {args.host}:{args.port}: {error.strerror or error}")
    return 0


def _failed(text: str) -> int:
    print(f"voiceassist-sim openai: {text}", file=sys.stderr)
    return 2


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{option}: no JSON ({error})") from None


def _behaviour(args: argparse.Namespace) -> Behaviour:
    settings: dict[str, Any] = _json("--behaviour", args.behaviour) if args.behaviour else {}
    behaviour = Behaviour.of(settings)
    given = {
        "api_keys": args.api_key,
        "first_token_ms": args.first_token_ms,
        "delta_ms": args.delta_ms,
        "answer_style": args.answer_style,
        "session_seconds": args.session_seconds,
    }
    behaviour.change({name: value for name, value in given.items() if value is not None})
    return behaviour


def _faults(args: argparse.Namespace) -> Faults:
    faults = Faults()
    if args.faults:
        faults.replace(_json("--faults", args.faults))
    return faults


def _tls(args: argparse.Namespace) -> tuple[Path, Path] | None:
    if (args.tls_cert is None) != (args.tls_key is None):
        raise ValueError("--tls-cert and --tls-key belong together")
    return None if args.tls_cert is None else (args.tls_cert, args.tls_key)
