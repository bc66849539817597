#!/usr/bin/env python3
"""Which tests a change can reach, by the imports of modules and tests, and by the programs and files that these name.

    tools/reach.py [FILE ...]      (default: what differs from where this branch left main, and what is in no commit)

A module reaches whoever imports it, whoever starts its distribution's command (`voiceassist-relay` as a string), and whoever names it by
its path. What is no module reaches tests by the table REACHES; what is in no table reaches everything.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = re.compile(r"voiceassist[-_](relay|operator|sim|demo|monitoring)\b")
ALL = "*"
# A pattern of changed files, and the tests that these reach; the first pattern that fits counts.
REACHES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "docs/slo.md",
        ("tests/unit/test_docs.py", "tests/unit/test_monitoring.py", "tests/monitoring/*", "tests/charts/*", "tests/cluster/*"),
    ),
    ("docs/runbooks/*", ("tests/unit/test_docs.py", "tests/monitoring/*", "tests/cluster/operator/test_alerts_live.py")),
    ("docs/tutorial.md", ("tests/unit/*", "tests/cluster/test_path_tutorial.py")),
    ("*.md", ("tests/unit/*",)),
    ("docs/*", ("tests/unit/*", "tests/monitoring/*")),
    ("changelog.d/*", ("tests/unit/test_docs.py",)),
    (".github/*", ("tests/contract/test_workflows.py", "tests/unit/test_project_tools.py")),
    (".devcontainer/*", ("tests/unit/test_architecture.py",)),
    ("charts/*", ("tests/unit/*", "tests/charts/*", "tests/monitoring/*", "tests/cluster/*")),
    ("crds/voiceassists.*", ("tests/unit/*", "tests/contract/*", "tests/charts/*", "tests/cluster/*")),
    ("crds/schemas/*", ("tests/unit/crds/*", "tests/contract/*", "tests/clients/*")),
    ("functions/*", ("tests/unit/*", "tests/functions/*", "tests/cluster/*")),
    ("flex-plugin/*", ("tests/clients/*", "tests/plugin/*", "tests/panel/*", "tests/flex/*", "tests/unit/test_*.py")),
    ("examples/*", ("tests/unit/*", "tests/charts/*", "tests/integration/*", "tests/cluster/*")),
    ("tests/fuzz_corpus/*", ("tests/unit/fuzz/*",)),
    ("tests/contract/specs/*", ("tests/contract/*",)),
    ("tests/servers/litellm/*", ("tests/servers/*",)),
    ("tests/servers/portkey/*", ("tests/servers/*",)),
    ("tests/servers/speech_to_speech/*", ("tests/servers/*",)),
    ("requirements/local.lock", ("tests/servers/*",)),
    ("tests/cluster/recipe/*", ("tests/cluster/*", "tests/proxies/*", "tests/contract/test_workflows.py")),
    ("Dockerfile", ("tests/cluster/*", "tests/unit/test_project_tools.py")),
    (".dockerignore", ("tests/cluster/*",)),
    ("cluster.mk", ("tests/unit/test_docs.py",)),
)


class Tree:
    """The repository's files, its Python modules by name, and who uses whom."""

    def __init__(self, root: Path) -> None:
        self.root = root
        listed = ["git", "ls-files", "-co", "--exclude-standard"]
        names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
        self.files = [name for name in names if (root / name).is_file()]
        self.modules = {self._module(name): name for name in self.files if name.endswith(".py")}
        self.users: dict[str, set[str]] = defaultdict(set)
        for name in self.files:
            if name.endswith(".py"):
                for used in self._uses(name):
                    self.users[used].add(name)

    @staticmethod
    def _module(name: str) -> str:
        path = re.sub(r"^(?:[a-z-]+/src|tests)/", "", name).removesuffix(".py").removesuffix("/__init__")
        return path.replace("/", ".")

    def _uses(self, name: str) -> set[str]:
        """Files that a file imports or names. A package's own __init__ comes with each of its modules."""
        tree = ast.parse((self.root / name).read_text())
        module = self._module(name)
        package = module if name.endswith("__init__.py") else module.rpartition(".")[0]
        found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found |= self._named(alias.name)
            elif isinstance(node, ast.ImportFrom):
                base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                origin = ".".join([*base, *([node.module] if node.module else [])])
                for alias in node.names:
                    found |= self._named(f"{origin}.{alias.name}") or self._named(origin)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 2000:
                found |= self._told(node.value)
        folder = Path(name).parent
        while str(folder) not in {"", "."}:
            if (conftest := f"{folder}/conftest.py") in self.files and conftest != name:
                found.add(conftest)
            folder = folder.parent
        if name == "tests/cluster/conftest.py":  # the images that it has built
            found |= {file for file in self.files if re.match(r"(crds|relay|operator|sim)/src/", file)}
        return found - {name}

    def _named(self, module: str) -> set[str]:
        """The file of a module and of the packages it is in; nothing if it is none of ours."""
        if module not in self.modules:
            head = module.rpartition(".")[0]
            return {self.modules[head]} if head in self.modules else set()
        parts = module.split(".")
        chain = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return {self.modules[one] for one in chain if one in self.modules}

    def _told(self, text: str) -> set[str]:
        """Commands of ours, modules and files of ours that a string names."""
        found = {f"{name}/src/voiceassist_{name}/cli.py" for name in PACKAGE.findall(text)}
        if re.fullmatch(r"[\w./-]+\.(py|sh)", text):
            found |= {file for file in self.files if file == text or file.endswith(f"/{text}")}
        elif re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", text):
            found |= self._named(text)
        return found & set(self.files)

    def reached(self, changed: list[str]) -> set[str]:
        """Test files that these files can reach."""
        tests = {name for name in self.files if re.search(r"^tests/.*/test_\w+\.py$", name)}
        found: set[str] = set()
        waiting: list[str] = []
        for name in changed:
            patterns = next((tests_of for pattern, tests_of in REACHES if fnmatch(name, pattern)), None)
            if patterns is not None:
                found |= {test for test in tests if any(fnmatch(test, pattern) for pattern in patterns)}
            elif name.endswith(".py"):
                waiting.append(name)
            elif not name.startswith("."):
                return tests
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self.users[name]
        return found | (seen & tests)


def changed_files(root: Path) -> list[str]:
    """What differs from where this branch left main, and what is in no commit."""

    def git(*words: str) -> list[str]:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.splitlines()

    left = next(iter(git("merge-base", "HEAD", "origin/main") or git("merge-base", "HEAD", "main")), "HEAD")
    return sorted({*git("diff", "--name-only", left), *git("ls-files", "-o", "--exclude-standard")})


def reached_tests(root: Path, changed: list[str] | None = None) -> dict[str, list[str]]:
    """Tier -> its test files that the change can reach."""
    tiers: dict[str, list[str]] = defaultdict(list)
    for name in sorted(Tree(root).reached(changed_files(root) if changed is None else changed)):
        tiers[name.split("/")[1]].append(name)
    return dict(tiers)


if __name__ == "__main__":
    for tier, names in reached_tests(ROOT, sys.argv[1:] or None).items():
        print(f"{tier}: {len(names)}")
        print("\n".join(f"  {name}" for name in names))
