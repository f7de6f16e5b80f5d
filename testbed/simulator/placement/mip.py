"""A mixed-integer program, built in blocks of columns and entries, and solved by HiGHS.

In: costs, bounds, entries. Out: values, and how good they are proven to be. Must not do: know what the columns mean.

HiGHS (Huangfu and Hall, "Parallelizing the dual revised simplex method", Math. Prog. Comp. 2018) cannot share a process with
`ortools`. One thread: the same program gives the same answer, unless time runs out.
"""

import time
from dataclasses import dataclass

import highspy
import numpy
from numpy.typing import ArrayLike

from testbed.simulator.placement.network import Floats, Ints

ABSOLUTE_GAP = 1e-9


@dataclass(frozen=True, slots=True)
class Outcome:
    """`values` by column, None if none were found. `bound`: no solution is better; `gap`: (objective - bound) / objective."""

    values: Floats | None
    objective: float
    bound: float
    gap: float
    status: str
    seconds: float

    @property
    def optimal(self) -> bool:
        """Whether it is proven that nothing is better, to the gap allowed."""
        return self.status == "optimal"


class Mip:
    """A program to be minimised. Blocks are kept as arrays and joined when it is solved."""

    def __init__(self) -> None:
        self._costs: list[Floats] = []
        self._upper: list[Floats] = []
        self._integer: list[Ints] = []
        self._lows: list[Floats] = []
        self._highs: list[Floats] = []
        self._entries: list[tuple[Ints, Ints, Floats]] = []
        self.columns = self.rows = 0

    def add_columns(self, costs: ArrayLike, upper: float = 1.0, integer: bool | Ints = True) -> Ints:
        """Variables from 0 to `upper`; gives their numbers."""
        block = numpy.atleast_1d(numpy.asarray(costs, dtype=numpy.float64))
        self._costs.append(block)
        self._upper.append(numpy.full(len(block), upper))
        self._integer.append(numpy.broadcast_to(numpy.asarray(integer, dtype=numpy.int64), len(block)))
        self.columns += len(block)
        return numpy.arange(self.columns - len(block), self.columns)

    def add_rows(self, count: int, low: float, high: float) -> Ints:
        """Constraints, empty so far; gives their numbers."""
        self._lows.append(numpy.full(count, low))
        self._highs.append(numpy.full(count, high))
        self.rows += count
        return numpy.arange(self.rows - count, self.rows)

    def add_entries(self, rows: ArrayLike, columns: ArrayLike, values: ArrayLike) -> None:
        """Factors of columns in rows; the three are broadcast to one shape."""
        row, column, value = numpy.broadcast_arrays(
            numpy.asarray(rows, dtype=numpy.int64),
            numpy.asarray(columns, dtype=numpy.int64),
            numpy.asarray(values, dtype=numpy.float64),
        )
        self._entries.append((row.ravel(), column.ravel(), value.ravel()))

    def add_row(self, columns: ArrayLike, values: ArrayLike, low: float, high: float) -> None:
        """One constraint at once."""
        self.add_entries(self.add_rows(1, low, high), columns, values)

    def cost_of(self, values: Floats) -> float:
        """Objective of some values."""
        return float(numpy.concatenate(self._costs) @ values)

    def solve(self, time_limit_s: float, gap: float, start: Floats | None = None) -> Outcome:
        """Minimise, beginning with values that are feasible if there are any."""
        began = time.perf_counter()
        solver = highspy.Highs()
        options = {
            "output_flag": False,
            "threads": 1,
            "time_limit": max(time_limit_s, 0.01),
            "mip_rel_gap": gap,
            "mip_abs_gap": ABSOLUTE_GAP,
        }
        for name, value in options.items():
            solver.setOptionValue(name, value)
        if solver.passModel(self._model()) == highspy.HighsStatus.kError:
            raise ValueError("HiGHS does not take the program")
        if start is not None:
            solution = highspy.HighsSolution()
            solution.col_value = start.tolist()
            solver.setSolution(solution)
        solver.run()
        info, status = solver.getInfo(), solver.getModelStatus()
        found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        objective = float(info.objective_function_value) if found else numpy.inf
        optimal = status == highspy.HighsModelStatus.kOptimal
        bound = float(info.mip_dual_bound) if self.columns else objective
        missing = max(0.0, objective - bound)
        return Outcome(
            numpy.array(solver.getSolution().col_value) if found else None,
            objective,
            bound,
            0.0 if missing <= ABSOLUTE_GAP else missing / abs(objective) if objective else numpy.inf,
            "optimal" if optimal else solver.modelStatusToString(status).lower(),
            time.perf_counter() - began,
        )

    def _model(self) -> "highspy.HighsLp":
        rows, columns, values = (numpy.concatenate(part) for part in zip(*self._entries, strict=True))
        order = numpy.lexsort((rows, columns))
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = self.columns, self.rows
        model.col_cost_ = numpy.concatenate(self._costs)
        model.col_lower_ = numpy.zeros(self.columns)
        model.col_upper_ = numpy.concatenate(self._upper)
        model.row_lower_ = numpy.concatenate(self._lows)
        model.row_upper_ = numpy.concatenate(self._highs)
        kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
        model.integrality_ = [kinds[each] for each in numpy.concatenate(self._integer)]
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = numpy.concatenate(([0], numpy.cumsum(numpy.bincount(columns, minlength=self.columns))))
        model.a_matrix_.index_ = rows[order]
        model.a_matrix_.value_ = values[order]
        return model
