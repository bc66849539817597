"""The corpus replayed, each file a test, and new inputs made of it: a few here, as many as there is time for with `make fuzz`."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing.mutation import CORPUS, mutated, seeds
from fuzzing.targets import TARGETS

FILES = [(path.parent.name, path.name) for path in sorted(CORPUS.glob("*/*"))]


def test_every_folder_has_its_target_and_every_target_something_to_start_from() -> None:
    assert {target for target, _ in FILES} == set(TARGETS)


@pytest.mark.parametrize(("target", "name"), FILES, ids=[f"{target}-{name}" for target, name in FILES])
def test_what_once_went_wrong_goes_right(target: str, name: str) -> None:
    TARGETS[target]((CORPUS / target / name).read_bytes())


@pytest.mark.parametrize("target", sorted(TARGETS))
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), tail=st.binary(max_size=20))
def test_nothing_like_it_goes_wrong(target: str, seed: int, tail: bytes) -> None:
    TARGETS[target](mutated(random.Random(seed), seeds(target)) + tail)
