"""One green thread an instance: probe it when it is due, and let the state machine say what that means.

In: instances of the desired state. Out: their states, and their reported loads. A port that goes down is handled in
`Controller`: it counts at once, without a probe.
"""

from dataclasses import replace

import eventlet

from sdn_app.chains.model import Instance
from sdn_app.control.controller import Controller
from sdn_app.health import machine
from sdn_app.health.probes import ProbeResult, probe

ROUND_S = 0.1


class Health:
    """Keeps one prober for every instance that has a health URL; one without is active as soon as its ports are up."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        settings = controller.settings
        self._policy = machine.Policy(
            interval_s=settings.probe_interval_s,
            timeout_s=settings.probe_timeout_s,
            fall=settings.probe_failures,
            rise=settings.probe_successes,
        )
        self.last: dict[str, ProbeResult] = {}
        self._probers: set[str] = set()

    def start(self) -> None:
        """Begin to look after instances."""
        eventlet.spawn(self._watch)

    def _watch(self) -> None:
        while True:
            for instance in list(self._controller.desired.instances.values()):
                if instance.instance_id not in self._probers:
                    self._probers.add(instance.instance_id)
                    eventlet.spawn(self._look_after, instance.instance_id)
            eventlet.sleep(ROUND_S)

    def _look_after(self, instance_id: str) -> None:
        try:
            instance = self._controller.desired.instances.get(instance_id)
            state = None
            while instance is not None:
                if state is None or state.state is not instance.state:
                    state = machine.ProbeState(state=instance.state)
                state = self._round(instance, state)
                eventlet.sleep(machine.next_probe_in_s(state, self._policy))
                instance = self._controller.desired.instances.get(instance_id)
        finally:
            self._probers.discard(instance_id)
            self.last.pop(instance_id, None)

    def _round(self, instance: Instance, state: machine.ProbeState) -> machine.ProbeState:
        if not self._ports_up(instance):
            return state
        if instance.health_url is None:
            result = ProbeResult(True, "not probed: its ports are up")
        else:
            result = probe(instance.health_url, self._policy.timeout_s)
        self.last[instance.instance_id] = result
        if result.ok and result.active is not None:
            self._controller.loads[instance.instance_id] = float(result.active)
        current = self._controller.desired.instances.get(instance.instance_id)
        if current is None or current.state is not instance.state:
            return state  # it was changed while the probe was under way
        after = machine.on_probe(state, result.ok, self._controller.clock(), self._policy)
        if after.state is not current.state:
            self._controller.set_instance(replace(current, state=after.state), f"probe: {result.detail}")
        return after

    def _ports_up(self, instance: Instance) -> bool:
        switch = self._controller.inventory.switches.get(instance.attachment.switch)
        return switch is not None and all(switch.number_of(name) is not None for name in instance.attachment.ports)
