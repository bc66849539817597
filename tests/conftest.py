"""For all tests: the event loop that a test asks for, and examples that hypothesis tries.

With CI=true these are the same each time; elsewhere they are new ones, so that bugs are found at a desk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, settings

from support.loops import FACTORIES

settings.register_profile("desk", deadline=None)  # how long an example takes says how busy the machine is
settings.register_profile("ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") == "true" else "desk")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"loop(name): the event loop that the test runs on, one of {', '.join(FACTORIES)}")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], object]]:
    marker = item.get_closest_marker("loop")
    name = marker.args[0] if marker else "asyncio"
    return {name: FACTORIES[name]}
