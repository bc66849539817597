"""The chart as the tests see it: rendered by Helm's own engine, and every object held against Kubernetes' schemas."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from helm_python import Chart
from kubernetes_validate import utils
from referencing import Registry, Resource

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "voiceassist"
VERSIONS = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
FOREIGN = frozenset({"monitoring.coreos.com", "apiextensions.k8s.io"})
"""Groups without a schema among Kubernetes' own, or (the CRD) held against the API server itself by the cluster's tests."""
Object = dict[str, Any]


@functools.cache
def chart() -> Chart:
    """The chart, loaded once."""
    return Chart.load(CHART)


def rendered(values: Mapping[str, Any] | None = None, name: str = "voiceassist", namespace: str = "assist") -> dict[str, str]:
    """The templates' texts, by file name. Values are checked against the schema first, as `helm install` does."""
    given = dict(values or {})
    chart().validate_schema(given)
    texts = chart().render(given, name=name, namespace=namespace)
    return {path.rpartition("/")[2]: text for path, text in texts.items()}


def objects(values: Mapping[str, Any] | None = None, name: str = "voiceassist", namespace: str = "assist") -> list[Object]:
    """The objects that a release has."""
    texts = rendered(values, name, namespace)
    # The loader in C: that in Python was nine tenths of what the tier computes.
    return [one for file, text in texts.items() if file.endswith(".yaml") for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def one(found: Iterable[Object], kind: str, ending: str = "") -> Object:
    """The one object of a kind whose name ends so."""
    alike = [each for each in found if each["kind"] == kind and each["metadata"]["name"].endswith(ending)]
    assert len(alike) == 1, [f"{each['kind']} {each['metadata']['name']}" for each in alike]
    return alike[0]


@functools.cache
def _definitions(version: str) -> Any:
    return Resource.from_contents(utils.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version))


@functools.cache
def _validator(version: str, api_version: str, kind: str) -> Any:
    group, _, short = api_version.rpartition("/")
    named = f"{kind.lower()}-{group.partition('.')[0] + '-' if group else ''}{short}.json"
    schema = utils.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/{named}", version)
    registry: Any = Registry()
    registry = _definitions(version) @ (Resource.from_contents(schema) @ registry)
    return jsonschema.Draft202012Validator(schema, registry=registry)


def complaints(found: Object, version: str) -> list[str]:
    """What Kubernetes' schema of that version says against an object; unknown fields are refused. Empty when all is well."""
    if found["apiVersion"].partition("/")[0] in FOREIGN:
        return []
    name = f"{found['kind']} {found['metadata']['name']}"
    errors = _validator(version, found["apiVersion"], found["kind"]).iter_errors(found)
    return [f"{name} ({version}): {'.'.join(map(str, error.path))}: {error.message[:200]}" for error in errors]
