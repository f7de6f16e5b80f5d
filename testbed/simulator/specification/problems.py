"""What is wrong with an input file: problems with path, value and what was expected, all of them in one error.

In: places and values. Out: one SpecificationError. Must not do: know what any file is about.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN = 60  # characters of a value
MOST_SHOWN = 50  # problems in an error's text; `problems` has all


class _Missing:
    """The value of a key that is not there."""


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where ("vnf.cpu[2]"), what stands there, and what was expected."""

    path: str
    value: str
    expected: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.path, self.value, f"expected {self.expected}") if part)


class SpecificationError(ValueError):
    """All problems of one file."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file, self.problems = file, tuple(problems)
        head = f"{file}: " if file else ""
        if len(problems) == 1:
            super().__init__(f"{head}{problems[0]}")
        else:
            lines = [f"{head}{len(problems)} problems", *map(str, problems[:MOST_SHOWN])]
            if len(problems) > MOST_SHOWN:
                lines.append(f"and {len(problems) - MOST_SHOWN} more")
            super().__init__("\n  ".join(lines))


class Problems:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(self, path: str, value: object, expected: str) -> None:
        """One more."""
        self.found.append(Problem(path, shown(value), expected))

    def none_under(self, *paths: str) -> bool:
        """Whether nothing is wrong at or below these paths; what they hold may then be compared."""
        return not any(
            each.path in ("", path)
            or each.path.startswith((f"{path}.", f"{path}["))
            or path.startswith(f"{each.path}.")
            for each in self.found
            for path in paths
        )

    def close(self) -> None:
        """Raises:
        SpecificationError: anything was wrong.
        """
        if self.found:
            raise SpecificationError(self.file, self.found)


def shown(value: object) -> str:
    """A value as its file has it, cut where it is long."""
    if value is MISSING:
        return "missing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def read_json(path: Path | str) -> Any:
    """The value of a JSON file in UTF-8; NaN, Infinity and repeated keys are no JSON.

    Raises:
        SpecificationError: it cannot be read, or is not JSON; with line and column.
    """
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_distinct)
    except OSError as error:
        raise SpecificationError(file, [Problem("", f"{error.strerror}", "a file that can be read")]) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SpecificationError(file, [Problem(where, error.msg, "JSON")]) from error
    except (ValueError, RecursionError) as error:
        raise SpecificationError(file, [Problem("", str(error), "JSON in UTF-8")]) from error


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        )
    return members
