"""The commands behind `make cluster` and its friends."""

from __future__ import annotations

import sys

from cluster.lab.cache import ensure
from cluster.lab.images import all_images, base_image
from cluster.lab.programs import all_programs

if __name__ == "__main__":
    for r in (*all_programs(), base_image(), *all_images()):
        print(r.what, ensure(r))
