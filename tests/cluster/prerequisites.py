"""Prints one line for each thing that the cluster tests need and do not find here; prints nothing if they can run.

Debian packages that are missing are installed first when this runs as root on Debian; then the cluster's programs and images are built
that are not kept yet, which takes half an hour the first time. How far that is goes to standard error.
"""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.lab.cache import Recipe, ensure
from cluster.lab.errors import LabError
from cluster.lab.images import all_images
from cluster.lab.prerequisites import install_packages, missing_prerequisites
from cluster.lab.programs import all_programs


def make(recipes: Iterable[Recipe]) -> None:
    """Build, one after the other, what is not in the cache."""
    for recipe in recipes:
        ensure(recipe)


def main() -> None:
    failed = install_packages()
    missing = missing_prerequisites()
    for line in [*missing, *([f"installing Debian packages failed: {failed}"] if failed else [])]:
        print(line)
    if not missing:
        try:
            # Images come over the network, one after the other, and leave compilers most of the cores.
            with ThreadPoolExecutor(max_workers=2) as pool:
                for done in [pool.submit(make, recipes) for recipes in (all_programs(), all_images())]:
                    done.result()
        except LabError as error:
            print(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
