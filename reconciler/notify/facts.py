"""What a person should know of, by the node's status: one fact for each thing that is so now. Pure.

Stalled    a service or a source waits for a person: nothing will change by itself
Reverted   what was wanted did not work, and what ran before was brought back
Updated    another revision of a service serves (an event: it is over as soon as it is told)
NodeAway   nobody who has the records of a followed node was connected for `AWAY` seconds
DiskLow    the home's disk has little room left; it is over once there is clearly more
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any

from reconciler.decide.conditions import condition_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.state.notify_settings import Kind

#: Seconds that a node may be away before anybody is told: machines sleep, and homes have one line.
AWAY = 600.0
#: A disk is low below both of these, and no longer low above either of them by half.
LOW_SHARE, LOW_BYTES = 0.1, 2 * 2**30
_ENOUGH = 1.5
#: Reasons of conditions that say that something was taken back.
_REVERTED = frozenset({"Reverted", "HealthyDeadlineExceeded"})


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of the file system that the home lies on; `free` for whom the node runs as."""

    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is so. `service` is empty where none is concerned; `reason` another one is news."""

    kind: Kind
    subject: str
    reason: str
    text: str
    service: str = ""

    @property
    def key(self) -> str:
        """What makes it the same fact, whatever its reason."""
        return f"{self.kind} {self.subject}"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is so.

    `unsure`: keys of what cannot be told now. `there`: the ids of all services, `serving`: the revision of
    each that is ready. `whole`: see `facts_of`. `look_again`: when something becomes so unannounced.
    """

    so: Mapping[str, Fact] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()
    there: frozenset[str] = frozenset()
    serving: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True
    look_again: float = inf


def facts_of(
    status: Mapping[str, Any], disk: Disk | None, known: Mapping[str, str], now: float, *, whole: bool
) -> Facts:
    """`known`: what was so before, by key. `whole`: the status has every service and source that there is."""
    found = [*_of_services(status["services"]), *_of_sources(status["sources"], now), *_of_disk(disk, known)]
    so = {fact.key: fact for fact in found}
    waiting = [since + AWAY for since in _away(status["sources"]).values() if since + AWAY > now]
    return Facts(
        so,
        frozenset(_unsure(status, disk, known, whole=whole)) - so.keys(),
        frozenset(entry["id"] for entry in status["services"]),
        {entry["id"]: entry["observedRevision"] for entry in status["services"] if _serves(entry)},
        whole,
        min(waiting, default=inf),
    )


def _of_services(services: list[dict[str, Any]]) -> Iterator[Fact]:
    for entry in services:
        stalled = condition_of(entry, "Stalled")
        if stalled["status"] == "True":
            kind: Kind = "Reverted" if _taken_back(entry, stalled) else "Stalled"
            yield Fact(kind, entry["id"], stalled["reason"], _because(stalled), entry["id"])
        elif (updatable := condition_of(entry, "Updatable"))["reason"] in _REVERTED:
            yield Fact("Reverted", entry["id"], updatable["reason"], _because(updatable), entry["id"])


def _taken_back(entry: Mapping[str, Any], stalled: Mapping[str, Any]) -> bool:
    """Whether it serves all the same, as the revision before."""
    return stalled["reason"] in _REVERTED and bool(entry["observedRevision"])


def _of_sources(sources: list[dict[str, Any]], now: float) -> Iterator[Fact]:
    for source in sources:
        subject = f"source {source['name']}"
        stalled = condition_of(source, "Stalled")
        if stalled["status"] == "True":
            kind: Kind = "Reverted" if stalled["reason"] in _REVERTED else "Stalled"
            yield Fact(kind, subject, stalled["reason"], _because(stalled))
    for name, since in _away(sources).items():
        if now - since >= AWAY:
            yield Fact("NodeAway", f"node {name}", "PeerAway", "nobody who has its records is connected")


def _away(sources: list[dict[str, Any]]) -> dict[str, float]:
    """Name of a followed node → since when nobody is there who has its records."""
    away = {}
    for source in sources:
        synced = condition_of(source, "Synced")
        if source["kind"] == "follow" and synced["reason"] == "PeerAway":
            away[source["name"]] = datetime.fromisoformat(synced["lastTransitionTime"]).timestamp()
    return away


def _of_disk(disk: Disk | None, known: Mapping[str, str]) -> Iterator[Fact]:
    if disk is None:
        return
    share, size = LOW_SHARE, float(LOW_BYTES)
    if "DiskLow disk" in known:
        share, size = share * _ENOUGH, size * _ENOUGH
    if disk.free < size and disk.free < share * disk.total:
        left = f"{disk.free / 2**20:,.0f} MiB of {disk.total / 2**30:,.1f} GiB are free"
        yield Fact("DiskLow", "disk", "DiskLow", left)


def _unsure(
    status: Mapping[str, Any], disk: Disk | None, known: Mapping[str, str], *, whole: bool
) -> Iterator[str]:
    """Keys of what was so, and is not known not to be so any more."""
    entries = {entry["id"]: entry for entry in status["services"]}
    entries |= {f"source {source['name']}": source for source in status["sources"]}
    nodes = {f"node {source['name']}": source for source in status["sources"]}
    for key in known:
        kind, _, subject = key.partition(" ")
        of, asked = (nodes, "Synced") if kind == "NodeAway" else (entries, "Stalled")
        if kind == "DiskLow":
            unsure = disk is None
        elif subject not in of:
            unsure = not whole
        else:
            told = condition_of(of[subject], asked)
            unsure = told["status"] == "Unknown" and told["reason"] != "PeerAway"
        if unsure:
            yield key


def _serves(entry: Mapping[str, Any]) -> bool:
    current = entry["observedRevision"] == entry["desiredRevision"]
    return bool(entry["observedRevision"]) and current and condition_of(entry, "Ready")["status"] == "True"


def _because(condition: Mapping[str, Any]) -> str:
    return ": ".join(part for part in (condition["reason"], condition["message"]) if part)
