"""The placement of a window's requests as a mixed-integer program; see `LPPPlacement` for the equations.

In: the window, whose chains are a solution to begin with, and whether acceptance or cost counts. Out: a `Mip`, values of the chains
known, and chains of the values found. Must not do: solve.
"""

import itertools
from collections import defaultdict

import numpy
from numpy.typing import NDArray

from testbed.simulator.model.instances import SfcInstance
from testbed.simulator.placement.books import Books, Chain, Seat
from testbed.simulator.placement.mip import Mip
from testbed.simulator.placement.network import Floats, Ints
from testbed.simulator.placement.relaxation import Part
from testbed.simulator.placement.window import Window

SLACK = 1e-7
Key = str | int
"""A candidate: an instance's name, or a node for a new one."""


def key_of(seat: Seat) -> Key:
    """A seat as a candidate."""
    return seat.real.name if seat.real is not None else seat.node


class Program:
    """The program of a window. `books`: as they were before it; `accept`: maximise acceptance, else minimise the score with at least
    as many as the window has.

    Columns of candidates and arcs that no better solution can use are left out: a chain over them, with the least that the others
    cost, would already cost more than the window does.
    """

    def __init__(self, window: Window, books: Books, parts: list[Part], accept: bool) -> None:
        self.window, self.parts, self.accept, self.mip = window, parts, accept, Mip()
        self.books = books
        self._never = int(self.mip.add_columns(0.0, upper=0.0)[0])
        self.accepted = self.mip.add_columns(numpy.full(len(parts), -1.0 if accept else 0.0))
        self.candidates: list[list[dict[Key, int]]] = []
        self.arcs: list[list[dict[int, int]]] = []
        self.shares: list[dict[str, int]] = []
        self.new: dict[tuple[str, int], int] = {}
        self._users: dict[Key | tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        self._links: list[tuple[Ints, Ints, float]] = []
        self._most: Floats = numpy.zeros(len(self.books.free_bandwidth))
        allowances = self._allowances()
        for number, part in enumerate(parts):
            self._add_part(number, part, allowances[number])
        self._add_sharing()
        self._add_room()
        self._add_bandwidth()
        self.mip.add_row(self.accepted, 1.0, float(len(window.chains)), float(len(parts)))

    def _allowances(self) -> list[float]:
        if self.accept:
            return [numpy.inf] * len(self.parts)
        total, others = self.window.score(), len(self.window.chains) - 1
        least = [part.least for part in self.parts]
        return [total - sum(sorted(least[:n] + least[n + 1 :])[:others]) + SLACK for n in range(len(least))]

    def _cost(self, values: Floats) -> Floats:
        return numpy.zeros(len(values)) if self.accept else values

    # blocks ----------------------------------------------------------------------------------------------------------
    def _add_part(self, number: int, part: Part, allowance: float) -> None:
        shares = [each for each in part.shares if each.path_score <= allowance]
        columns = self.mip.add_columns(self._cost(numpy.array([each.path_score for each in shares])))
        self.shares.append({_leader(each).name: int(column) for each, column in zip(shares, columns, strict=True)})
        for each, column in zip(shares, columns, strict=True):
            for seat in each.seats:
                self._users[key_of(seat)].append((number, int(column)))
        own = numpy.concatenate(([self.accepted[number]], columns))  # what goes through the graph: a - sum of shares
        signs = numpy.concatenate(([1.0], -numpy.ones(len(columns))))
        keep = [numpy.isfinite(through) & (through <= allowance) for through in part.through]
        slow = self.mip.add_rows(1, -numpy.inf, 0.0)
        scale = part.demand.sfc.max_latency if 0 < part.demand.sfc.max_latency < numpy.inf else 1e9
        self.mip.add_entries(slow, own, -signs)
        inner = range(len(part.candidates))
        self.candidates.append([])
        balances = [self._add_candidates(number, part, layer, keep, slow, scale) for layer in inner]
        self.arcs.append([])
        for hop, mask in enumerate(keep):
            arcs = self._add_arcs(part, hop, mask, slow, scale)
            source, _, target = numpy.nonzero(mask)
            for rows, places in (
                (balances[hop - 1][1] if hop else None, source),
                (balances[hop][0] if hop < len(inner) else None, target),
            ):
                if rows is None:
                    total = self.mip.add_rows(1, 0.0, 0.0)
                    self.mip.add_entries(total, arcs, 1.0)
                    self.mip.add_entries(total, own, -signs)
                else:
                    self.mip.add_entries(rows[places], arcs, 1.0)

    def _add_candidates(
        self, number: int, part: Part, layer: int, keep: list[NDArray[numpy.bool_]], slow: Ints, scale: float
    ) -> tuple[Ints, Ints]:
        """Columns of a layer's candidates; gives rows of what comes into its places, and of what goes out."""
        here, places = part.candidates[layer], part.places[layer + 1]
        used = numpy.logical_and(keep[layer].any(axis=(0, 1)), keep[layer + 1].any(axis=(1, 2)))
        at = numpy.searchsorted(places, here.nodes)
        kept = numpy.flatnonzero(used[at])
        columns = self.mip.add_columns(self._cost(here.path[kept]))
        came, went = self.mip.add_rows(len(places), 0.0, 0.0), self.mip.add_rows(len(places), 0.0, 0.0)
        self.mip.add_entries(came[at[kept]], columns, -1.0)
        self.mip.add_entries(went[at[kept]], columns, -1.0)
        self.mip.add_entries(slow, columns, here.ms[kept] / scale)
        known: dict[Key, int] = {}
        for candidate, column in zip(kept.tolist(), columns.tolist(), strict=True):
            key = key_of(here.seats[candidate])
            known[key] = column
            place = (part.demand.vnfs[layer].name, key) if isinstance(key, int) else key
            self._users[place].append((number, column))
        self.candidates[number].append(known)
        return came, went

    def _add_arcs(self, part: Part, hop: int, mask: NDArray[numpy.bool_], slow: Ints, scale: float) -> Ints:
        """Whole numbers only where parallel routes leave a choice: else candidates decide."""
        ids = part.arc_ids[hop][mask]
        choice = numpy.broadcast_to(mask.sum(axis=1, keepdims=True) > 1, mask.shape)
        columns = self.mip.add_columns(self._cost(part.arc_path[hop][mask]), integer=choice[mask].astype(numpy.int64))
        self.mip.add_entries(slow, columns, part.arc_ms[hop][mask] / scale)
        self.arcs[-1].append(dict(zip(ids.tolist(), columns.tolist(), strict=True)))
        bandwidth = part.demand.bandwidths[hop]
        if bandwidth and self.books.state.restrict_bandwidth and len(ids):
            steps = self.books.network.steps[ids]
            real = steps < len(self._most)
            self._links.append((steps[real], numpy.broadcast_to(columns[:, None], steps.shape)[real], bandwidth))
            self._most[numpy.unique(steps[real])] += bandwidth
        return columns

    def _add_sharing(self) -> None:
        rooms = {seat.real.name: seat.room for seats in self.books.seats.values() for seat in seats if seat.real}
        vnfs, nodes = self.window.state.entities.vnfs, self.books.network.nodes
        for place, users in self._users.items():
            columns = [column for _, column in users]
            groups = itertools.groupby(users, key=lambda user: user[0])
            alone = [[column for _, column in group] for _, group in groups]
            if isinstance(place, str):
                self.mip.add_row(columns, 1.0, -numpy.inf, rooms[place])
                for group in alone:
                    if len(group) > 1:
                        self.mip.add_row(group, 1.0, -numpy.inf, 1.0)
                continue
            assert isinstance(place, tuple)
            vnf = vnfs[place[0]]
            seat = self.books.new_seat(vnf, place[1])
            score = 0.0 if self.accept else self.books.seat_score(seat)
            most = min(len(columns), int(min(nodes[place[1]].cpu / vnf.cpu, nodes[place[1]].mem / vnf.mem) + 1e-6))
            new = int(self.mip.add_columns(score, upper=most)[0])
            self.new[place] = new
            share = vnf.max_share if self.books.share else 1
            self.mip.add_row([*columns, new], [*(1.0 for _ in columns), -float(share)], -numpy.inf, 0.0)
            if share > 1:
                for group in alone:
                    self.mip.add_row([*group, new], [*(1.0 for _ in group), -1.0], -numpy.inf, 0.0)

    def _add_room(self) -> None:
        vnfs = self.window.state.entities.vnfs
        by_node: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for (vnf, node), column in self.new.items():
            by_node[node].append((vnf, column))
        for node, here in by_node.items():
            columns = [column for _, column in here]
            for free, needed in (
                (self.books.free_cpu[node], [vnfs[vnf].cpu for vnf, _ in here]),
                (self.books.free_mem[node], [vnfs[vnf].mem for vnf, _ in here]),
            ):
                self.mip.add_row(columns, numpy.array(needed) / max(free, 1e-9), -numpy.inf, 1.0)

    def _add_bandwidth(self) -> None:
        free = self.books.free_bandwidth
        rows = numpy.full(len(free), -1, dtype=numpy.int64)
        tight = numpy.flatnonzero(self._most > free)
        rows[tight] = self.mip.add_rows(len(tight), -numpy.inf, 1.0)
        for links, columns, bandwidth in self._links:
            here = rows[links] >= 0
            self.mip.add_entries(rows[links[here]], columns[here], bandwidth / free[links[here]])

    # solutions -------------------------------------------------------------------------------------------------------
    def values(self) -> Floats | None:
        """The window's chains as values; None where the program has no columns for them."""
        values = numpy.zeros(self.mip.columns)
        numbers = {part.request.name: number for number, part in enumerate(self.parts)}
        planned: dict[tuple[str, int], set[int]] = defaultdict(set)
        try:
            for name, chain in self.window.chains.items():
                number = numbers[name]
                values[self.accepted[number]] = 1
                if isinstance(chain.leader, Chain):
                    return None  # who shares a chain of the same window has no column
                if chain.leader is not None:
                    values[self.shares[number][_leader(chain).name]] = 1
                    continue
                for seat, known in zip(chain.seats, self.candidates[number], strict=True):
                    values[known[key_of(seat)]] = 1
                    if seat.real is None:
                        planned[seat.vnf.name, seat.node].add(id(seat))
                for route, arcs in zip(chain.routes, self.arcs[number], strict=True):
                    values[arcs[route]] = 1
        except KeyError:
            return None
        for place, seats in planned.items():
            values[self.new[place]] = len(seats)
        return values

    def chains(self, values: Floats) -> list[Chain]:
        """What the values mean, for the window's books."""
        existing = {
            seat.real.name: seat
            for seats in self.window.books.seats.values()
            for seat in seats
            if seat.real is not None
        }
        seats = {place: self._seats(place, round(values[column])) for place, column in self.new.items()}
        found = []
        for number, part in enumerate(self.parts):
            if values[self.accepted[number]] < 0.5:
                continue
            known = self.shares[number]
            shared = [each for each in part.shares if values[known.get(_leader(each).name, self._never)] > 0.5]
            if shared:
                found.append(shared[0])
                continue
            chosen = []
            for vnf, columns in zip(part.demand.vnfs, self.candidates[number], strict=True):
                key = max((values[column], key) for key, column in columns.items())[1]
                chosen.append(existing[key] if isinstance(key, str) else next(seats[vnf.name, key]))
            routes = [self._route(part, number, hop, chosen, values) for hop in range(len(part.through))]
            found.append(self.window.books.chain(part.request, chosen, routes))
        return found

    def _seats(self, place: tuple[str, int], count: int) -> "itertools.cycle[Seat]":
        vnf = self.window.state.entities.vnfs[place[0]]
        return itertools.cycle([self.books.new_seat(vnf, place[1]) for _ in range(count)])

    def _route(self, part: Part, number: int, hop: int, chosen: list[Seat], values: Floats) -> int:
        index = self.books.network.index
        source = index[part.request.ingress] if hop == 0 else chosen[hop - 1].node
        target = index[part.request.egress] if hop == len(chosen) else chosen[hop].node
        known = self.arcs[number][hop]
        routes = [int(route) for route in self.books.network.ids[:, source, target] if int(route) in known]
        return max(routes, key=lambda route: values[known[route]])


def _leader(chain: Chain) -> SfcInstance:
    assert isinstance(chain.leader, SfcInstance)
    return chain.leader
