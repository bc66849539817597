"""`voiceassist-monitoring`: writes the rules and the dashboards into the chart, checks them, or prints the rules at another scale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .dashboards import boards
from .dashboards.rendering import to_json
from .rulefile import plain
from .rules import groups
from .slo import SloError, read_slos
from .windows import Scale

OUT = Path("charts/voiceassist/files/monitoring")


def wanted(slo_text: str) -> dict[str, str]:
    """Every generated file by its path below `OUT`."""
    slos = read_slos(slo_text)
    return {"rules.yaml": plain(groups(slos)), **{f"dashboards/{board.uid}.json": to_json(board) for board in boards(slos)}}


def write(slo: Path, out: Path) -> int:
    """Writes what is wanted, and removes what is not."""
    files = wanted(slo.read_text())
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in sorted(out.rglob("*")):
        if path.is_file() and str(path.relative_to(out)) not in files:
            path.unlink()
    print(f"{len(files)} files written below {out}")
    return 0


def check(slo: Path, out: Path) -> int:
    """1 when what is there is not what is wanted."""
    files = wanted(slo.read_text())
    there = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    wrong = sorted(name for name in {*files, *there} if files.get(name) != there.get(name))
    for name in wrong:
        print(f"{out / name} is not what monitoring/ and docs/slo.md make; run: make generate", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="voiceassist-monitoring", description=__doc__)
    parser.add_argument("--slo", type=Path, default=Path("docs/slo.md"), help="where the objectives are stated (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("write", "write rules and dashboards"), ("check", "exit 1 if they are not up to date")):
        one = commands.add_parser(name, help=text)
        one.add_argument("--out", type=Path, default=OUT, help="folder (default: %(default)s)")
    rules = commands.add_parser("rules", help="print the rules, with all their times divided")
    rules.add_argument("--divide", type=float, default=1, help="divide windows and durations by this (default: 1)")
    rules.add_argument(
        "--longest", type=int, default=3 * 86400, help="leave out windows over so many seconds, before dividing (default: 3 days)"
    )
    rules.add_argument("--interval", type=float, default=30, help="seconds between evaluations, not divided (default: 30)")
    options = parser.parse_args()
    try:
        if options.command == "write":
            return write(options.slo, options.out)
        if options.command == "check":
            return check(options.slo, options.out)
        print(plain(groups(read_slos(options.slo.read_text()), Scale(1 / options.divide, options.longest), options.interval)), end="")
    except (OSError, SloError) as error:
        print(f"voiceassist-monitoring: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
