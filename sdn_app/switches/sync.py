"""Bring switches to what is desired. The only module that writes flow, group and meter entries to switches.

In: channels (one per connected switch) and the desired `SwitchRules` per datapath id. Out: ordered messages with
barriers between the phases, over all switches together; what is installed is read back when a switch connects, so that
a restarted controller changes only what differs. A switch that does not answer in time is left out and read back when
it returns.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import eventlet
from eventlet.event import Event

from sdn_app.openflow import codec
from sdn_app.rules import pipeline as p
from sdn_app.rules.entries import Flow, Group, Meter, SwitchRules
from sdn_app.switches.diff import PHASES, Change, apply, diff

LOG = logging.getLogger(__name__)
PHASE_S, PHASE_S_PER_MESSAGE = 1.0, 0.001  # what a switch has for a phase before the others go on without it
BATCH = 200  # messages between two looks at the clock and the other green threads


class Channel(Protocol):
    """What a connected switch must offer: bytes out, False when it is closed or its buffer is full."""

    def send_raw(self, buf: bytes) -> bool: ...


@dataclass(slots=True)
class _Switch:
    dpid: int
    channel: Channel
    installed: SwitchRules | None = None  # None until read back
    barriers: dict[int, Event] = field(default_factory=dict)
    reading: dict[int, tuple[list[Any], Event]] = field(default_factory=dict)
    sent: dict[int, tuple[Change, list[Change]]] = field(
        default_factory=dict
    )  # xid -> change, and where to note a refusal


class Sync:
    """Installed state of all connected switches, and the way to change it."""

    def __init__(self, deadline_s: float = 5.0, on_error: Callable[[int, str], None] | None = None) -> None:
        self._switches: dict[int, _Switch] = {}
        self._xids = itertools.count(0x5FC00000)
        self._deadline_s = deadline_s
        self._on_error = on_error or (lambda dpid, text: None)
        self.messages = 0

    def xid(self) -> int:
        """The next transaction id."""
        return next(self._xids) & 0xFFFFFFFF

    # switches come and go -------------------------------------------------------------------------------------------
    def connected(self, dpid: int, channel: Channel) -> None:
        """A switch is there (again). `read_back` has to follow before anything is applied to it."""
        self._switches[dpid] = _Switch(dpid, channel)

    def disconnected(self, dpid: int, channel: Channel) -> None:
        """A switch went; a newer connection of the same switch is not touched."""
        switch = self._switches.get(dpid)
        if switch is not None and switch.channel is channel:
            del self._switches[dpid]

    def is_ready(self, dpid: int) -> bool:
        """True for a connected switch whose entries have been read back."""
        switch = self._switches.get(dpid)
        return switch is not None and switch.installed is not None

    def installed(self, dpid: int) -> SwitchRules | None:
        """What is known to be on the switch; None where it is not connected or not read."""
        switch = self._switches.get(dpid)
        return switch.installed if switch else None

    # answers --------------------------------------------------------------------------------------------------------
    def barrier_reply(self, dpid: int, xid: int) -> bool:
        """A barrier was passed. False where it was not asked for by this module."""
        switch = self._switches.get(dpid)
        event = switch.barriers.pop(xid, None) if switch else None
        if event is not None:
            event.send(True)
        return event is not None

    def expects(self, dpid: int, xid: int) -> bool:
        """True for a dump that is under way."""
        switch = self._switches.get(dpid)
        return switch is not None and xid in switch.reading

    def multipart_reply(self, dpid: int, xid: int, items: Iterable[Any], more: bool) -> bool:
        """A part of a dump. False where it was not asked for by this module."""
        switch = self._switches.get(dpid)
        if switch is None or xid not in switch.reading:
            return False
        parts, event = switch.reading[xid]
        parts.extend(items)
        if not more:
            del switch.reading[xid]
            event.send(parts)
        return True

    def error(self, dpid: int, xid: int, text: str) -> bool:
        """A switch refused a message: log it, and do not take its entry for installed."""
        switch = self._switches.get(dpid)
        noted = switch.sent.get(xid) if switch else None
        if noted is None:
            return False
        change, refused = noted
        refused.append(change)
        message = f"switch {dpid} refused {change.command} of {change.entry}: {text}"
        LOG.error(message)
        self._on_error(dpid, message)
        return True

    # asking ---------------------------------------------------------------------------------------------------------
    def dump(self, dpid: int, request: Callable[[int], bytes]) -> list[Any] | None:
        """Send a multipart request and wait for all parts; None where the switch went or did not answer in time."""
        switch = self._switches.get(dpid)
        if switch is None:
            return None
        xid, event = self.xid(), Event()
        switch.reading[xid] = ([], event)
        if not switch.channel.send_raw(request(xid)):
            switch.reading.pop(xid, None)
            return None
        with eventlet.Timeout(self._deadline_s, False):
            parts: list[Any] = event.wait()
            return parts
        switch.reading.pop(xid, None)
        LOG.warning("switch %d did not answer a dump within %.1f s", dpid, self._deadline_s)
        return None

    def barrier(self, dpid: int) -> bool:
        """Send a barrier and wait for it."""
        return self._wait(dpid, self._send_barrier(dpid), self._deadline_s)

    def _send_barrier(self, dpid: int) -> Event | None:
        switch = self._switches.get(dpid)
        if switch is None:
            return None
        xid, event = self.xid(), Event()
        switch.barriers[xid] = event
        return event if switch.channel.send_raw(codec.encode_barrier_request(xid)) else None

    def _wait(self, dpid: int, event: Event | None, deadline_s: float) -> bool:
        if event is None:
            return False
        with eventlet.Timeout(max(0.0, deadline_s), False):
            return bool(event.wait())
        LOG.warning("switch %d did not pass a barrier in time", dpid)
        return False

    def read_back(self, dpid: int) -> bool:
        """Learn what the switch holds of ours (by cookie; every group and meter is ours)."""
        switch = self._switches.get(dpid)
        flows = self.dump(dpid, lambda x: codec.encode_flow_stats_request(x, p.COOKIE_OWNER, p.COOKIE_OWNER_MASK))
        groups = self.dump(dpid, codec.encode_group_desc_request)
        meters = self.dump(dpid, codec.encode_meter_config_request)
        if switch is None or flows is None or groups is None or meters is None:
            return False
        switch.installed = SwitchRules(frozenset(s.flow for s in flows), frozenset(groups), frozenset(meters))
        LOG.info("switch %d holds %d flows, %d groups of ours", dpid, len(flows), len(groups))
        return True

    # writing --------------------------------------------------------------------------------------------------------
    def apply(self, desired: dict[int, SwitchRules], on_ways: Callable[[], None] | None = None) -> set[int]:
        """Bring all ready switches to `desired`, in phases. `on_ways` is called when all path entries stand.

        Gives the datapath ids that did not get there (refused, closed, too slow).
        """
        plans: dict[int, tuple[_Switch, dict[str, tuple[Change, ...]]]] = {}
        for dpid, switch in list(self._switches.items()):
            if switch.installed is not None and dpid in desired:
                plans[dpid] = (switch, diff(switch.installed, desired[dpid]))
        failed: set[int] = set()
        for phase in PHASES:
            waiting: dict[int, tuple[list[int], list[Change], Event | None]] = {}
            most = max((len(steps.get(phase, ())) for _, steps in plans.values()), default=0)
            until = time.monotonic() + PHASE_S + most * PHASE_S_PER_MESSAGE
            for dpid, (switch, steps) in plans.items():
                changes = steps.get(phase, ())
                if changes and dpid not in failed:
                    waiting[dpid] = self._send(switch, changes)
            for dpid, (xids, refused, passed) in waiting.items():
                if not self._wait(dpid, passed, until - time.monotonic()) or refused:
                    failed.add(dpid)
                switch, steps = plans[dpid]
                if switch.installed is not None:
                    done = tuple(c for c in steps[phase] if c not in refused)
                    switch.installed = apply(switch.installed, {phase: done})
                for xid in xids:
                    del switch.sent[xid]
            if phase == "ways" and on_ways is not None:
                on_ways()
        for dpid in failed:
            if dpid in self._switches:
                self._switches[dpid].installed = None  # unknown now: has to be read back
        return failed

    def _send(self, switch: _Switch, changes: tuple[Change, ...]) -> tuple[list[int], list[Change], Event | None]:
        """Send changes and a barrier. Gives their xids, the list that refusals will come into, and the barrier's event."""
        xids: list[int] = []
        refused: list[Change] = []
        for start in range(0, len(changes), BATCH):
            part = []
            for change in changes[start : start + BATCH]:
                xid = self.xid()
                xids.append(xid)
                switch.sent[xid] = change, refused
                part.append(_encode(change, xid))
            self.messages += len(part)
            if not switch.channel.send_raw(b"".join(part)):
                return xids, refused, None
            if len(changes) > BATCH:
                eventlet.sleep(0)
        return xids, refused, self._send_barrier(switch.dpid)


def _encode(change: Change, xid: int) -> bytes:
    entry = change.entry
    command: codec.Command = change.command.value
    if isinstance(entry, Flow):
        return codec.encode_flow_mod(entry, command, xid)
    if isinstance(entry, Group):
        return codec.encode_group_mod(entry, command, xid)
    if isinstance(entry, Meter):
        return codec.encode_meter_mod(entry, command, xid)
    raise TypeError(f"{entry!r}: expected a flow, group or meter")
