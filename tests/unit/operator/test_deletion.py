"""When an object that is being deleted is released, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_operator.policy.deletion import EXTRA_SECONDS, RELEASE_ANNOTATION, release_at, waits_for_twilio
from voiceassist_operator.policy.resources.deployment import CLOSE_SECONDS


@pytest.mark.parametrize(("spec", "drain"), [({"relay": {"drainTimeoutSeconds": 60}}, 60), ({}, 3600), ({"relay": {}}, 3600)])
def test_deletion_an_object_goes_at_last(spec: dict[str, Any], drain: int) -> None:
    body = {"metadata": {"deletionTimestamp": "1970-01-01T00:01:00Z"}, "spec": spec}
    assert release_at(body) == 60 + drain + CLOSE_SECONDS + EXTRA_SECONDS


@pytest.mark.parametrize(
    ("annotations", "gone_for", "after", "waits"),
    [
        ({}, 0.0, 0.0, True),
        ({}, 599.0, 0.0, True),
        ({}, 600.0, 0.0, False),
        ({RELEASE_ANNOTATION: "true"}, 0.0, 0.0, False),
        ({RELEASE_ANNOTATION: "false"}, 0.0, 0.0, True),
        ({}, 0.0, 601.0, False),
    ],
    ids=["at first", "nearly", "long enough", "told to", "told not to", "operators that were started again and again"],
)
def test_deletion_twilio_is_not_waited_for_for_ever(annotations: dict[str, str], gone_for: float, after: float, waits: bool) -> None:
    body = {"metadata": {"deletionTimestamp": "1970-01-01T00:01:00Z", "annotations": annotations}, "spec": {}}
    assert waits_for_twilio(body, gone_for, 600.0, release_at(body) + after) is waits
