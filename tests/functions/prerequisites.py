"""Prints one line for each thing that the functions' tests need and do not find here; prints nothing if they can run.

Node.js and npm are installed before (tools/tiers.py); the packages of functions/ are installed here, once for each lock file.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.lab.errors import BuildError
from functions.packages import node_modules, node_version

OLDEST = 18

if __name__ == "__main__":
    found = node_version()
    if int(found.lstrip("v").split(".")[0]) < OLDEST:
        print(f"Node.js {found} is too old for the functions; install version {OLDEST} or newer")
    else:
        try:
            node_modules()
        except BuildError as error:
            print(" ".join(str(error).split()))
