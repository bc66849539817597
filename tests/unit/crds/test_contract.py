"""Names, Sync messages and the committed JSON Schemas."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from voiceassist_crds import names
from voiceassist_crds.messages import STREAM_MESSAGE, CallDocument, CallState, Draft
from voiceassist_crds.schema import FOLDER, SCHEMAS, schema_text

CALL = "CA" + "0" * 32


def test_contract_committed_schemas_are_the_generated_ones() -> None:
    for name in SCHEMAS:
        assert (FOLDER / f"{name}.schema.json").read_text() == schema_text(name)
    assert {path.name for path in Path(FOLDER).iterdir()} == {f"{name}.schema.json" for name in SCHEMAS}


def test_contract_schema_agrees_with_the_model_on_messages() -> None:
    schema = json.loads(schema_text("sync-message"))
    good = {"type": "draft", "id": "g1-item_1", "revision": "abc", "part": 1, "answer": "Yes"}
    jsonschema.validate(good, schema)
    STREAM_MESSAGE.validate_python(good)
    for bad in ({**good, "part": 0}, {**good, "extra": 1}, {**good, "type": "other"}, {k: v for k, v in good.items() if k != "revision"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
        with pytest.raises(ValidationError):
            STREAM_MESSAGE.validate_python(bad)


def test_contract_an_error_that_is_logged_repeats_no_spoken_word() -> None:
    with pytest.raises(ValidationError) as caught:
        STREAM_MESSAGE.validate_python({"type": "draft", "id": "i", "revision": "r", "part": 1, "answer": ["my card is 4929"]})
    with pytest.raises(ValidationError) as other:
        Draft(id="i", revision="r", part=0, answer="my card is 4929", spoken="4929")  # type: ignore[call-arg]
    assert "4929" not in str(caught.value) + repr(other.value)


def test_contract_names() -> None:
    assert names.stream_name(CALL, 1) == f"assist_{CALL}"
    assert names.stream_name(CALL, 3) == f"assist_{CALL}_3"
    assert names.sync_stream(CALL, "") == f"FLEX_ASSIST_{CALL}"
    assert names.sync_stream(CALL, "x7") == f"FLEX_ASSIST_{CALL}_x7"
    assert sorted(names.suggestion_key(n) for n in (10, 9, 100)) == ["000009", "000010", "000100"]
    assert names.is_call_sid(CALL)
    assert not names.is_call_sid(CALL.lower())
    assert not names.is_call_sid(CALL + "\n")


def test_contract_the_longest_call_document_stays_under_one_kib() -> None:
    document = CallDocument(
        state=CallState.STARTING,
        generation=99,
        stream_name=names.stream_name(CALL, 99),
        sync_stream=names.sync_stream(CALL, "x" * 22),
        deadline=1795341600.123456,
        worker="WK" + "0" * 32,
        identity="somebody_40with_2Da_2Dlong_2Dname_40a_2Dlong_2Dcompany_2Dname_2Eexample_2Ecom" * 2,
        owner="[fd00:10:244:1::ffff]:9090",
        stream_sid="MZ" + "0" * 32,
        prompt_revision="a" * 10,
        restarts=4,
        deaths=2,
        paused=True,
        task_sid="WT" + "0" * 32,
        seq=999999,
    )
    assert len(document.model_dump_json(by_alias=True).encode()) < 1024
