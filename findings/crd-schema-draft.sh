#!/usr/bin/env bash
# jsonschema 4.26.0: the schema in a Kubernetes CRD ("openAPIV3Schema") is not what today's JSON Schema validators read.
#
# One would expect: OpenAPI v3 is JSON Schema, so the newest validator class, which `jsonschema.validate` takes by default, judges an object
#                   as the API server does; a keyword that it does not know would be an error of check_schema at worst.
# What happens:     a CRD says `minimum: 0, exclusiveMinimum: true`, a boolean, as JSON Schema did in draft 4. From draft 6 on
#                   exclusiveMinimum is the number itself, and Python's True is the number 1: Draft202012Validator refuses 0.5 and 1 as
#                   not greater than True. Draft4Validator is right in all cases.
# What it costs:    a tool that checks manifests before they are applied refuses valid ones, only near the bounds.
# What to do:       Draft4Validator for CRDs of apiextensions.k8s.io/v1; `nullable` and the x-kubernetes-* keywords are yours to judge.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install jsonschema==4.26.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

from jsonschema import Draft4Validator, Draft202012Validator

schema = {"type": "object", "properties": {"ratio": {"type": "number", "minimum": 0, "exclusiveMinimum": True}}}
values = (-1, 0, 0.5, 1, 2)
kinds = (Draft202012Validator, Draft4Validator)
verdicts = {kind.__name__: [not list(kind(schema).iter_errors({"ratio": value})) for value in values] for kind in kinds}
print("jsonschema", version("jsonschema"))
print(f"{'ratio':22}", *(f"{value!s:>6}" for value in values))
for name, found in verdicts.items():
    print(f"{name:22}", *(f"{'taken' if one else 'refused':>7}" for one in found))
(message,) = [error.message for error in Draft202012Validator(schema).iter_errors({"ratio": 0.5})]
print("in its words:", message)
as_told = verdicts == {
    "Draft202012Validator": [False, False, False, False, True],
    "Draft4Validator": [False, False, True, True, True],
}
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
