"""Results as pandas frames, whatever they were written as.

In: a results folder: Entities and Round_0, Round_1, ... with CSV or Parquet files; CSV of the original simulator too. Out: frames in
order of time, oldest first. Names are categories, as the same few stand in millions of rows; lists are text as Python writes them.
Must not do: change the folder.
"""

import ast
import re
from pathlib import Path

import pandas
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from testbed.simulator.records.names import SEPARATOR
from testbed.simulator.records.sheets import TYPES
from testbed.simulator.records.tables import ENTITY_TABLES, ROUND_TABLES, kind_of


def rounds(results: Path) -> list[Path]:
    """The folders of a run's rounds, by number.

    Raises:
        FileNotFoundError: the folder holds none.
    """
    found = [
        (int(match[1]), each) for each in results.glob("Round_*") if (match := re.fullmatch(r"Round_(\d+)", each.name))
    ]
    if not found:
        raise FileNotFoundError(f"{results}: no Round_N folder in it: expected a results folder of the simulator")
    return [each for _, each in sorted(found)]


def entities(results: Path, table: str) -> pandas.DataFrame:
    """A file of the folder Entities, by its name without suffix."""
    return _frame(results / "Entities", table, ENTITY_TABLES[table])


def table(round_folder: Path, name: str, columns: list[str] | None = None) -> pandas.DataFrame:
    """A file of a round, by its name without suffix; some of its columns, or all."""
    frame = _frame(round_folder, name, ROUND_TABLES[name], columns)
    by = next((each for each in ("Time", "Created_At") if each in frame.columns), None)
    if by is None or frame[by].is_monotonic_increasing:
        return frame
    if frame[by].iloc[0] > frame[by].iloc[-1]:  # newest first, as the original wrote
        frame = frame.iloc[::-1]
    return frame.sort_values(by, kind="stable", ignore_index=True)


def names(text: object) -> list[str]:
    """A field that holds a list of names ("['v_1', 'v_2']"); empty where there is none."""
    return [str(each) for each in ast.literal_eval(text)] if isinstance(text, str) and text else []


def _frame(folder: Path, name: str, header: tuple[str, ...], columns: list[str] | None = None) -> pandas.DataFrame:
    parquet, text = folder / f"{name}.parquet", folder / f"{name}.csv"
    if parquet.exists():
        return pyarrow.parquet.read_table(parquet, columns=columns).to_pandas()
    if not text.exists():
        raise FileNotFoundError(f"{text}: no such file, nor {parquet.name}")
    read = pyarrow.csv.read_csv(
        text,
        parse_options=pyarrow.csv.ParseOptions(delimiter=SEPARATOR),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={each: TYPES[kind_of(each)] for each in header},
            include_columns=columns,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["True", "1"],
            false_values=["False", "0"],
        ),
    )
    return read.to_pandas()
