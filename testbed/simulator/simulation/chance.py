"""Random streams of a round, one for each thing that draws, so that no thing's draws depend on another's.

In: the simulation's seed and the round's number. Out: generators. Rounds, and things within a round, have independent streams
(numpy's SeedSequence); equal seeds give equal streams.
"""

from random import Random

import numpy

PURPOSES = ("traffic", "placement", "mobility", "link", "vnf")


class Chance:
    """The streams of one round."""

    def __init__(self, seed: int, number: int) -> None:
        self._key = (seed, number)

    def arrays(self, purpose: str, number: int = 0) -> numpy.random.Generator:
        """A generator of arrays."""
        return numpy.random.default_rng(self._sequence(purpose, number))

    def plain(self, purpose: str, number: int = 0) -> Random:
        """A generator of single numbers, which is faster for those."""
        return Random(int.from_bytes(self._sequence(purpose, number).generate_state(4).tobytes(), "little"))

    def _sequence(self, purpose: str, number: int) -> numpy.random.SeedSequence:
        seed, round_number = self._key
        return numpy.random.SeedSequence(entropy=seed, spawn_key=(round_number, PURPOSES.index(purpose), number))
