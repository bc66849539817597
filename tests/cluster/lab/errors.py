"""Errors of the test cluster.

LabError            something did not come up, or is missing; the message says what to do
├── BuildError      a program or an image could not be built; the message holds the end of its log
└── CommandError    a command ended with another code than 0; has code, stdout and stderr
"""

from __future__ import annotations

from collections.abc import Sequence


class LabError(Exception):
    """Something of the test cluster did not come up, or is missing."""


class BuildError(LabError):
    """A program or an image could not be built."""


class CommandError(LabError):
    """A command ended with another code than 0."""

    def __init__(self, argv: Sequence[str], code: int, stdout: str, stderr: str) -> None:
        super().__init__(f"{' '.join(argv)[:300]} ended with code {code}: {(stderr or stdout).strip()[-2000:]}")
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
