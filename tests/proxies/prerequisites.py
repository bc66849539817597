"""Prints one line for each thing that the proxies' tests need and do not find here; prints nothing if they can run.

nginx and HAProxy are installed before (tools/tiers.py); Traefik is built here, once for each of its versions.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.lab.cache import ensure
from cluster.lab.errors import BuildError
from cluster.lab.programs import traefik

if __name__ == "__main__":
    try:
        ensure(traefik())
    except BuildError as error:
        print(" ".join(str(error).split()))
