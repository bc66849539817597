"""Contract errors: each names the field, says what was there and what is allowed.

ContractError          one or more fields do not fit
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from .base import field_path

_WORDS = {"instructions", "authToken", "apiKeySecret", "apiKey"}  # fields whose text is never repeated in a message


class ContractError(ValueError):
    """A document does not fit the contract. `problems` has one line per field: `path: what was there; what is allowed`."""

    def __init__(self, what: str, problems: list[str]) -> None:
        self.what = what
        self.problems = problems
        super().__init__(f"{what}: " + "; ".join(problems))


def _shown(field: object, value: Any) -> str:
    if field in _WORDS and isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, dict):
        return "an object"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def from_validation(what: str, error: ValidationError) -> ContractError:
    """Turns pydantic's findings into our one-line form."""
    problems = []
    for finding in error.errors(include_url=False):
        location = finding["loc"]
        field = location[-1] if location else ""
        match finding["type"]:
            case "missing":
                text = "missing; it is required"
            case "extra_forbidden":
                text = f"{_shown(field, finding['input'])} given, but there is no such field; remove it or check its spelling"
            case "value_error":
                text = str(finding["ctx"]["error"])
            case "json_invalid":
                text = f"not JSON ({finding['ctx']['error']})"
            case _:
                allowed = finding["msg"][0].lower() + finding["msg"][1:]
                text = f"{_shown(field, finding['input'])} given; {allowed}"
        problems.append(f"{field_path(location)}: {text}")
    return ContractError(what, problems)
