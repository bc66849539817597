"""Prints one line for each thing that the browser's tests need and do not find here; prints nothing if they can run.

npm, Chromium and Prometheus are installed before (tools/tiers.py); what draws diagrams is fetched here, once for each of its versions.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser.mermaid import script
from cluster.lab.errors import BuildError

if __name__ == "__main__":
    try:
        script()
    except BuildError as error:
        print(" ".join(str(error).split()))
