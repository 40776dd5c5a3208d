"""The one rule that says whose a process is: pure, over what was seen of the processes of this machine.

A *family* is what one start made: an instance, or a tool or probe that the node runs. Its seal decides where
a process has it (marks.py). A process without it (its program came through PAM, or an older version of the
node started it) belongs to whom an earlier look, its cgroup, its environment, its parents, its session or its
log name, in this order; a family that lives goes before one that has ended. An orphan
that none of them tells anything of has become the node's child, since the node is a subreaper; it belongs
to whoever was there before it.

What once belonged to this node and belongs to nobody that lives is a stray (NOBODY); what may belong to
several, all alive, is left alone until one of them is left (SEVERAL).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

NOBODY, SEVERAL = "", "*"


@dataclass(frozen=True, slots=True)
class Seen:
    """One process. `start` is in clock ticks since boot.

    `seal` is 0 unless it is one of this node's. `cgroup` and `named` (by its environment) are families of
    this node, `log` the service whose log its output goes to; each empty when there is none.
    """

    pid: int
    start: int
    parent: int
    group: int
    session: int
    dead: bool = False
    seal: int = 0
    cgroup: str = ""
    named: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """One that lives, or is about to be ended. `leader` is the process that was started, at `start` ticks.

    `members` are processes that were known to be its own at an earlier look, each with its start.
    """

    name: str
    leader: int
    start: int
    seal: int
    service: str = ""
    members: frozenset[tuple[int, int]] = frozenset()


def owners(
    seen: Mapping[int, Seen],
    families: Collection[Family],
    *,
    node: int,
    own_seal: int,
    subreaper: bool = True,
) -> dict[int, str]:
    """The family of each process that is this node's: its name, NOBODY or SEVERAL. Others are left out.

    `node` is the node's own process; what it starts in passing carries `own_seal`. Without `subreaper`
    nothing follows from being the node's child.
    """
    rule = _Rule(seen, families, node, own_seal, subreaper)
    found = ((pid, rule.owner(pid)) for pid in seen if pid != node)
    return {pid: owner for pid, owner in found if owner is not None}


class _Rule:
    def __init__(
        self,
        seen: Mapping[int, Seen],
        families: Collection[Family],
        node: int,
        own_seal: int,
        subreaper: bool,
    ) -> None:
        self._seen = seen
        self._families = families
        self._node = node
        self._own_seal = own_seal
        self._subreaper = subreaper
        self._by_leader = {family.leader: family for family in families}
        self._by_seal = {family.seal: family.name for family in families}
        self._names = {family.name for family in families}
        self._members = {member: family.name for family in families for member in family.members}
        self._known: dict[int, str | None] = {}

    def owner(self, pid: int) -> str | None:
        if pid not in self._known:
            # A look at a changing machine may show a circle of parents.
            self._known[pid] = None
            self._known[pid] = self._decide(self._seen[pid])
        return self._known[pid]

    def _decide(self, process: Seen) -> str | None:
        leads = self._by_leader.get(process.pid)
        if leads and leads.start == process.start:
            return leads.name
        if process.seal == self._own_seal:
            return None if self._descends_from_node(process) else NOBODY
        if process.seal:
            return self._by_seal.get(process.seal, NOBODY)
        told = list(self._told(process))
        return next((name for name in told if name != NOBODY), NOBODY if told else None)

    def _told(self, process: Seen) -> Iterator[str]:
        """What each piece of evidence says: a family's name, SEVERAL, or NOBODY for one that has ended."""
        if (name := self._members.get((process.pid, process.start))) is not None:
            yield name
        for name in (process.cgroup, process.named):
            if name:
                yield name if name in self._names else NOBODY
        parent = process.parent
        if parent != self._node and parent in self._seen and (owner := self.owner(parent)) is not None:
            yield owner
        if process.session in self._by_leader:
            yield self._by_leader[process.session].name
        if process.log:
            yield _one_of([family for family in self._families if family.service == process.log])
        if parent == self._node and self._subreaper:
            yield _one_of([family for family in self._families if family.start <= process.start])

    def _descends_from_node(self, process: Seen) -> bool:
        passed: set[int] = set()
        pid = process.parent
        while pid in self._seen and pid not in passed and pid != self._node:
            passed.add(pid)
            pid = self._seen[pid].parent
        return pid == self._node


def _one_of(families: Collection[Family]) -> str:
    if len(families) > 1:
        return SEVERAL
    return next((family.name for family in families), NOBODY)


def remember(family: Family, seen: Mapping[int, Seen], owners: Mapping[int, str]) -> Family:
    """The same family with all members that it has now: their parents may go, and then nothing tells."""
    mine = (seen[pid] for pid, owner in owners.items() if owner == family.name)
    return replace(family, members=frozenset((each.pid, each.start) for each in mine))
