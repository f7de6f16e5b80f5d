"""Reads a file of `;`-separated lines with a header, one at a time, and says which line is wrong and how.

In: a file and its columns. Out: lines with fields as names or numbers; what is wrong is raised at `close`, or as soon as it is more than
anyone reads. Must not do: hold the file in memory.
"""

import math
from collections.abc import Collection, Iterator
from pathlib import Path

from testbed.simulator.specification.problems import Problem, Problems, SpecificationError

MOST_PROBLEMS = 20
SEPARATOR = ";"


class Line:
    """One line, as text fields."""

    __slots__ = ("_fields", "_reader", "at")

    def __init__(self, reader: "LineReader", at: int, fields: list[str]) -> None:
        self._reader, self.at, self._fields = reader, at, fields

    def name(self, column: int, known: Collection[str], what: str) -> str:
        """A field that is one of the known names."""
        text = self._fields[column].strip()
        if text not in known:
            self._wrong(column, text, f"a {what} that there is")
        return text

    def number(self, column: int, more_than: float = -math.inf) -> float:
        """A field that is a finite number of at least 0, and more than a bound."""
        text = self._fields[column]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 <= value < math.inf and value > more_than):
            self._wrong(
                column, text, "a number of at least 0" if more_than < 0 else f"a number greater than {more_than:g}"
            )
        return value

    def _wrong(self, column: int, text: str, expected: str) -> None:
        self._reader.wrong(f"line {self.at}, {self._reader.header[column]}", text, expected)


class LineReader:
    """Iterates over the lines after the header; blank ones are skipped."""

    def __init__(self, path: Path | str, header: tuple[str, ...]) -> None:
        self._path, self.header = Path(path), header
        self._problems = Problems(str(path))

    def __iter__(self) -> Iterator[Line]:
        try:
            with self._path.open(encoding="utf-8-sig") as file:
                titles = [title.strip() for title in file.readline().rstrip("\r\n").split(SEPARATOR)]
                if titles != list(self.header):
                    self.wrong("line 1", SEPARATOR.join(titles), f"the header {SEPARATOR.join(self.header)}")
                    return
                for at, text in enumerate(file, 2):
                    fields = text.rstrip("\r\n").split(SEPARATOR)
                    if len(fields) == len(self.header):
                        yield Line(self, at, fields)
                    elif text.strip():
                        self.wrong(
                            f"line {at}", text.strip(), f"{len(self.header)} fields, {SEPARATOR.join(self.header)}"
                        )
        except (OSError, UnicodeDecodeError) as error:
            said = str(error.strerror if isinstance(error, OSError) else error)
            raise SpecificationError(str(self._path), [Problem("", said, "a text file in UTF-8")]) from error

    def wrong(self, path: str, value: object, expected: str) -> None:
        """One more problem.

        Raises:
            SpecificationError: there are as many as are shown.
        """
        self._problems.add(path, value, expected)
        if len(self._problems.found) >= MOST_PROBLEMS:
            self.close()

    def close(self) -> None:
        """Raises:
        SpecificationError: anything was wrong.
        """
        self._problems.close()
