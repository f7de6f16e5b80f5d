"""The progress bar of a simulation: simulated time, packets a second, time left.

In: what rounds tell. Out: a line on standard error, where that is a terminal or asked for. Must not do: print results.
"""

from types import TracebackType
from typing import Self

from tqdm import tqdm


class Bar:
    """Sums up rounds that may run at the same time."""

    def __init__(self, total_time: float, rounds: int, quiet: bool) -> None:
        self._times: dict[int, float] = {}
        self._packets: dict[int, int] = {}
        form = "{l_bar}{bar}| {n:.0f}/{total:.0f} ms simulated [{elapsed}<{remaining}{postfix}]"
        self._bar = tqdm(total=total_time * rounds, bar_format=form, disable=True if quiet else None, leave=False)

    def told(self, number: int, time: float, packets: int) -> None:
        """A round is at this simulated time, with so many packets."""
        self._times[number], self._packets[number] = time, packets
        elapsed = self._bar.format_dict["elapsed"] if not self._bar.disable else 0.0
        total = sum(self._packets.values())
        if elapsed:
            self._bar.set_postfix_str(f"{total:,} packets, {total / elapsed:,.0f}/s", refresh=False)
        self._bar.update(sum(self._times.values()) - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
