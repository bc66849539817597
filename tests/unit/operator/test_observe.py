"""Kinds that the cluster may or may not know: what a failed answer says of them is nothing."""

from __future__ import annotations

from typing import cast

import pytest

from voiceassist_operator.controller import observe
from voiceassist_operator.controller.observe import OptionalKinds
from voiceassist_operator.errors import Forbidden, NotThere, OperatorError, Retryable, UnknownKind
from voiceassist_operator.kubernetes.client import Cluster
from voiceassist_operator.kubernetes.kinds import OPTIONAL

WELL = None
SAID_NOTHING = Retryable("list PodMonitor: HTTP 502", 5.0)
UNKNOWN, AWAY = UnknownKind("404", 30.0), NotThere("404", 30.0)
NO_RIGHT = Forbidden("403", 30.0)


class Answering:
    """The cluster's client, which answers each question for a kind like this."""

    def __init__(self) -> None:
        self.answer: OperatorError | None = None

    async def list(self, *_: object) -> list[object]:
        if self.answer is not None:
            raise self.answer
        return []


@pytest.mark.parametrize(
    ("answers", "known", "undecided"),
    [
        ([WELL], True, False),
        ([UNKNOWN], False, False),
        ([AWAY], False, False),
        ([SAID_NOTHING], False, True),
        ([NO_RIGHT], False, False),
        ([WELL, SAID_NOTHING], True, False),
        ([WELL, NO_RIGHT], True, False),
        ([WELL, UNKNOWN], False, False),
        ([UNKNOWN, SAID_NOTHING], False, False),
        ([SAID_NOTHING, UNKNOWN, WELL], True, False),
    ],
)
async def test_observe_only_the_api_server_says_that_a_kind_is_unknown(
    answers: list[OperatorError | None], known: bool, undecided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "ASK_KINDS_SECONDS", 0.0)
    monkeypatch.setattr(observe, "ASK_AGAIN_SECONDS", 0.0)
    cluster = Answering()
    kinds = OptionalKinds(cast(Cluster, cluster), "*")
    for answer in answers:
        cluster.answer = answer
        found = await kinds.known()
    assert (found == frozenset(OPTIONAL), bool(found)) == (known, known)
    assert kinds.undecided == (frozenset(OPTIONAL) if undecided else frozenset())
