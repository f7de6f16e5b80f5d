"""The user mobility file: `UID;NID;TransitionTime`, a line for each time a user goes to another node.

In: the file, and the names of users and nodes. Out: moves in order of time. The file's times are in a unit of its own: all are scaled
so that the greatest is the simulation's end. Must not do: move anybody.
"""

from collections.abc import Collection
from pathlib import Path

from testbed.simulator.model.entities import Move
from testbed.simulator.specification.lines import LineReader

HEADER = ("UID", "NID", "TransitionTime")


def read_moves(path: Path | str, users: Collection[str], nodes: Collection[str], total_time: float) -> list[Move]:
    """Moves; those of the same time in the file's order. A file with nothing but zeros is not scaled.

    Raises:
        SpecificationError: the file cannot be read, has other columns, names an unknown user or node, or has a bad time.
    """
    reader = LineReader(path, HEADER)
    read: list[Move] = []
    for line in reader:
        user, node = line.name(0, users, "user"), line.name(1, nodes, "node")
        read.append(Move(line.number(2), user, node))
    reader.close()
    greatest = max((move.time for move in read), default=0.0)
    # Divided first: the greatest is then exactly the end.
    moves = [Move(move.time / greatest * total_time, move.user, move.node) if greatest else move for move in read]
    return sorted(moves, key=lambda move: move.time)
