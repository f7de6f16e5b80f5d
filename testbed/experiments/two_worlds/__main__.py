"""`python -m testbed.experiments.two_worlds`: one scenario on the lab and in the simulator, and how far apart they are.

In: a scenario file, or the built-in one. Out: progress and tables on standard output, `report.html` and `report.json` in a new folder.
Exit code 0: both worlds ran (however far apart they are); 1: the measurement has a flaw; 2: it could not run; 130: interrupted. However
it ends, the lab is torn down. Every level is predicted before it is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.experiments.four_domain import ROOT, interruptible
from testbed.experiments.progress import Progress
from testbed.experiments.report import Check
from testbed.experiments.two_worlds import compare, in_simulator
from testbed.experiments.two_worlds.on_lab import Measured, OnLab, lab_of
from testbed.experiments.two_worlds.outcome import Constants
from testbed.experiments.two_worlds.report import Report, constants_in_words, document, lines, page
from testbed.experiments.two_worlds.scenario import DEFAULT, Scenario, load
from testbed.lab.images import image_spec
from testbed.lab.net import Lab

BUSY_SHARE = 0.85  # of the machine's cores; above it servants may not get the quota that was predicted with
LATE_MS = 10.0  # requests that leave later than this are not the open loop that was predicted


def run(lab: Lab, scenario: Scenario, say: Progress) -> Report:
    """Both worlds, on a lab that is up."""
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    on_lab = OnLab(lab, scenario, say)
    on_lab.start()
    on_lab.prepare()
    constants = on_lab.calibrate()
    for name, calibrated, documented in constants_in_words(constants, scenario):
        say(f"calibrated: {name}: {calibrated} (by documents {documented})")
    levels, measured = [], []
    for number in range(len(scenario.levels)):
        level, seen = _level(on_lab, scenario, constants, number, say)
        levels.append(level)
        measured.append(seen)
    machine = () if lab.machine is None else tuple(lab.machine.lines())
    return Report(started, scenario, constants, tuple(levels), _checks(levels, measured), machine, tuple(say.steps))


def _level(
    on_lab: OnLab, scenario: Scenario, constants: Constants, number: int, say: Progress
) -> tuple[compare.Level, Measured]:
    capacity = image_spec("firewall").capacity
    if capacity is None:
        raise RuntimeError("firewall: its vnf.toml states no capacity")
    arrivals = scenario.arrivals(number)
    predicted = in_simulator.predict(scenario, arrivals, constants, capacity.packets_pps, on_lab.dealt())
    requests = sum(map(len, arrivals.values()))
    say(f"{scenario.levels[number]:.0%} of capacity: {requests} requests in {scenario.duration_s:g} s; predicted")
    measured = on_lab.level(arrivals)
    level = compare.level(scenario, number, predicted, measured.outcome)
    p50 = level.latency_ms[compare.ALL, 50]
    say(f"measured; p50 {p50.measured} ms, predicted {p50.predicted} ms")
    return level, measured


def _checks(levels: Sequence[compare.Level], measured: Sequence[Measured]) -> tuple[Check, ...]:
    late_ms = max(each.late_ms for each in measured)
    busy = [each.busy for each in measured]
    inactive = sorted({name for each in measured for name in each.inactive})
    sent = [sum(pair.measured or 0 for pair in level.fates.values()) for level in levels]
    planned = [sum(pair.predicted or 0 for pair in level.fates.values()) for level in levels]
    return (
        Check("every planned request was sent", sent == planned, f"{sum(sent):.0f} of {sum(planned):.0f}"),
        Check("requests left when planned", late_ms <= LATE_MS, f"99 % within {late_ms:.1f} ms"),
        Check(
            "the machine had cores to spare",
            max(busy) <= BUSY_SHARE,
            f"busy {', '.join(f'{each:.0%}' for each in busy)}; at most {BUSY_SHARE:.0%}",
        ),
        Check("all instances stayed active", not inactive, ", ".join(inactive) or "all"),
    )


def write(report: Report, folder: Path) -> Path:
    """Write both forms; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(document(report), indent=2) + "\n")
    (folder / "report.html").write_text(page(report))
    return folder / "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one scenario on the lab and in the simulator, and say how far apart they are."""
    given = _parser().parse_args(arguments)
    progress = Progress()
    folder = given.output or ROOT / "results" / time.strftime("two-worlds-%Y%m%d-%H%M%S")
    try:
        scenario = DEFAULT if given.scenario is None else load(given.scenario)
    except ValueError as error:
        progress(f"could not run: {error}")
        return 2
    lab = lab_of(scenario, progress)
    with interruptible():
        try:
            with lab:
                report = run(lab, scenario, progress)
            written = write(report, folder)
        except KeyboardInterrupt:
            progress("interrupted; everything was torn down" if not lab.record.entries() else "interrupted")
            return 130
        except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
            progress(f"could not run: {error}")
            return 2
    progress("torn down")
    print("\n".join(lines(report)), flush=True)
    print(f"\nreport: {written}")
    return 0 if report.good and not lab.record.entries() else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed.experiments.two_worlds", description=main.__doc__)
    parser.add_argument("--scenario", type=Path, help="a TOML file (default: the four domains, three load levels)")
    parser.add_argument("--output", type=Path, help="folder of the report (default: results/two-worlds-TIME)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
