"""Run all checks in order, each on its own: a failure is reported and the next check goes on."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from testbed.stock_kernel import dataplane, system
from testbed.stock_kernel.shell import CheckFailed, run

COMMANDS_FILE = Path(".stock-kernel-commands")
IMAGES_FILE = Path("/srv/images.tar")

Check = tuple[str, Callable[[], str]]


def load_images() -> str:
    """Give Docker the images that came along, so that no network is needed to build them."""
    if not IMAGES_FILE.exists():
        return "none came along: the set-up script or the lab makes its own"
    return run(f"docker load --quiet --input {IMAGES_FILE}", timeout_s=900).replace("\n", " ")


def shown(command: str) -> str:
    """Run a command of the checkout with its output shown; the detail is its last line."""
    process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(f"  | {line}", end="")
        last = line.strip() or last
    if process.wait() != 0:
        raise CheckFailed(f"exit code {process.returncode}: {last}")
    return last


def plan() -> list[Check]:
    """Return the checks in the order in which they run."""
    commands = [line for line in COMMANDS_FILE.read_text().splitlines() if line] if COMMANDS_FILE.exists() else []
    return [
        *system.CHECKS,
        ("scripts/setup in the machine", lambda: shown("./scripts/setup")),
        *dataplane.CHECKS,
        ("Docker started by systemd", system.docker),
        ("Docker images loaded", load_images),
        *((command, lambda command=command: shown(command)) for command in commands),
    ]


def main() -> int:
    """Run the plan, print the table, and return the exit code."""
    rows: list[tuple[str, str, float, str]] = []
    for name, check in plan():
        print(f"... {name}", flush=True)
        started = time.monotonic()
        try:
            verdict, detail = "pass", check()
        except Exception as problem:  # any failure of a check is a row of the table; the next check must still run
            verdict, detail = "FAIL", f"{problem}" if isinstance(problem, CheckFailed) else repr(problem)
        rows.append((verdict, name, time.monotonic() - started, detail))
        print(f"    {verdict}: {detail}", flush=True)
    width = max(len(name) for _, name, _, _ in rows)
    print(f"\n{'':4}  {'check':{width}}  {'time':>7}  detail")
    for verdict, name, seconds, detail in rows:
        print(f"{verdict}  {name:{width}}  {seconds:6.1f}s  {' '.join(detail.split())[:160]}")
    failed = sum(verdict == "FAIL" for verdict, *_ in rows)
    print(f"stock-kernel: {len(rows) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
