"""Prints one line for each thing that the tests of Twilio's own clients need and do not find here; prints nothing if they can run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clients.packages import node_modules
from cluster.lab.errors import BuildError
from functions.packages import node_version

OLDEST = 20

if __name__ == "__main__":
    found = node_version()
    if int(found.lstrip("v").split(".")[0]) < OLDEST:
        print(f"Node.js {found} is too old for Twilio's clients; install version {OLDEST} or newer")
    else:
        try:
            node_modules()
        except BuildError as error:
            print(" ".join(str(error).split()))
