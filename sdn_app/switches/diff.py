"""Compare what should exist on a switch with what is installed, and put the changes into a safe order. Pure.

The order is `PHASES`: entries that paths consist of come before the entries and buckets that send packets to them, and
go after those (make before break). `sync` waits for all switches' barriers between phases.
"""

from dataclasses import dataclass
from enum import StrEnum

from sdn_app.rules import pipeline as p
from sdn_app.rules.entries import Flow, Group, Meter, SwitchRules


class Command(StrEnum):
    """What is done to an entry."""

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One message to be sent. An ADD of a flow replaces one of the same key."""

    command: Command
    entry: Flow | Group | Meter


ENTRANCES = frozenset({p.ADMISSION, p.CLASSIFY, p.CONNECTION})
"""Tables whose entries send packets onto paths or to groups."""

PHASES = ("ways", "choices", "entrances", "leave entrances", "leave choices", "leave ways")
"""ways: meters and path entries; choices: groups; entrances: what sends packets there. Then the deletions, reversed."""


def diff(installed: SwitchRules, desired: SwitchRules) -> dict[str, tuple[Change, ...]]:
    """Give the changes, by phase, that turn `installed` into `desired`. Empty where they are equal."""
    steps: dict[str, list[Change]] = {phase: [] for phase in PHASES}
    have = {flow.key: flow for flow in installed.flows}
    want = {flow.key: flow for flow in desired.flows}
    for flow in desired.flows - installed.flows:
        steps["entrances" if flow.table in ENTRANCES else "ways"].append(Change(Command.ADD, flow))
    for key in have.keys() - want.keys():
        phase = "leave entrances" if have[key].table in ENTRANCES else "leave ways"
        steps[phase].append(Change(Command.DELETE, have[key]))
    known_groups = {group.group_id for group in installed.groups}
    wanted_groups = {group.group_id for group in desired.groups}
    for group in desired.groups - installed.groups:
        command = Command.MODIFY if group.group_id in known_groups else Command.ADD
        steps["choices"].append(Change(command, group))
    for group in installed.groups:
        if group.group_id not in wanted_groups:
            steps["leave choices"].append(Change(Command.DELETE, group))
    known_meters = {meter.meter_id for meter in installed.meters}
    wanted_meters = {meter.meter_id for meter in desired.meters}
    for meter in desired.meters - installed.meters:
        command = Command.MODIFY if meter.meter_id in known_meters else Command.ADD
        steps["ways"].insert(0, Change(command, meter))
    for meter in installed.meters:
        if meter.meter_id not in wanted_meters:
            steps["leave ways"].append(Change(Command.DELETE, meter))
    return {phase: tuple(changes) for phase, changes in steps.items() if changes}


def apply(installed: SwitchRules, steps: dict[str, tuple[Change, ...]]) -> SwitchRules:
    """What a switch holds after it carried out `steps`: the reference that tests hold `diff` against."""
    flows = {flow.key: flow for flow in installed.flows}
    groups = {group.group_id: group for group in installed.groups}
    meters = {meter.meter_id: meter for meter in installed.meters}
    for phase in PHASES:
        for change in steps.get(phase, ()):
            entry, gone = change.entry, change.command is Command.DELETE
            if isinstance(entry, Flow):
                flows.pop(entry.key, None)
                if not gone:
                    flows[entry.key] = entry
            elif isinstance(entry, Group):
                groups.pop(entry.group_id, None)
                if not gone:
                    groups[entry.group_id] = entry
            else:
                meters.pop(entry.meter_id, None)
                if not gone:
                    meters[entry.meter_id] = entry
    return SwitchRules(frozenset(flows.values()), frozenset(groups.values()), frozenset(meters.values()))
