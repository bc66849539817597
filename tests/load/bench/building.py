"""Builds the C programs with `cc` into a cache folder outside the tree, keyed by their source."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
_COMMAND = ("cc", "-O2", "-Wall", "-Wextra", "-Werror=implicit-function-declaration")
_LIBRARIES = ("-lssl", "-lcrypto")


def built(name: str) -> Path:
    """The program made of `<name>.c`; compiled if its source, or a header beside it, was not compiled before."""
    sources = [HERE / f"{name}.c", *sorted(HERE.glob("*.h"))]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + repr(_COMMAND).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voiceassist-bench"
    program = cache / f"{name}-{key}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        scratch = program.with_suffix(f".{os.getpid()}")
        done = subprocess.run([*_COMMAND, "-o", scratch, sources[0], *_LIBRARIES], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name}.c does not compile (cc and OpenSSL's headers are needed: gcc, libssl-dev):\n{done.stderr}")
        scratch.replace(program)
    return program
