"""The limit of file descriptors: raised as far as it may be, and left alone where it is high enough."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from voiceassist_relay.server.descriptors import raise_limit
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "after"), [(64, 512, 512), (512, 512, 512)])
def test_descriptors_the_soft_limit_becomes_the_hard_one(soft: int, hard: int, after: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(soft=soft, hard=hard)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(after), str(after), str(hard)]
