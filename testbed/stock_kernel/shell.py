"""Run shell commands for the checks; a command that fails ends its check with what it printed."""

import subprocess


class CheckFailed(Exception):
    """A check's expectation did not hold; the message says what was seen."""


def run(command: str, timeout_s: float = 120) -> str:
    """Return what a shell command printed, standard error included.

    Raises:
        CheckFailed: its exit code was not 0, or it took longer than `timeout_s`.
    """
    try:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as problem:
        raise CheckFailed(f"`{command}` took more than {timeout_s} s") from problem
    if done.returncode != 0:
        raise CheckFailed(f"`{command}` ended with {done.returncode}: {done.stdout.strip()[-400:]}")
    return done.stdout.strip()


def expect(condition: bool, seen: str) -> None:
    """End the check with `seen` unless `condition` holds."""
    if not condition:
        raise CheckFailed(seen)
