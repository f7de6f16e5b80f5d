"""Typed settings of the controller, read once from environment variables that start with `SFC_`.

In: a mapping of environment variables. Out: one frozen `Settings`, or a `SettingsError` that names the variable, its
value and what was expected. It opens nothing: that a file exists is seen by whoever opens it. Configuration holds no
run-time state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Any


class SettingsError(ValueError):
    """A setting that cannot be used: the variable, its value and what was expected."""

    def __init__(self, variable: str, value: str, expected: str) -> None:
        super().__init__(f"{variable}: {value!r}: expected {expected}")
        self.variable, self.value, self.expected = variable, value, expected


@dataclass(frozen=True, slots=True)
class Number:
    """The range of a numeric setting, both ends included."""

    least: float
    greatest: float


def _number(variable: str, default: float, least: float, greatest: float) -> Any:
    return field(default=default, metadata={"variable": variable, "range": Number(least, greatest)})


def _text(variable: str, default: object) -> Any:
    return field(default=default, metadata={"variable": variable})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that may be set. A name carries its unit; the variable of each stands beside it."""

    rest_host: str = _text("SFC_REST_HOST", "127.0.0.1")
    rest_port: int = _number("SFC_REST_PORT", 8080, 1, 65535)
    openflow_host: str = _text("SFC_OPENFLOW_HOST", "127.0.0.1")
    openflow_port: int = _number("SFC_OPENFLOW_PORT", 6653, 1, 65535)
    api_keys_file: Path | None = _text("SFC_API_KEYS_FILE", None)  # noqa: RUF009 (a field)
    rate_limit_rps: float = _number("SFC_RATE_LIMIT_RPS", 1000.0, 0.1, 1_000_000)
    rate_burst_requests: int = _number("SFC_RATE_BURST_REQUESTS", 2000, 1, 1_000_000)
    audit_log: Path | None = _text("SFC_AUDIT_LOG", None)  # noqa: RUF009 (a field)
    database: Path = _text("SFC_DATABASE", Path("sfc.sqlite"))  # noqa: RUF009 (a field)
    probe_interval_s: float = _number("SFC_PROBE_INTERVAL_S", 1.0, 0.05, 3600)
    probe_timeout_s: float = _number("SFC_PROBE_TIMEOUT_S", 0.5, 0.01, 60)
    probe_failures: int = _number("SFC_PROBE_FAILURES", 3, 1, 100)
    probe_successes: int = _number("SFC_PROBE_SUCCESSES", 1, 1, 100)
    packet_in_rate_pps: int = _number("SFC_PACKET_IN_RATE_PPS", 20_000, 1, 10_000_000)
    discovery_interval_s: float = _number("SFC_DISCOVERY_INTERVAL_S", 2.0, 0.1, 3600)
    path_idle_s: int = _number("SFC_PATH_IDLE_S", 300, 1, 86_400)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings in `environment`; what is not set there has its default.

        Raises:
            SettingsError: at the first variable that cannot be used.
        """
        values: dict[str, Any] = {}
        for item in fields(cls):
            variable = item.metadata["variable"]
            if variable in environment:
                values[item.name] = _parse(variable, environment[variable], str(item.type), item.metadata.get("range"))
        settings = cls(**values)
        if settings.probe_timeout_s > settings.probe_interval_s:
            expected = f"at most the probe interval, {settings.probe_interval_s} s"
            raise SettingsError("SFC_PROBE_TIMEOUT_S", str(settings.probe_timeout_s), expected)
        if not is_loopback(settings.rest_host) and settings.api_keys_file is None:
            expected = "a loopback address, or API keys (SFC_API_KEYS_FILE)"
            raise SettingsError("SFC_REST_HOST", settings.rest_host, expected)
        return settings


def is_loopback(host: str) -> bool:
    """True where only this machine can connect to a socket that is bound to `host`."""
    return ip_address(host).is_loopback


def _parse(variable: str, text: str, kind: str, limits: Number | None) -> Any:
    if limits is not None:
        return _parse_number(variable, text, kind, limits)
    if "Path" in kind:
        if not text or "\0" in text:
            raise SettingsError(variable, text, "the path of a file")
        return Path(text)
    try:
        return str(ip_address(text))
    except ValueError:
        raise SettingsError(variable, text, "an IP address to bind to") from None


def _parse_number(variable: str, text: str, kind: str, limits: Number) -> int | float:
    whole = "int" in kind
    expected = f"{'a whole number' if whole else 'a number'} from {limits.least:g} to {limits.greatest:g}"
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        raise SettingsError(variable, text, expected) from None
    if not isfinite(value) or not limits.least <= value <= limits.greatest:
        raise SettingsError(variable, text, expected)
    return value
