"""`voiceassist-demo`: the whole line on one machine."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from voiceassist_crds import __version__
from voiceassist_crds.config import DEFAULT_MODEL, MAX_INSTRUCTIONS
from voiceassist_crds.errors import ContractError

from .ending import until_told
from .errors import DemoError
from .once import recordings, run_once
from .stage import Model, Stage, sample_calls

PORT = 8600


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="voiceassist-demo",
        description="Plays calls through a real relay process, with stand-ins for Twilio and the model: no account, no key, no network.",
    )
    options.add_argument("--port", type=int, default=PORT, help="port of the page (default %(default)s)")
    options.add_argument("--once", action="store_true", help="play once, print what became of it, and end; exit 0 only if all is well")
    options.add_argument("--json", action="store_true", help="with --once: print one JSON document")
    options.add_argument("--calls", type=int, metavar="N", help="how many calls at once (default: each recording once)")
    options.add_argument(
        "--wav",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="play this recording (mono: the customer; stereo: customer and agent)",
    )
    options.add_argument("--flex", action="store_true", help="take calls yourself: open the real Flex UI in a Chromium window (needs npm)")
    options.add_argument("--prompt", type=Path, metavar="FILE", help="use the prompt in this file")
    options.add_argument(
        "--local",
        action="store_true",
        help="a speech recogniser and rules on this machine as the model: what is said is really heard (English; installed once)",
    )
    options.add_argument(
        "--eager", action="store_true", help="ask the model as soon as a sentence has likely ended: early drafts, sooner (not with --local)"
    )
    options.add_argument("--model-url", default="", metavar="URL", help="a real Realtime service, its key in $OPENAI_API_KEY")
    options.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help="the model's name (default %(default)s)")
    options.add_argument("--keep", type=Path, metavar="DIR", help="keep logs and configuration here (default: a temporary folder)")
    options.add_argument("--version", action="version", version=f"voiceassist-demo {__version__}")
    return options


def _model(options: argparse.Namespace) -> Model:
    if not options.model_url:
        return Model(name=options.model)
    key = os.environ.get("OPENAI_API_KEY", "")
    if not key:
        raise DemoError("--model-url needs the service's key in $OPENAI_API_KEY")
    return Model(options.model_url, options.model, key)


def _config(options: argparse.Namespace) -> dict[str, Any]:
    config: dict[str, Any] = {"model": {"turnDetection": {"eager": {}}}} if options.eager else {}
    if options.prompt is None:
        return config
    try:
        text = options.prompt.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DemoError(f"{options.prompt}: cannot be read as text ({error})") from None
    if not text.strip() or len(text) > MAX_INSTRUCTIONS:
        raise DemoError(f"{options.prompt}: {len(text)} characters; a prompt has 1 to {MAX_INSTRUCTIONS}")
    return config | {"prompts": [{"instructions": text}]}


async def _run(options: argparse.Namespace, folder: Path) -> int:
    paths = recordings(options.wav, sample_calls() if not options.wav else Path(), options.calls)
    if options.local:
        from .local.hearing import installed, listening  # noqa: PLC0415 - only --local needs it
        from .local.server import MODEL, serving  # noqa: PLC0415

        async with listening(await installed(), folder / "ear.log") as ear, serving(ear) as url:
            config = _config(options)
            config["model"] = MODEL
            return await _play(options, folder, paths, None, Model(url, "local", "none"), config)
    samples = None if options.model_url else sample_calls()
    return await _play(options, folder, paths, samples, _model(options), _config(options))


async def _play(
    options: argparse.Namespace, folder: Path, paths: list[Path], samples: Path | None, model: Model, config: dict[str, Any]
) -> int:
    if options.once:
        async with Stage(folder, calls=samples, model=model, config=config) as stage:
            return await run_once(stage, paths, as_json=options.json)
    from .flex.preparing import places  # noqa: PLC0415 - --once does not need it
    from .live import DELTA_MS, run_live  # noqa: PLC0415

    stage = Stage(folder, calls=samples, model=model, config=config, model_arguments=("--delta-ms", str(DELTA_MS)), flex=places())
    return await run_live(stage, paths, options.port, flex=options.flex)


def main() -> None:
    """Exit 0: all is well; 1: a frame was lost or a turn not handled; 2: something that you can mend, in one line; 130: cut short."""
    options = parser().parse_args()
    if options.calls is not None and not 1 <= options.calls <= 60:
        parser().error(f"--calls {options.calls}: give 1 to 60")
    if options.eager and options.local:
        parser().error("--eager is not for --local, whose model answers turns that are over and nothing else")
    if not 0 <= options.port <= 65535:
        parser().error(f"--port {options.port}: give 1 to 65535, or 0 for any free one")
    if options.flex and options.once:
        parser().error("--flex shows calls to you, --once plays them by itself: give one of them")
    if options.local and options.model_url:
        parser().error("--local and --model-url both name a model: give one of them")
    if options.json and not options.once:
        parser().error("--json belongs to --once")
    try:
        with tempfile.TemporaryDirectory(prefix="voiceassist-demo-") as temporary:
            folder = options.keep or Path(temporary)
            code = asyncio.run(until_told(_run(options, folder)))
    except (DemoError, ContractError) as error:
        print(f"voiceassist-demo: {error}", file=sys.stderr)
        sys.exit(2)
    if code is None:
        print("voiceassist-demo: cut short, all processes ended" if options.once else "ended cleanly", file=sys.stderr, flush=True)
        code = 130 if options.once else 0
    sys.exit(code)
