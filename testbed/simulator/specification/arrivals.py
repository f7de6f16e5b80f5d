"""When requests arrive (document, "SFC Request": poisson and linear).

In: how many requests each user makes, and a random stream. Out: arrivals in order of time. Must not do: know what is asked for.

- poisson: a user's number of requests is given, and the arrivals of a Poisson process of which the number is known are uniform,
  sorted, over the time, [0, total_time) (Ross, Introduction to Probability Models, theorem 5.2).
- linear: the requests of all users in random order; window k, from 1, takes `k * increase_requests_per_window` of them, at sorted
  uniform times within it, until there are no more. What is left after the last whole window is not requested.
- time_window 0: all arrive at 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy

from testbed.simulator.specification.specs import RequestSpecs


class Arrival(NamedTuple):
    """A user's request, both by number from 0, and when it arrives (ms)."""

    time: float
    user: int
    request: int


def arrival_times(
    specs: RequestSpecs, numbers: Sequence[int], total_time: float, time_window: float, random: numpy.random.Generator
) -> list[Arrival]:
    """`numbers`: of requests, by user."""
    all_requests = [(user, request) for user, number in enumerate(numbers) for request in range(number)]
    if time_window == 0:
        return [Arrival(0.0, *each) for each in all_requests]
    if specs.arrival == "poisson":
        times = [time for number in numbers for time in _uniform(random, number, 0.0, total_time)]
        return sorted(Arrival(time, *each) for time, each in zip(times, all_requests, strict=True))
    order = [all_requests[i] for i in random.permutation(len(all_requests))]
    arrivals: list[Arrival] = []
    for window in range(max(1, int(total_time // time_window))):
        number = min((window + 1) * specs.increase_requests_per_window, len(order) - len(arrivals))
        begin = window * time_window
        times = _uniform(random, number, begin, min(begin + time_window, total_time))
        arrivals += [Arrival(time, *order[len(arrivals) + i]) for i, time in enumerate(times)]
    return arrivals


def _uniform(random: numpy.random.Generator, number: int, begin: float, end: float) -> list[float]:
    times: list[float] = numpy.sort(random.uniform(begin, end, number)).tolist()
    return times
