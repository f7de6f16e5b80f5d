"""What a placement algorithm is: a class that says where the chain of a request runs. To add one, write one file with one class.

In: requests and the state. Out: a plan or a refusal with its reason, which the simulation carries out before it asks for the next.
Must not do: change the state, or draw random numbers from anything but `self.random`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.instances import SfcInstance
from testbed.simulator.model.plans import Plan, Refused
from testbed.simulator.model.state import State

Commit = Callable[[SfcRequest, Plan | Refused], SfcInstance | None]
"""Carries out one decision, at once; gives the SFC instance of a plan."""


class Placement(ABC):
    """Base of all placement algorithms. A subclass's `__init__` takes what `placement.parameters` may hold, as keyword arguments
    with types and defaults, and calls `super().__init__()`; the simulation sets `share_sfc_instances` once, and `random` and `now`
    before every window."""

    share_vnf_instances: ClassVar[bool] = True
    share_sfc_instances: bool = False  # the simulation's `share_sfc_instance`
    random: numpy.random.Generator
    now: float = 0.0

    @abstractmethod
    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        """Where this request's chain runs, or why it cannot."""

    def plan_window(self, requests: Sequence[SfcRequest], state: State, commit: Commit) -> None:
        """Decide all requests of a time window, each with `commit`. One after another, unless an algorithm knows better."""
        for request in requests:
            commit(request, self.plan(request, state))

    def report(self) -> str | None:
        """What users should know of the last window, in a line; None for nothing. Asked after every window."""
        return None

    def shared(self, request: SfcRequest, state: State) -> Plan | None:
        """The plan to share the oldest SFC instance that may take this request; None where sharing is off or there is none."""
        sharable = state.sharable_sfc_instances(request) if self.share_sfc_instances else []
        return Plan(share=sharable[0]) if sharable else None
