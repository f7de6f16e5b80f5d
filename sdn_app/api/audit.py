"""The audit log: a JSON line for every request that would change something, carried out or refused.

In: what was asked, by whom, and the answer's status. Out: a line appended to a file, or the log `sfc.audit` without
one. It shows the names of the body's members and a digest, never their values. A line that cannot be written does not
undo the request: the failure is logged.
"""

import json
import logging
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sdn_app.settings import SettingsError

LOG = logging.getLogger("sfc.audit")


@dataclass(frozen=True, slots=True)
class Record:
    """One mutating request. `time` is seconds since 1970."""

    time: float
    client: str
    role: str
    address: str
    method: str
    path: str
    status: int
    body: bytes
    members: tuple[str, ...]


class AuditLog:
    """Appends records, each with one write, so that lines of several processes do not mix."""

    def __init__(self, path: Path | None) -> None:
        """Raises:
        SettingsError: where the file cannot be opened.
        """
        try:
            self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise SettingsError("SFC_AUDIT_LOG", str(path), f"a file that can be written ({error})") from None

    def append(self, record: Record) -> None:
        """Writes the record."""
        line = json.dumps(
            {
                "time": record.time,
                "client": record.client,
                "role": record.role,
                "address": record.address,
                "method": record.method,
                "path": record.path,
                "status": record.status,
                "members": list(record.members),
                "body_sha256": sha256(record.body).hexdigest() if record.body else None,
            }
        )
        if self._file is None:
            LOG.info(line)
            return
        try:
            os.write(self._file, line.encode() + b"\n")
        except OSError:
            LOG.exception("cannot write the audit log; the line is: %s", line)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
