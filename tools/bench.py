#!/usr/bin/env python3
"""Runs the benchmarks in tests/load, one after the other. Figures depend on the machine: compare within one run.

tools/bench.py [NAME ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Exit 0 if every benchmark ran to its end."""
    there = {path.stem: path for path in sorted((ROOT / "tests/load").glob("*_cost.py"))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=[[], *there], help=", ".join(there))
    chosen = parser.parse_args().name or list(there)
    code = 0
    for name in chosen:
        print(f"=== {name}", flush=True)
        code |= subprocess.run([sys.executable, there[name]], cwd=ROOT, check=False).returncode
    return code


if __name__ == "__main__":
    sys.exit(main())
