"""Prints one line for each thing that the cluster tests need and do not find here; prints nothing if they can run.

Debian packages that are missing are installed first when this runs as root on Debian; then the cluster's programs and images are built
that are not kept yet, which takes half an hour the first time. How far that is goes to standard error.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.lab.cache import ensure
from cluster.lab.errors import LabError
from cluster.lab.images import all_images
from cluster.lab.prerequisites import install_packages, missing_prerequisites
from cluster.lab.programs import all_programs


def main() -> None:
    failed = install_packages()
    missing = missing_prerequisites()
    for line in [*missing, *([f"installing Debian packages failed: {failed}"] if failed else [])]:
        print(line)
    if not missing:
        try:
            for recipe in (*all_programs(), *all_images()):
                ensure(recipe)
        except LabError as error:
            print(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
