"""The configuration file. In: TOML text. Out: a typed Config, or ConfigRefused with the line and the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tomllib


class ConfigRefused(ValueError):
    """The configuration cannot be used; the message has the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """SpamAssassin scores: from `tag` a message is marked, from `reject` it is refused."""

    tag: float = 5.0
    reject: float = 10.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do where there is a choice; the first of a member's `CHOICES` is the default."""

    spamd_down: str = "closed"
    starttls: str = "strip"
    bare_newlines: str = "reject"
    beyond_scan: str = "head"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds. `scan_bytes` is what SpamAssassin gets of a message, `buffer_bytes` what all messages together may take."""

    scan_bytes: int = 512 << 10
    message_bytes: int = 25 << 20
    header_bytes: int = 128 << 10
    line_bytes: int = 64 << 10
    buffer_bytes: int = 96 << 20
    connections: int = 256
    scans: int = 3
    scan_s: int = 60
    connect_s: int = 30
    command_s: int = 300
    data_s: int = 180
    reply_s: int = 600
    drain_s: int = 8


@dataclass(frozen=True, slots=True)
class Config:
    """All that the file may say."""

    thresholds: Thresholds = Thresholds()
    policy: Policy = Policy()
    limits: Limits = Limits()


CHOICES = {
    "spamd_down": ("closed", "open"),
    "starttls": ("strip", "pass"),
    "bare_newlines": ("reject", "normalise"),
    "beyond_scan": ("head", "pass", "reject"),
}


def load(path: Path) -> Config:
    """The file's configuration. Raises ConfigRefused."""
    try:
        return parse(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{path}: {error}") from None
    except ConfigRefused as error:
        raise ConfigRefused(f"{path}:{error}") from None


def parse(text: str) -> Config:
    """The configuration; members that are missing have their defaults. Raises ConfigRefused, which begins with the line."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ConfigRefused(f"{line[1] if line else len(text.splitlines())}: {error}") from None
    sections = {"thresholds": Thresholds, "policy": Policy, "limits": Limits}
    for name in table:
        if name not in sections:
            raise _refused(text, "", name, f"unknown member; expected one of {', '.join(sections)}")
    config = Config(**{name: _section(text, name, make, table.get(name, {})) for name, make in sections.items()})
    if config.thresholds.tag > config.thresholds.reject:
        raise _refused(text, "thresholds", "tag", "is above thresholds.reject")
    return config


def _section(text: str, name: str, make: Any, given: object) -> Any:
    if not isinstance(given, dict):
        raise _refused(text, "", name, "expected a table")
    known = [member.name for member in fields(make)]
    for key, value in given.items():
        if key not in known:
            raise _refused(text, name, key, f"unknown member; expected one of {', '.join(known)}")
        wrong = _wrong(name, key, value)
        if wrong:
            raise _refused(text, name, key, f"is {value!r}; expected {wrong}")
    return make(**given)


def _wrong(section: str, key: str, value: object) -> str:
    """What was expected instead of `value`, empty where it is right."""
    if section == "policy":
        return "" if value in CHOICES[key] else f"one of {', '.join(CHOICES[key])}"
    if section == "thresholds":
        right = isinstance(value, int | float) and not isinstance(value, bool) and -1000 <= value <= 1000
        return "" if right else "a number from -1000 to 1000"
    right = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1 << 31
    return "" if right else "a whole number above 0"


def _refused(text: str, section: str, key: str, reason: str) -> ConfigRefused:
    inside, member = "", re.compile(rf"\s*(\[\s*)?[\"']?{re.escape(key)}[\"']?\s*[\].=]")
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([^\]]*?)\s*\]", line)
        if header and section:
            inside = header[1].strip("\"'")
        elif inside == section and member.match(line):
            return ConfigRefused(f"{number}: {f'{section}.{key}'.lstrip('.')} {reason}")
    return ConfigRefused(f"1: {f'{section}.{key}'.lstrip('.')} {reason}")
