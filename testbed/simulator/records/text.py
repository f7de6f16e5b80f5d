"""Numbers as the text of CSV fields: whole columns at a time for the streams, one value at a time for rare rows.

In: values. Out: Arrow arrays of text, or text. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import pyarrow
from numpy.typing import NDArray

from testbed.simulator.records.tables import Kind

BOOLS = pyarrow.array(["False", "True"])


def field(value: Any, kind: Kind) -> str:
    """One value; nothing for None and NaN. Lists and mappings are written as Python writes them, as the original did."""
    if value is None or value == "" or (isinstance(value, float) and value != value):
        return ""
    if kind is Kind.TIME:
        return f"{float(value):.2f}"
    if kind is Kind.BOOL:
        return str(bool(value))
    if isinstance(value, float | numpy.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    if isinstance(value, str | int):  # most are: to ask about Mapping takes a hundred times as long
        return str(value)
    if isinstance(value, Mapping):
        return str(dict(value))
    if isinstance(value, Sequence):
        return str(list(value))
    return str(value)


def texts(values: NDArray[Any], kind: Kind) -> pyarrow.Array:
    """A column of numbers; NaN becomes null."""
    if kind is Kind.TIME:
        return times(values)
    if kind is Kind.INT:
        return pyarrow.array(values.astype(numpy.int64)).cast(pyarrow.string())
    if kind is Kind.BOOL:
        return BOOLS.take(pyarrow.array(values.astype(numpy.int8)))
    coded = pyarrow.array(numpy.ascontiguousarray(values), from_pandas=True).dictionary_encode()
    return coded.dictionary.cast(pyarrow.string()).take(coded.indices)


def times(values: NDArray[numpy.float64]) -> pyarrow.Array:
    """A column of times with two decimals; NaN becomes null."""
    missing = numpy.isnan(values)
    cents = numpy.rint(numpy.where(missing, 0.0, values) * 100).astype(numpy.int64)
    known = pyarrow.array(~missing).buffers()[1] if missing.any() else None
    decimals = pyarrow.Array.from_buffers(pyarrow.decimal64(18, 2), len(cents), [known, pyarrow.py_buffer(cents)])
    return decimals.cast(pyarrow.string())
