"""Why a stream cannot be judged, or may not pass whatever the lists say."""

from __future__ import annotations


class Refused(ValueError):
    """`reason` is a label of few values (a metric), `detail` says it in words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def malformed_request(detail: str) -> Refused:
    """A request that servers could read in more than one way."""
    return Refused("malformed-request", detail)


def malformed_hello(detail: str) -> Refused:
    """A TLS beginning that is not one."""
    return Refused("malformed-hello", detail)
