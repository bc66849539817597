"""Prints one line for each thing that the charts' tests need and do not find here; prints nothing if they can run.

The judges of the objects are built here, once for each of their versions.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from charts.checkov import checkov
from cluster.lab.cache import ensure
from cluster.lab.errors import BuildError
from cluster.lab.programs import kube_score

if __name__ == "__main__":
    for judge in (kube_score(), checkov()):
        try:
            ensure(judge)
        except BuildError as error:
            print(f"{judge.what}:", " ".join(str(error).split()))
