"""Reads settings from the environment. In: variables. Out: typed values, or one line that names what is wrong, and exit 2."""

from __future__ import annotations

import ipaddress
import os
import sys

from vnf.log import log
from vnf.plumbing import split


def stop(event: str, **facts: object) -> None:
    """Say why the function cannot start and end with status 2."""
    log(event, **facts)
    sys.exit(2)


def addresses(variable: str) -> tuple[str, ...]:
    """The IPv4 addresses, with prefix lengths, of a required variable."""
    given = split(os.environ.get(variable, ""))
    if not given:
        stop("setting missing", variable=variable, expected="an IPv4 address, with /prefix")
    for address in given:
        try:
            ipaddress.IPv4Interface(address)
        except ValueError as error:
            stop(
                "setting wrong",
                variable=variable,
                value=address,
                expected="an IPv4 address, with /prefix",
                error=str(error),
            )
    return given


def number(variable: str, default: float, lowest: float, highest: float) -> float:
    """The number in a variable, `default` when it is not set."""
    text = os.environ.get(variable) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not lowest <= value <= highest:
        stop("setting wrong", variable=variable, value=text, expected=f"a number from {lowest:g} to {highest:g}")
    return value
