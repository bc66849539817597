"""The tools of the project: the version's two forms, a release's parts, what is stale, what is too long, coverage by package."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
from helm_python import Chart

ROOT = Path(__file__).parents[2]
DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(("relay", "operator", "sim"))}


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_tool", ROOT / f"tools/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("python", "semantic"),
    [
        ("1.2.3", "1.2.3"),
        ("0.2", "0.2.0"),
        ("1.2.3rc1", "1.2.3-rc.1"),
        ("0.0.1.dev285", "0.0.1-dev.285"),
        ("1.0.0b2.dev3", "1.0.0-b.2.dev.3"),
    ],
)
def test_the_version_in_both_forms(python: str, semantic: str) -> None:
    assert tool("version").semantic(python) == semantic


def test_a_version_without_such_a_form_is_refused() -> None:
    with pytest.raises(ValueError, match="tag as"):
        tool("version").semantic("1!2.0.post1")


def test_everything_has_the_version_of_the_tags() -> None:
    assert (
        tool("version")
        .version()
        .startswith(
            subprocess.run(["git", "describe", "--tags", "--abbrev=0"], cwd=ROOT, capture_output=True, text=True, check=False)
            .stdout.strip()
            .removeprefix("v")
        )
    )
    projects = sorted(ROOT.glob("*/pyproject.toml"))
    assert len(projects) >= 6
    assert [path for path in projects if 'dynamic = ["version"]' not in path.read_text()] == []


def test_the_packaged_chart_names_its_images_by_digest(tmp_path: Path) -> None:
    release = tool("release")
    archive = release.chart(release.Release("1.2.3", "ghcr.io/voiceassist", tmp_path, True, None), DIGESTS)
    chart = Chart.load_archive(archive.read_bytes())
    text = "\n".join(chart.render({}, name="va", namespace="assist").values())
    assert f"ghcr.io/voiceassist/operator:1.2.3@{DIGESTS['operator']}" in text
    assert f"ghcr.io/voiceassist/relay:1.2.3@{DIGESTS['relay']}" in text
    assert chart.version == "1.2.3"


def test_values_that_moved_are_noticed() -> None:
    release = tool("release")
    with pytest.raises(release.ReleaseError, match=r"relayImage\.tag"):
        release.with_digests('image:\n  tag: ""\nrelayImages:\n  tag: ""\n', "1.2.3", DIGESTS)


def test_what_an_image_weighs_is_read_from_its_archive(tmp_path: Path) -> None:
    images = tool("images")
    manifest = json.dumps({"layers": [{"size": 60_000_000}, {"size": 500_000}]}).encode()
    digest = "sha256:" + "a" * 64
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        for name, data in (
            ("index.json", json.dumps({"manifests": [{"digest": digest}]}).encode()),
            (f"blobs/{digest.replace(':', '/')}", manifest),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    built = images.read("voiceassist-relay:1.2.3", tmp_path / "image.tar")
    assert built.digest == digest
    assert "60.5 MB packed, own code  0.50 MB" in built.line


def test_a_tree_that_is_no_release_says_all_reasons(tmp_path: Path) -> None:
    release = tool("release")
    reasons = release.check(release.Release("1.2", "r", tmp_path, True, None))
    assert any("1.2 is no version" in reason for reason in reasons)
    assert any("has no tag v1.2" in reason for reason in reasons)
    with pytest.raises(release.ReleaseError, match="no version"):
        release.check(release.Release("1.2", "r", tmp_path, False, None))


def test_what_is_stale_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate = tool("generate")
    copy, missing = tmp_path / "crd.yaml", tmp_path / "another.yaml"
    copy.write_text("stale")
    monkeypatch.setattr(generate, "CRD_COPIES", (copy, missing))
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check", "crd", "values"])
    assert generate.main() == 1
    said = capsys.readouterr().err
    assert "charts/voiceassist/files/voiceassists.voiceassist.dev.yaml and crds/src/" in said
    assert "docs/values.md" not in said
    monkeypatch.setattr(sys, "argv", ["generate.py", "crd"])
    assert generate.main() == 0
    assert copy.read_bytes() == missing.read_bytes() == generate.CRD.read_bytes()


def test_long_modules_are_named_and_nothing_fails(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "long.py").write_text("x = 1\n" * 401)
    (tmp_path / "short.py").write_text("x = 1\n" * 400)
    assert tool("lengths").long_modules(tmp_path) == {"long.py": 401}
    assert tool("lengths").all_long_lines(tmp_path) == {}


def test_a_line_that_is_too_long_is_found_where_it_can_be_broken(tmp_path: Path) -> None:
    words = "word " * 30
    page = tmp_path / "page.md"
    page.write_text(f"{words}\n| {words} |\n```\n{words}\n```\nhttps://{'x' * 150}\n{words}\n")
    assert tool("lengths").long_lines(page) == [1, 7]
    module = tmp_path / "module.py"
    module.write_text(f"{'x = 1; ' * 20}  # noqa: E702\n# {words}\n")
    assert tool("lengths").long_lines(module) == [2]


def test_no_line_of_ours_is_too_long() -> None:
    lengths = tool("lengths")
    assert len(lengths.files(ROOT)) > 500
    assert lengths.all_long_lines() == {}


def test_coverage_is_summed_by_package() -> None:
    summary = {"num_statements": 10, "covered_lines": 8, "num_branches": 4, "covered_branches": 2}
    files = {f"relay/src/voiceassist_relay/{name}.py": {"summary": summary} for name in ("call/bridge", "call/start", "app")}
    coverage = tool("coverage")
    rows = coverage.by_package({"files": files})
    assert rows == [("voiceassist_relay", 10, 8, 4, 2), ("voiceassist_relay.call", 20, 16, 8, 4)]
    assert "| `all` | 30 | 24 | 12 | 6 | 71.4 % |" in coverage.table(rows)
