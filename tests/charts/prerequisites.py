"""Prints one line for each thing that the charts' tests need and do not find here; prints nothing if they can run.

The judge of the objects is built here, once for each of its versions.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.lab.cache import ensure
from cluster.lab.errors import BuildError
from cluster.lab.programs import kube_score

if __name__ == "__main__":
    try:
        ensure(kube_score())
    except BuildError as error:
        print("kube-score:", " ".join(str(error).split()))
