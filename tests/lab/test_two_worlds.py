"""The comparison of lab and simulator on the tests' lab: that both worlds are the same one, not how near they are on a busy machine."""

from __future__ import annotations

from testbed.experiments.two_worlds import compare, in_simulator
from testbed.experiments.two_worlds.cgroup import Cgroup
from testbed.experiments.two_worlds.on_lab import OnLab
from testbed.experiments.two_worlds.outcome import ANSWERED
from testbed.experiments.two_worlds.scenario import Scenario, Servant
from testbed.lab.net import Lab

QUOTA = (0.5, 100.0)  # of the tests' servants: vnf.toml, and Docker's period
SCENARIO = Scenario(duration_s=4, levels=(0.2,), servant=Servant(cost_ms=5, queue=128, cpus=QUOTA[0], period_ms=5))


def test_a_level_goes_to_the_predicted_servants_at_the_predicted_cost(lab: Lab) -> None:
    on_lab = OnLab(lab, SCENARIO, print, chain="web")
    groups = {name: Cgroup(lab.instances[name].container_pid) for name in SCENARIO.servants}
    try:
        on_lab.prepare()
        constants = on_lab.calibrate()
        arrivals = SCENARIO.arrivals(0)
        predicted = in_simulator.predict(SCENARIO, arrivals, constants, 231_000, on_lab.dealt())
        measured = on_lab.level(arrivals)
    finally:
        for group in groups.values():
            group.set_quota(*QUOTA)
    level = compare.level(SCENARIO, 0, predicted, measured.outcome)
    print(constants, compare.in_words([level]))
    sent = sum(map(len, arrivals.values()))
    assert level.fates == {ANSWERED: compare.Pair(sent, sent)}
    assert not measured.inactive
    assert all(abs(pair.predicted - pair.measured) <= 1 for pair in level.answered.values()), level.answered
    # What a servant uses while it idles is taken off as it was before the requests; it varies.
    assert 0.8 <= constants.request_cpu_ms / SCENARIO.servant.cost_ms < 2 and constants.idle_cores < 0.1
    assert all(0.5 < pair.measured / pair.predicted < 2 for pair in level.load.values()), level.load
