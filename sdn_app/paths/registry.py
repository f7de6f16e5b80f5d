"""The paths that exist, by SPI, and what becomes of them when what is wanted changes.

In: the registry before, the paths that new connections should be dealt, and what can be said of any path. Out: the
registry after. It allocates nothing itself and knows no instances or switches. Pure.

A path that is no longer wanted stays while its connections last (DRAINING); one that is broken (DEAD) hands its
connections to a replacement with the same end, so that they go on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sdn_app.paths.render import PathKey, RenderedPath


class Status(StrEnum):
    """live: dealt to new connections; draining: kept for those that it has; dead: its connections go elsewhere."""

    LIVE = "live"
    DRAINING = "draining"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path. `since`: when it got its status. `replacement`: the SPI that takes over a dead one's connections."""

    path: RenderedPath
    status: Status
    since: float
    replacement: int | None = None


@dataclass(frozen=True, slots=True)
class PathRegistry:
    """All paths by SPI. Treat `entries` as immutable.

    Invariants: no two entries have equal keys; a replacement is LIVE or DRAINING, never DEAD, and ends where the dead
    one did.
    """

    entries: Mapping[int, Entry] = field(default_factory=dict)

    @classmethod
    def restored(cls, keys: Mapping[int, PathKey], now: float) -> "PathRegistry":
        """Start from stored SPIs: every path drains until `advance` says what else it is."""
        return cls({spi: Entry(RenderedPath(spi, key), Status.DRAINING, now) for spi, key in sorted(keys.items())})

    def collect(
        self, last_used: Mapping[int, float], idle_s: float, now: float
    ) -> tuple["PathRegistry", tuple[RenderedPath, ...]]:
        """Remove draining and dead paths that nothing has used for `idle_s`; give what is left, and what was removed.

        One without a time in `last_used` counts as used when it got its status. A replacement stays as long as a dead
        path that needs it does.
        """

        def idle(spi: int, entry: Entry) -> bool:
            used = max(last_used.get(spi, entry.since), entry.since)
            return entry.status is not Status.LIVE and now - used >= idle_s

        staying = {spi for spi, entry in self.entries.items() if not idle(spi, entry)}
        staying |= {taken for spi in staying if (taken := self.entries[spi].replacement) is not None}
        gone = tuple(entry.path for spi, entry in self.entries.items() if spi not in staying)
        if not gone:
            return self, ()
        return PathRegistry({spi: entry for spi, entry in self.entries.items() if spi in staying}), gone


def advance(
    registry: PathRegistry,
    wanted: Iterable[PathKey],
    intact: Callable[[PathKey], bool],
    alternative: Callable[[PathKey], PathKey | None],
    allocate: Callable[[PathKey], int],
    now: float,
) -> PathRegistry:
    """Give the registry in which the wanted paths, and no others, are live.

    `wanted` paths were rendered on the present network, so they are intact. `alternative` gives a path with the same
    ingress and end that can take over a broken one's connections where no live path can; it is kept as a draining one.
    Advancing again by the same changes nothing.
    """
    live = set(wanted)
    spis = {entry.path.key: spi for spi, entry in registry.entries.items()}
    entries: dict[int, Entry] = {}
    for spi, entry in registry.entries.items():
        key = entry.path.key
        status = Status.LIVE if key in live else Status.DRAINING if intact(key) else Status.DEAD
        entries[spi] = entry if status is entry.status else Entry(entry.path, status, now)
    for key in sorted(live - spis.keys(), key=_order):
        spi = spis[key] = allocate(key)
        entries[spi] = Entry(RenderedPath(spi, key), Status.LIVE, now)
    _Takeover(entries, spis, intact, alternative, allocate, now).run()
    return PathRegistry(dict(sorted(entries.items())))


def _order(key: PathKey) -> tuple[str, int, str, tuple[str, ...], str, tuple[tuple[int, ...], ...]]:
    """An order in which new paths are numbered, so that equal input gives equal numbers."""
    stops = tuple(stop.instance_id for stop in key.stops)
    return key.chain, key.ingress, key.target, stops, key.terminal.instance_id or "", key.segments


_Group = tuple[str, int, str, object]


def _group(key: PathKey) -> _Group:
    """What paths have in common that can take over each other's connections."""
    return key.chain, key.ingress, key.target, key.terminal


@dataclass(slots=True)
class _Takeover:
    """Gives every dead entry a replacement, in place."""

    entries: dict[int, Entry]
    spis: dict[PathKey, int]
    intact: Callable[[PathKey], bool]
    alternative: Callable[[PathKey], PathKey | None]
    allocate: Callable[[PathKey], int]
    now: float
    live: dict[_Group, list[int]] = field(default_factory=dict)
    given: dict[int, int] = field(default_factory=dict)  # how many dead paths a live one stands in for

    def run(self) -> None:
        dead = [spi for spi, entry in sorted(self.entries.items()) if entry.status is Status.DEAD]
        if not dead:
            return
        for spi, entry in sorted(self.entries.items()):
            if entry.status is Status.LIVE:
                self.live.setdefault(_group(entry.path.key), []).append(spi)
        lost: list[int] = []
        for spi in dead:
            kept = self.entries[spi].replacement
            if kept in self.entries and self.entries[kept].status is not Status.DEAD:
                self.given[kept] = self.given.get(kept, 0) + 1
            else:
                lost.append(spi)
        for spi in lost:
            self.entries[spi] = replace(self.entries[spi], replacement=self._choose(self.entries[spi].path.key))

    def _choose(self, key: PathKey) -> int | None:
        """A live path of the same group, the one that stands in for the fewest; else the alternative."""
        live = self.live.get(_group(key))
        if live:
            spi = min(live, key=lambda each: (self.given.get(each, 0), each))
            self.given[spi] = self.given.get(spi, 0) + 1
            return spi
        other = self.alternative(key)
        if other is None or not self.intact(other):
            return None
        known = self.spis.get(other)
        if known is None:
            known = self.spis[other] = self.allocate(other)
            self.entries[known] = Entry(RenderedPath(known, other), Status.DRAINING, self.now)
        return known
