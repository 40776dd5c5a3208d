"""All snapshots into one desired state. Pure.

An id belongs to the first that declares it: sources by kind (config before file before git before record
before follow), then in the order given, then by the order within the source. Everybody else who declares
it is told so, as a conflict of the source that lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from manifests.model.snapshot import Declared, Snapshot, SourceKind

# Up to here everybody on a cycle has it told from its own place; longer ones are told alike, to stay small.
_LONG = 50
_RANK: dict[SourceKind, int] = {"config": 0, "file": 1, "git": 2, "record": 3, "follow": 4}


class Winner(NamedTuple):
    """The declaration that holds for an id, the very object of its snapshot, and its source's name.

    `own`: whether it is this node's owner who declares it, and no other node and no stranger. `kind`: what
    the source is.
    """

    declared: Declared
    source: str
    own: bool = True
    kind: SourceKind = "file"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A declaration that lost, by its file, and the one that won."""

    service: str
    file: str
    winner_file: str
    winner_source: str

    def __str__(self) -> str:
        where = f" in {self.winner_source}" if self.winner_source else ""
        return f"{self.file}: {self.service} is declared already{where} by {self.winner_file}, which wins"


@dataclass(frozen=True, slots=True)
class Merged:
    """The desired state.

    `conflicts` holds, by the name of the losing source, what it lost. `cycles` holds, for each id that
    depends on itself through others, the way round, beginning and ending with it. `complete` is False
    while a source was never read: then an id that is missing here may still be declared.
    """

    services: Mapping[str, Winner]
    conflicts: Mapping[str, tuple[Conflict, ...]]
    cycles: Mapping[str, tuple[str, ...]]
    complete: bool


def merge(snapshots: Sequence[Snapshot], before: Mapping[str, Winner] = MappingProxyType({})) -> Merged:
    """Joins what the sources say, in time proportional to the number of services and dependencies.

    What is as it was `before` keeps the very same `Winner`: changes are found with `is`.
    """
    services: dict[str, Winner] = {}
    conflicts: dict[str, list[Conflict]] = {}
    for snapshot in sorted(snapshots, key=lambda snapshot: _RANK[snapshot.kind]):
        name = snapshot.source
        where = name, snapshot.kind != "follow", snapshot.kind
        fresh = {each.manifest.id: _winner(each, where, before) for each in snapshot.services}
        if len(fresh) == len(snapshot.services) and fresh.keys().isdisjoint(services):
            # The usual case, and so the quick one: nobody declares anything twice.
            services.update(fresh)
            continue
        for declared in snapshot.services:
            service = declared.manifest.id
            winner = services.get(service)
            if winner is None:
                services[service] = _winner(declared, where, before)
            else:
                conflict = _conflict(service, declared, winner, name)
                conflicts.setdefault(name, []).append(conflict)
    return Merged(
        services=services,
        conflicts={name: tuple(found) for name, found in conflicts.items()},
        cycles=_cycles(services),
        complete=all(snapshot.known for snapshot in snapshots),
    )


def _winner(declared: Declared, where: tuple[str, bool, SourceKind], before: Mapping[str, Winner]) -> Winner:
    where = where[0], where[1] and declared.policy is None, where[2]
    old = before.get(declared.manifest.id)
    if old is None or old.declared is not declared or old[1:] != where:
        return Winner(declared, *where)
    return old


def _conflict(service: str, loser: Declared, winner: Winner, source: str) -> Conflict:
    elsewhere = winner.source if winner.source != source else ""
    return Conflict(service, loser.file, winner.declared.file, elsewhere)


def _cycles(services: Mapping[str, Winner]) -> dict[str, tuple[str, ...]]:
    """For each service on a cycle, the shortest one through it."""
    edges = {
        service: [dependency.id for dependency in winner.declared.manifest.depends_on]
        for service, winner in services.items()
        if winner.declared.manifest.depends_on
    }
    if not edges:
        return {}
    cycles: dict[str, tuple[str, ...]] = {}
    for component in _components(edges):
        for service in sorted(component):
            if service not in cycles:
                way = _shortest_way_round(service, component, edges)
                closed = (*way, service)
                for at, member in enumerate(way):
                    cycles.setdefault(member, closed if len(way) > _LONG else (*way[at:], *way[: at + 1]))
    return cycles


def _components(edges: Mapping[str, Sequence[str]]) -> list[set[str]]:
    """The groups of services that all depend on each other."""
    search = _Search(edges)
    for root in edges:
        if root not in search.order:
            search.run(root)
    return search.components


class _Search:
    """Tarjan's algorithm without recursion: a chain of 10,000 dependencies is no stack of 10,000 calls."""

    def __init__(self, edges: Mapping[str, Sequence[str]]) -> None:
        self.components: list[set[str]] = []
        self.order: dict[str, int] = {}
        self._edges = edges
        self._low: dict[str, int] = {}
        self._path: list[str] = []
        self._on_path: set[str] = set()
        self._work: list[tuple[str, Iterator[str]]] = []

    def run(self, root: str) -> None:
        self._enter(root)
        while self._work:
            node, targets = self._work[-1]
            for target in targets:
                if target not in self.order:
                    if target in self._edges:
                        self._enter(target)
                        break
                elif target in self._on_path:
                    self._low[node] = min(self._low[node], self.order[target])
            else:
                self._leave(node)

    def _enter(self, node: str) -> None:
        self.order[node] = self._low[node] = len(self.order)
        self._path.append(node)
        self._on_path.add(node)
        self._work.append((node, iter(self._edges[node])))

    def _leave(self, node: str) -> None:
        self._work.pop()
        if self._work:
            above = self._work[-1][0]
            self._low[above] = min(self._low[above], self._low[node])
        if self._low[node] == self.order[node]:
            members = {node}
            while (member := self._path.pop()) != node:
                members.add(member)
            self._on_path -= members
            if len(members) > 1 or node in self._edges[node]:
                self.components.append(members)


def _shortest_way_round(start: str, component: set[str], edges: Mapping[str, Sequence[str]]) -> list[str]:
    """From `start` back to it, breadth first; it exists because all members reach each other."""
    came_from: dict[str, str] = {}
    level = [start]
    while level:
        deeper = []
        for node in level:
            for target in edges[node]:
                if target == start:
                    return _way_back(node, start, came_from)
                if target in component and target not in came_from:
                    came_from[target] = node
                    deeper.append(target)
        level = deeper
    raise AssertionError(f"{start} is on no cycle")


def _way_back(node: str, start: str, came_from: Mapping[str, str]) -> list[str]:
    way = [node]
    while node != start:
        node = came_from[node]
        way.append(node)
    return way[::-1]
