"""What is built once, and how: the cache, the lock file's part, joined image archives. Needs no cluster and no root."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from cluster.lab import BuildError
from cluster.lab.archives import join
from cluster.lab.cache import KEEP, Log, Recipe, ensure
from cluster.lab.places import REPOSITORY
from cluster.lab.sandbox import with_our_images


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICEASSIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def recipe(version: str, made: list[str]) -> Recipe:
    def make(place: Path, log: Log) -> None:
        made.append(version)
        log.run(["sh", "-c", f"echo building; echo {version} >{place}/thing"])

    return Recipe("thing", f"thing {version}", "1 s", (version.encode(),), make)


def test_a_thing_is_built_once_for_each_of_its_inputs() -> None:
    made: list[str] = []
    first = ensure(recipe("1", made))
    assert ensure(recipe("1", made)) == first
    assert ensure(recipe("2", made)) != first
    assert made == ["1", "2"]
    assert (first / "thing").read_text() == "1\n"


def test_inputs_do_not_run_into_each_other() -> None:
    keys = {Recipe("thing", "", "", inputs, lambda place, log: None).key for inputs in ((b"ab", b"c"), (b"a", b"bc"), (b"abc",))}
    assert len(keys) == 3


def test_two_runs_at_once_build_it_once() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=ensure, args=(recipe("1", made),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["1"]


def test_a_build_that_fails_leaves_its_log_and_nothing_else(cache: Path) -> None:
    def make(place: Path, log: Log) -> None:
        (place / "half").write_text("")
        log.run(["sh", "-c", "echo what went wrong >&2; exit 3"])

    broken = Recipe("thing", "thing", "1 s", (), make)
    with pytest.raises(BuildError, match="what went wrong"):
        ensure(broken)
    assert not broken.built
    assert sorted(path.name for path in cache.iterdir()) == ["logs", "thing.lock"]


def test_a_missing_command_is_one_line() -> None:
    broken = Recipe("thing", "thing", "1 s", (), lambda place, log: log.run(["no-such-command"]))
    with pytest.raises(BuildError, match=r"^the command no-such-command is missing; tools/cluster/packages.sh"):
        ensure(broken)


def test_the_builds_least_recently_used_go_first() -> None:
    made: list[str] = []
    versions = [str(number) for number in range(KEEP)]
    places = {version: ensure(recipe(version, made)) for version in versions}
    ensure(recipe("0", made))  # used again
    ensure(recipe("new", made))
    assert [version for version, place in places.items() if not place.exists()] == ["1"]


LOCK = """\
backend==1.0 \\
    --hash=sha256:aa
    # via -r dev.in
inner==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:bb
    # via
    #   other
    #   part
other==3.0 \\
    --hash=sha256:cc
    # via -r dev.in
part==4.0 \\
    --hash=sha256:dd
    # via backend
"""


def subset(*names: str, lock: Path) -> subprocess.CompletedProcess[str]:
    script = REPOSITORY / "tools" / "lock_subset.py"
    return subprocess.run([sys.executable, script, lock, *names], capture_output=True, text=True, check=False)


def test_the_part_of_a_lock_file_is_complete_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    found = subset("backend", lock=tmp_path / "lock").stdout
    assert [line.split()[0] for line in found.splitlines() if "==" in line] == ["backend==1.0", "inner==2.0", "part==4.0"]
    assert found.count("--hash") == 3
    assert subset("nothing", lock=tmp_path / "lock").returncode != 0


def test_joined_archives_hold_all_images_and_shared_layers_once(tmp_path: Path) -> None:
    def archive(name: str, *layers: str) -> Path:
        path = tmp_path / f"{name}.tar"
        entries = {f"{name}.json": "{}", **{layer: layer * 1000 for layer in layers}}
        manifest = [{"Config": f"{name}.json", "RepoTags": [f"localhost/{name}:lab"], "Layers": list(layers)}]
        with tarfile.open(path, "w") as tar:
            for entry, text in {**entries, "manifest.json": json.dumps(manifest), "repositories": "{}"}.items():
                info = tarfile.TarInfo(entry)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        return path

    out = io.BytesIO()
    join([archive("a", "base.tar", "a.tar"), archive("b", "base.tar", "b.tar")], out)
    out.seek(0)
    with tarfile.open(fileobj=out) as joined:
        assert sorted(joined.getnames()) == ["a.json", "a.tar", "b.json", "b.tar", "base.tar", "manifest.json"]
        manifest = joined.extractfile("manifest.json")
        assert manifest is not None
        assert [image["RepoTags"] for image in json.load(manifest)] == [["localhost/a:lab"], ["localhost/b:lab"]]
        layer = joined.extractfile("b.tar")
        assert layer is not None
        assert layer.read() == b"b.tar" * 1000


def test_the_sandbox_runs_our_image_and_nothing_else() -> None:
    documents = with_our_images((REPOSITORY / "examples" / "sandbox.yaml").read_text())
    pods = [document["spec"]["template"]["spec"] for document in documents if document["kind"] == "Deployment"]
    assert [container["image"] for pod in pods for container in pod["containers"]] == ["localhost/voiceassist-sim:lab"] * 2
