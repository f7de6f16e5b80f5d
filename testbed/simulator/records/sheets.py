"""Files of rows: CSV or Parquet, written block by block.

In: rows with numbers for names, or rows of values. Out: a file with the table's header, even without rows. The memory that a sheet
takes does not grow with its rows.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray

from testbed.simulator.records.names import SEPARATOR, Vocabulary
from testbed.simulator.records.tables import Kind, kind_of
from testbed.simulator.records.text import field, texts

ROW_GROUP = 250_000
TYPES = {
    Kind.TEXT: pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
    Kind.INT: pyarrow.int64(),
    Kind.FLOAT: pyarrow.float64(),
    Kind.TIME: pyarrow.float64(),
    Kind.BOOL: pyarrow.bool_(),
}
CONVERT: dict[Kind, Callable[[Any], object]] = {
    Kind.INT: int,
    Kind.FLOAT: float,
    Kind.TIME: lambda value: round(float(value), 2),
    Kind.BOOL: bool,
}
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where columns of a file come from: a column of numbers as it is, or names by number (`vocabulary`)."""

    column: str
    headers: tuple[str, ...]
    vocabulary: Vocabulary | None = None

    def text(self, columns: Columns) -> pyarrow.Array:
        """The fields of a CSV row that it gives."""
        if self.vocabulary is None:
            return texts(columns[self.column], kind_of(self.headers[0]))
        return self.vocabulary.joined(self.headers).take(pyarrow.array(columns[self.column].astype(numpy.int32)))

    def arrays(self, columns: Columns, rows: NDArray[Any]) -> list[pyarrow.Array]:
        """The columns of a Parquet file that it gives."""
        values = columns[self.column][rows]
        if self.vocabulary is not None:
            numbers = values.astype(numpy.int32)
            return [self.vocabulary.coded(header, numbers) for header in self.headers]
        kind = kind_of(self.headers[0])
        if kind is Kind.TIME:
            values = numpy.rint(values * 100) / 100
        elif kind is not Kind.FLOAT:
            values = values.astype(numpy.int64 if kind is Kind.INT else bool)
        return [pyarrow.array(values, TYPES[kind], from_pandas=True)]


class Sheet(Protocol):
    """A file that rows are added to."""

    def records(self, columns: Columns, sources: Sequence[Source]) -> None:
        """A row for each record."""

    def rows(
        self,
        time: NDArray[Any],
        event: pyarrow.DictionaryArray,
        record: NDArray[Any],
        columns: Columns,
        sources: Sequence[Source],
    ) -> None:
        """Rows of an event and a time each, with the fields of its record."""

    def values(self, rows: Sequence[Sequence[object]]) -> None:
        """Rows given value by value, in the header's order."""

    def close(self) -> None:
        """Write what is still held."""


class CsvSheet:
    """A file with `;` between fields. Every block is in the file when the call is over."""

    suffix = ".csv"

    def __init__(self, path: Path, header: tuple[str, ...]) -> None:
        self._kinds = [kind_of(name) for name in header]
        self._file = path.with_name(path.name + self.suffix).open("wb")
        self._write((SEPARATOR.join(header) + "\n").encode())

    def records(self, columns: Columns, sources: Sequence[Source]) -> None:
        self._put(_lines([source.text(columns) for source in sources]))

    def rows(
        self,
        time: NDArray[Any],
        event: pyarrow.DictionaryArray,
        record: NDArray[Any],
        columns: Columns,
        sources: Sequence[Source],
    ) -> None:
        lines = _lines([source.text(columns) for source in sources])
        what = event.dictionary.take(event.indices)
        self._put(_join([what, texts(time, Kind.TIME), lines.take(pyarrow.array(record))], SEPARATOR))

    def values(self, rows: Sequence[Sequence[object]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=SEPARATOR, lineterminator="\n")
        writer.writerows([field(*pair) for pair in zip(row, self._kinds, strict=True)] for row in rows)
        self._write(text.getvalue().encode())

    def close(self) -> None:
        self._file.close()

    def _put(self, lines: pyarrow.Array) -> None:
        _, offsets, data = lines.buffers()
        self._write(memoryview(data)[: numpy.frombuffer(offsets, numpy.int32)[len(lines)]])

    def _write(self, text: bytes | memoryview) -> None:
        self._file.write(text)
        self._file.flush()


class ParquetSheet:
    """A Parquet file, readable once it is closed; rows are held until they fill a row group."""

    suffix = ".parquet"

    def __init__(self, path: Path, header: tuple[str, ...]) -> None:
        self._header, self._kinds = header, [kind_of(name) for name in header]
        self._schema = pyarrow.schema([(name, TYPES[kind]) for name, kind in zip(header, self._kinds, strict=True)])
        self._writer = pyarrow.parquet.ParquetWriter(path.with_name(path.name + self.suffix), self._schema)
        self._held: list[pyarrow.Table] = []

    def records(self, columns: Columns, sources: Sequence[Source]) -> None:
        every = numpy.arange(len(columns[sources[0].column]))
        self._put([array for source in sources for array in source.arrays(columns, every)])

    def rows(
        self,
        time: NDArray[Any],
        event: pyarrow.DictionaryArray,
        record: NDArray[Any],
        columns: Columns,
        sources: Sequence[Source],
    ) -> None:
        fields = [array for source in sources for array in source.arrays(columns, record)]
        self._put([event, pyarrow.array(numpy.rint(time * 100) / 100), *fields])

    def values(self, rows: Sequence[Sequence[object]]) -> None:
        columns = zip(*rows, strict=True) if rows else ()
        self._put([_typed(column, kind) for column, kind in zip(columns, self._kinds, strict=False)])

    def close(self) -> None:
        self._write()
        self._writer.close()

    def _put(self, arrays: list[pyarrow.Array]) -> None:
        if arrays:
            self._held.append(pyarrow.table(arrays, names=list(self._header)))
        if sum(each.num_rows for each in self._held) >= ROW_GROUP:
            self._write()

    def _write(self) -> None:
        if self._held:
            self._writer.write_table(pyarrow.concat_tables(self._held).unify_dictionaries())
            self._held.clear()


def _typed(column: Sequence[Any], kind: Kind) -> pyarrow.Array:
    """Values of one column; None and empty text are null."""
    if kind is Kind.TEXT:
        return pyarrow.array([field(value, kind) for value in column], pyarrow.string()).dictionary_encode()
    given = [None if value is None or value == "" else CONVERT[kind](value) for value in column]
    return pyarrow.array(given, TYPES[kind], from_pandas=True)


def _join(fields: Sequence[pyarrow.Array], separator: str) -> pyarrow.Array:
    return pyarrow.compute.binary_join_element_wise(*fields, separator, null_handling="replace", null_replacement="")


def _lines(fields: Sequence[pyarrow.Array]) -> pyarrow.Array:
    return _join([_join(fields, SEPARATOR), pyarrow.scalar("")], "\n")


def warm_up() -> None:
    """Have Arrow load the functions that rows need: their first use takes longer than thousands of rows do."""
    one = numpy.zeros(1)
    lines = _lines([texts(one, kind) for kind in (Kind.INT, Kind.FLOAT, Kind.TIME, Kind.BOOL)])
    _join([lines.take(pyarrow.array([0])), lines], SEPARATOR)


SHEETS: dict[str, type[CsvSheet] | type[ParquetSheet]] = {"csv": CsvSheet, "parquet": ParquetSheet}
