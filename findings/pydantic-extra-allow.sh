#!/usr/bin/env bash
# pydantic 2.14.3: model_validate takes `extra="allow"`, for once, for a class whose configuration says "forbid" or "ignore".
#
# One would expect: what is let in comes out again: read, change, write keeps a later version's fields, as with the class's own "allow".
# What happens:     the fields are in model_extra, in repr and in ==, and model_copy carries them on; model_dump and model_dump_json leave
#                   them out, without a word. The serializer is made from the class's configuration, not from how this instance came to be.
# What it costs:    a program that reads and rewrites a document deletes exactly what "allow" was asked to keep.
# What to do:       set `extra="allow"` in the configuration of a class of its own for reading, or join model_extra to the dump by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install pydantic==2.14.3
"$folder/venv/bin/python" - <<'PYTHON'
import pydantic
from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seq: int


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    seq: int


document = {"seq": 1, "later": "of the next version"}
once = Strict.model_validate(document, extra="allow")
changed = once.model_copy(update={"seq": 2})
print("pydantic", pydantic.VERSION)
print("validated with extra='allow':", repr(once), "model_extra:", once.model_extra)
print("equal to one without:        ", once == Strict(seq=1))
print("changed and dumped:          ", changed.model_dump(), changed.model_dump_json())
print("by the class's own 'allow':  ", Open.model_validate(document).model_dump())
as_told = (
    once.model_extra == {"later": "of the next version"}
    and once != Strict(seq=1)
    and changed.model_extra == once.model_extra
    and changed.model_dump() == {"seq": 2}
    and Open.model_validate(document).model_dump() == document
)
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
