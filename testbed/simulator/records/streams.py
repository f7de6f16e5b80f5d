"""The streams that a recorder wants, and blocks of their records.

In: what is to be logged. Out: streams for the engine, blocks for who writes them. Must not do: know what a record means.
"""

import numpy
from numpy.typing import NDArray

from testbed.simulator.engine.streams import WIDTHS, Stream

Floats = NDArray[numpy.float64]
Blocks = dict[str, Floats]
"""By stream, records of shape (records, width); only of streams that have some."""


class Streams:
    """What recorders have in common. A stream that is not wanted is None.

    Args:
        links, vnf, packets: whether links.*, vnf_instance_packets.* and vnf_instance_resources.*, packets.* and packets_entities.*
            get rows.
    """

    def __init__(self, *, links: bool, vnf: bool, packets: bool) -> None:
        self.links = _stream("links", links)
        self.vnf_arrivals = _stream("vnf_arrivals", vnf)
        self.vnf_starts = _stream("vnf_starts", vnf)
        self.vnf_ends = _stream("vnf_ends", vnf)
        self.packets = _stream("packets", packets)
        self.ended = _stream("ended", packets)

    def take(self) -> Blocks:
        """Everything that was added since the last time."""
        streams: dict[str, Stream | None] = {name: getattr(self, name) for name in WIDTHS}
        return {name: stream.take() for name, stream in streams.items() if stream}


def _stream(name: str, wanted: bool) -> Stream | None:
    return Stream(WIDTHS[name]) if wanted else None
