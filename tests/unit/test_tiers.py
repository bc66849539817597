"""`make test`: a tier that cannot run here is named in the summary, and fails in CI."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def loaded(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool as it is."""
    spec = importlib.util.spec_from_file_location("tiers_tool", ROOT / "tools/tiers.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tiers_tool", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The tool, with one tier that can run (one test), one that lacks a program, and one whose own script names what is missing."""
    module = loaded(monkeypatch)
    for name in ("good", "lacking", "scripted"):
        (tmp_path / "tests" / name).mkdir(parents=True)
        (tmp_path / "tests" / name / "test_it.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "needs.py").write_text("print('no such kernel module')\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(module, "CI", False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # most of what starting pytest costs; these tests need no plugin
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    found = (
        module.Tier("good", fast=True),
        module.Tier("lacking", programs={"no-such-program": "no-such-package"}),
        module.Tier("scripted", prerequisites="needs.py"),
    )
    monkeypatch.setattr(module, "TIERS", found)
    return module


def summary(tiers: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["tiers.py", *arguments])
    code = tiers.main()
    return code, capsys.readouterr().out.split("=== summary")[1]


def test_what_cannot_run_is_named_with_the_way_out(tiers: ModuleType, monkeypatch, capsys) -> None:
    code, text = summary(tiers, monkeypatch, capsys)
    assert code == 0
    lines = {line.split()[0]: line for line in text.strip().splitlines()}
    assert "ok" in lines["good"]
    assert "1 passed" in lines["good"]
    assert "NOT RUN  missing: no-such-package; install with: sudo apt-get install no-such-package" in lines["lacking"]
    assert "NOT RUN  no such kernel module" in lines["scripted"]


def test_bytecode_is_kept_so_that_each_process_that_a_tier_starts_need_not_compile_anew(tiers: ModuleType, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tiers.ROOT / "tests/good/test_it.py").write_text("import sys\ndef test_it():\n    assert not sys.dont_write_bytecode\n")
    assert summary(tiers, monkeypatch, capsys, "good")[0] == 0


def test_in_ci_that_is_a_failure(tiers: ModuleType, monkeypatch, capsys) -> None:
    monkeypatch.setattr(tiers, "CI", True)
    assert summary(tiers, monkeypatch, capsys, "lacking")[0] == 1
    assert summary(tiers, monkeypatch, capsys, "good")[0] == 0


def beside(tiers: ModuleType, name: str, lane: str, text: str, seconds: int = 0) -> object:
    folder = tiers.ROOT / "tests" / name
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(text)
    return tiers.Tier(name, tiers.Lane[lane], seconds)


MEET = """
import time, pathlib
def test_it():
    here = pathlib.Path({folder!r})
    (here / {name!r}).touch()
    end = time.monotonic() + 60
    while len(list(here.iterdir())) < {count} and time.monotonic() < end:
        time.sleep(0.02)
    assert sorted(path.name for path in here.iterdir()) == {expected!r}
"""


LINGERS = "    time.sleep(3)  # would another one begin meanwhile?\n    assert"


def test_one_tier_of_each_lane_runs_beside_the_others_and_who_measures_alone_when_they_are_over(
    tiers: ModuleType, monkeypatch, capsys, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    def meets(name: str, expected: list[str]) -> str:
        return MEET.format(folder=str(marks), name=name, count=len(expected), expected=expected)

    found = (
        beside(tiers, "first", "COMPUTING", meets("first", ["first", "waits"])),
        beside(tiers, "measures", "ALONE", meets("measures", ["first", "measures", "waits"]).replace("    assert", LINGERS, 1)),
        beside(tiers, "waits", "WAITING", meets("waits", ["first", "waits"])),
        beside(tiers, "too", "ALONE", meets("too", ["first", "measures", "too", "waits"])),
    )
    monkeypatch.setattr(tiers, "TIERS", found)
    code, text = summary(tiers, monkeypatch, capsys)
    assert code == 0, text
    assert [line.split()[0] for line in text.strip().splitlines()] == ["first", "measures", "waits", "too", "4"]


def test_the_longest_begin_and_who_has_computed_takes_one_that_waits(tiers: ModuleType, monkeypatch, capsys, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    def meets(name: str, *expected: str) -> str:
        return MEET.format(folder=str(marks), name=name, count=len(expected), expected=sorted(expected))

    found = (
        beside(tiers, "short", "WAITING", meets("short", "longest", "computes", "also", "long", "short"), 1),
        beside(tiers, "computes", "COMPUTING", meets("computes", "longest", "computes"), 9),
        beside(tiers, "longest", "WAITING", meets("longest", "longest", "computes", "also", "long"), 9),
        beside(tiers, "also", "COMPUTING", meets("also", "longest", "computes", "also"), 5),
        beside(tiers, "long", "WAITING", meets("long", "longest", "computes", "also", "long"), 5),
    )
    monkeypatch.setattr(tiers, "TIERS", found)
    code, text = summary(tiers, monkeypatch, capsys)
    assert code == 0, text


def test_a_lane_that_has_no_more_takes_what_another_has_left(tiers: ModuleType, monkeypatch, capsys, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    meets = {name: MEET.format(folder=str(marks), name=name, count=2, expected=["a", "b"]) for name in ("a", "b")}
    found = (
        beside(tiers, "waits", "WAITING", "def test_it():\n    pass\n"),
        *(beside(tiers, name, "COMPUTING", text) for name, text in meets.items()),
    )
    monkeypatch.setattr(tiers, "TIERS", found)
    code, text = summary(tiers, monkeypatch, capsys)
    assert code == 0, text


def test_what_a_tier_beside_others_prints_comes_in_one_piece(tiers: ModuleType, monkeypatch, capfd, tmp_path: Path) -> None:
    found = (
        beside(tiers, "first", "COMPUTING", "def test_it():\n    assert 'first words' == ''\n"),
        beside(tiers, "waits", "WAITING", "def test_it():\n    assert 'other words' == ''\n"),
    )
    monkeypatch.setattr(tiers, "TIERS", found)
    monkeypatch.setattr(sys, "argv", ["tiers.py"])
    assert tiers.main() == 1
    out = capfd.readouterr().out
    for name, words in (("first", "first words"), ("waits", "other words")):
        part, *_again = [part for part in out.split("\n=== ") if part.startswith(f"{name}\n")]
        assert words in part
        assert "1 failed" in part


def test_a_failing_test_fails_and_fast_takes_the_quick_ones_only(tiers: ModuleType, monkeypatch, capsys) -> None:
    (tiers.ROOT / "tests/good/test_it.py").write_text("def test_it():\n    assert False\n")
    code, text = summary(tiers, monkeypatch, capsys, "--fast")
    assert code == 1
    assert "FAILED" in text
    assert "lacking" not in text


ONCE = """
import pathlib
def test_it():
    mark = pathlib.Path({mark!r})
    there = mark.exists()
    mark.touch()
    assert there
def test_other():
    pass
"""


def test_what_fails_once_and_passes_alone_at_the_end_is_named_and_no_failure(tiers: ModuleType, monkeypatch, capfd, tmp_path: Path) -> None:
    found = (
        beside(tiers, "first", "COMPUTING", ONCE.format(mark=str(tmp_path / "mark"))),
        beside(tiers, "measures", "ALONE", "def test_it():\n    pass\n"),
    )
    monkeypatch.setattr(tiers, "TIERS", found)
    monkeypatch.setattr(sys, "argv", ["tiers.py"])
    assert tiers.main() == 0
    out = capfd.readouterr().out
    assert out.index("=== first: 1 failed; once more") > out.index("=== measures"), "when nothing else is at work"
    assert "TO BE MENDED: failed at first, passed when nothing else ran: tests/first/test_it.py::test_it\n" in out
    assert "2 passed, 0 failed, 0 skipped" in out.split("=== summary")[1]
    assert "3 passed, 0 failed" in out.split("=== summary")[1]


def test_a_part_of_a_tier_runs_once_and_in_its_own_lane(tiers: ModuleType, monkeypatch, capfd, tmp_path: Path) -> None:
    first = beside(tiers, "first", "WAITING", "def test_it():\n    pass\n")
    (tmp_path / "tests/first/deeper").mkdir()
    (tmp_path / "tests/first/deeper/test_long.py").write_text("def test_one():\n    pass\ndef test_two():\n    pass\n")
    monkeypatch.setattr(tiers, "TIERS", (tiers.Tier("some", part="tests/first/deeper/test_[kl]*.py"), first))
    monkeypatch.setattr(sys, "argv", ["tiers.py"])
    assert tiers.main() == 0
    lines = {line.split()[0]: line for line in capfd.readouterr().out.split("=== summary")[1].strip().splitlines()}
    assert "2 passed, 0 failed" in lines["some"]
    assert "1 passed, 0 failed" in lines["first"]


AND_ITS_FIXTURE = """
import pathlib, pytest
mark = pathlib.Path({mark!r})
@pytest.fixture
def held():
    yield mark.exists()
    before = mark.exists()
    mark.touch()
    assert before
def test_it(held):
    assert held
def test_other():
    pass
"""


def test_what_fails_with_its_fixture_runs_once_more_as_one_test(tiers: ModuleType, monkeypatch, capfd, tmp_path: Path) -> None:
    text = AND_ITS_FIXTURE.format(mark=str(tmp_path / "mark"))
    monkeypatch.setattr(tiers, "TIERS", (beside(tiers, "first", "COMPUTING", text),))
    monkeypatch.setattr(sys, "argv", ["tiers.py"])
    assert tiers.main() == 0
    out = capfd.readouterr().out
    assert "TO BE MENDED: failed at first, passed when nothing else ran: tests/first/test_it.py::test_it\n" in out
    assert "2 passed, 0 failed, 0 skipped" in out.split("=== summary")[1]


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("def test_it():\n    assert False\n", True),
        ("import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_it(n):\n    assert False\n", False),
        ("import no_such_module\n", False),
    ],
    ids=["fails again", "more than a few", "cannot be read"],
)
def test_what_fails_again_or_in_numbers_is_a_failure(tiers: ModuleType, monkeypatch, capfd, text: str, *, again: bool) -> None:
    monkeypatch.setattr(tiers, "TIERS", (beside(tiers, "first", "COMPUTING", text),))
    monkeypatch.setattr(sys, "argv", ["tiers.py"])
    assert tiers.main() == 1
    out = capfd.readouterr().out
    assert ("once more" in out) is again
    assert "TO BE MENDED" not in out


def test_what_any_tier_needs_is_made_before_the_first_test_and_its_seconds_are_told(
    tiers: ModuleType, monkeypatch, capfd, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    (tmp_path / "needs.py").write_text(f"import pathlib, sys\nprint('building', file=sys.stderr)\npathlib.Path({str(made)!r}).touch()\n")
    (tmp_path / "tests/good/test_it.py").write_text(f"import pathlib\ndef test_it():\n    assert pathlib.Path({str(made)!r}).exists()\n")
    monkeypatch.setattr(tiers, "TIERS", (tiers.Tier("good"), tiers.Tier("scripted", prerequisites="needs.py")))
    monkeypatch.setattr(tiers, "QUICK", 0.0)
    monkeypatch.setattr(sys, "argv", ["tiers.py"])
    assert tiers.main() == 0
    said = capfd.readouterr()
    assert "building" in said.err, "how far it is can be seen"
    told = ["tiers: prerequisites of scripted took", "tiers: prerequisites took", "=== good"]
    assert sorted(told, key=said.out.index) == told


def test_a_script_that_breaks_is_a_tier_that_is_not_run(tiers: ModuleType, monkeypatch, capsys, tmp_path: Path) -> None:
    (tmp_path / "needs.py").write_text("raise SystemExit(3)\n")
    assert "NOT RUN  needs.py failed with 3" in summary(tiers, monkeypatch, capsys, "scripted")[1]


def test_every_folder_of_tests_is_a_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [tier.name for tier in loaded(monkeypatch).TIERS if not tier.part]
    assert sorted(told) == sorted({path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")})


def test_a_program_without_which_a_test_is_skipped_is_named_by_its_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C compiler aside: it comes with every machine that builds. Whoever names a program has it installed in CI."""
    asked = {
        (path.relative_to(ROOT / "tests").parts[0], program)
        for path in ROOT.glob("tests/*/**/test_*.py")
        for line in path.read_text().splitlines()
        if "skipif(" in line
        for program in re.findall(r'which\("([^"]+)"\)', line)
    }
    assert ("load", "valgrind") in asked
    named = {(tier.name, program) for tier in loaded(monkeypatch).TIERS for program in tier.programs}
    assert {(tier, program) for tier, program in asked if program != "cc"} <= named
