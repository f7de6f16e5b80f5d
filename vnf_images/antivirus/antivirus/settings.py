"""The antivirus's configuration file. In: TOML. Out: a policy, or Refused with the file, the member or line, and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomllib
from vnf.inline import Refused

from antivirus.content import Policy

_POLICIES = ("encrypted", "unreadable", "excessive")
_LIMITS = {"depth": (1, 16), "ratio": (2, 100_000), "unpacked_mib": (1, 1024), "signature_bytes": (64, 65536)}


def read_policy(path: Path) -> Policy:
    """The policy of a file. Raises Refused."""
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused(f"{path}: {error}") from None
    limits = table.get("limits", {})
    unknown = [*(table.keys() - {*_POLICIES, "limits"})]
    unknown += [f"limits.{key}" for key in limits.keys() - _LIMITS.keys()] if isinstance(limits, dict) else ["limits"]
    if unknown:
        raise Refused(f"{path}: unknown member {min(unknown)}")
    blocked = frozenset(name for name in _POLICIES if _choice(path, name, table.get(name)) == "block")
    depth, ratio, unpacked_mib, signature_bytes = (_whole(path, name, limits.get(name)) for name in _LIMITS)
    return Policy(blocked, depth, ratio, unpacked_mib << 20, signature_bytes)


def _choice(path: Path, name: str, value: Any) -> str:
    if value not in ("block", "pass"):
        raise Refused(f"{path}: {name} is {value!r}; expected 'block' or 'pass'")
    return str(value)


def _whole(path: Path, name: str, value: Any) -> int:
    low, high = _LIMITS[name]
    if type(value) is not int or not low <= value <= high:
        raise Refused(f"{path}: limits.{name} is {value!r}; expected a whole number from {low} to {high}")
    return value
