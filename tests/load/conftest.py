"""The files whose tests take longest come first, so that no worker is left with one of them when the others are done."""

from __future__ import annotations

import pytest

LONGEST_FIRST = ("test_model_trouble", "test_flood", "test_restart_storm", "test_moves", "test_sync_away", "test_bench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
