"""`python -m testbed.bench`: run the measures, print the table. Needs root and Open vSwitch."""

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from testbed.bench.functions import measure_functions
from testbed.bench.lab import bench_lab
from testbed.bench.measures import FULL, MEASURES, NAMES, QUICK, generator, to_json
from testbed.bench.simulator import measure_simulator
from testbed.bench.table import Row, render


def machine_line() -> str:
    """Cores, kernel, Open vSwitch, datapath."""
    said = subprocess.run(["ovs-vsctl", "--version"], capture_output=True, text=True, check=True).stdout
    version = said.splitlines()[0].rpartition(" ")[2]
    there = Path("/sys/module/openvswitch").exists()
    datapath = "kernel" if there else "user space"
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Open vSwitch {version}, datapath: {datapath}"


def main() -> int:
    """Run it; the exit code is 1 where an aim was not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: one short repetition of each")
    parser.add_argument("--only", action="append", choices=NAMES, help="this measure only; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON too")
    options = parser.parse_args()
    effort, names, began = QUICK if options.quick else FULL, options.only or NAMES, time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", file=sys.stderr, flush=True)

    rows: list[Row] = []
    if "generator" in names:
        rows += generator(effort, say)
    wanted = [name for name in MEASURES if name in names]
    if wanted:
        with bench_lab(say) as lab:
            for name in wanted:
                rows += MEASURES[name](lab, effort, say)
            machine = machine_line()
    else:
        machine = machine_line()
    if "functions" in names:
        rows += measure_functions(effort.seconds, effort.repeats, effort.requests, say)
    if "simulator" in names:
        rows += measure_simulator(effort.repeats, options.quick, say)
    print(machine)
    print(render(rows))
    if options.json:
        Path(options.json).write_text(to_json(rows, machine) + "\n")
    missed = [row for row in rows if row.met is False]
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; everything was ended")
