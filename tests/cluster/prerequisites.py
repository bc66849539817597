"""Prints one line for each thing that the cluster tests need and do not find here; prints nothing if they can run.

Debian packages that are missing are installed first when this runs as root on Debian.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.lab.prerequisites import install_packages, missing_prerequisites

if __name__ == "__main__":
    failed = install_packages()
    for line in [*missing_prerequisites(), *([f"installing Debian packages failed: {failed}"] if failed else [])]:
        print(line)
