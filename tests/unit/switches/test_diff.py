"""The order of changes, and that carrying them out gives what is desired."""

from sdn_app.rules import pipeline as p
from sdn_app.rules.entries import Bucket, Flow, Group, Meter, Output, SwitchRules, match
from sdn_app.switches.diff import PHASES, Change, Command, apply, diff

WAY = Flow(p.STEER, p.EXACT, match(reg1=2), (Output(1),))
ENTRANCE = Flow(p.CONNECTION, p.CONNECTION_KNOWN, match(ct_mark=2), goto=p.STEER)
GROUP = Group(7, (Bucket(1, (Output(1),)),))
METER = Meter(1, 100, 100)
ALL = SwitchRules(frozenset({WAY, ENTRANCE}), frozenset({GROUP}), frozenset({METER}))
NOTHING = SwitchRules()


def test_what_paths_consist_of_comes_first() -> None:
    steps = diff(NOTHING, ALL)
    assert steps == {
        "ways": (Change(Command.ADD, METER), Change(Command.ADD, WAY)),
        "choices": (Change(Command.ADD, GROUP),),
        "entrances": (Change(Command.ADD, ENTRANCE),),
    }


def test_and_goes_last() -> None:
    steps = diff(ALL, NOTHING)
    assert list(steps) == ["leave entrances", "leave choices", "leave ways"]
    assert steps["leave entrances"] == (Change(Command.DELETE, ENTRANCE),)
    assert set(steps["leave ways"]) == {Change(Command.DELETE, WAY), Change(Command.DELETE, METER)}


def test_phases_are_in_the_declared_order() -> None:
    steps = diff(ALL, SwitchRules(frozenset({Flow(p.STEER, p.EXACT, match(reg1=4))}), frozenset(), frozenset({METER})))
    assert list(steps) == [phase for phase in PHASES if phase in steps]


def test_an_entry_with_other_actions_is_replaced_without_a_gap() -> None:
    other = Flow(WAY.table, WAY.priority, WAY.match, (Output(2),))
    after = SwitchRules(frozenset({other, ENTRANCE}), ALL.groups, ALL.meters)
    assert diff(ALL, after) == {"ways": (Change(Command.ADD, other),)}


def test_groups_and_meters_that_are_there_are_modified() -> None:
    group, meter = Group(7, (Bucket(2, (Output(1),)),)), Meter(1, 200, 200)
    after = SwitchRules(ALL.flows, frozenset({group}), frozenset({meter}))
    assert diff(ALL, after) == {
        "ways": (Change(Command.MODIFY, meter),),
        "choices": (Change(Command.MODIFY, group),),
    }


def test_applying_reaches_the_desired_state_and_nothing_is_left_to_do() -> None:
    for before, after in ((NOTHING, ALL), (ALL, NOTHING), (ALL, ALL)):
        assert apply(before, diff(before, after)) == after
        assert diff(after, after) == {}
