"""What is done with a commit of a Git source, and how the source fares. Pure.

    seen ─► step ─► (fetched, verified, read) ─► objection? ─► held: what ran goes on, whole
                                                    └─ none ─► applied, settling ─► ready
                                                                       └─ failed ─► onFailure: revert ─► held

A commit that is held is not tried again until the ref is another one, or a person asks (`atek sync`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconciler.decide.conditions import Condition, condition_of
from reconciler.decide.grants import GRANT_REQUIRED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.model.git_source import GitSource
    from manifests.model.snapshot import Problem

INVALID, FORBIDDEN, EMPTY, REVERTED = "InvalidManifests", "PolicyForbids", "Empty", "Reverted"
#: Reasons of a service that never came as far as running the commit's revision.
_NOT_RUN = frozenset({
    "PrepareFailed", "SourceMissing", "SourceUnreadable", "CommandNotFound", "NoRuntime", "ImagePullFailed",
})  # fmt: skip
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Applied:
    """A commit whose manifests are what the source says. `ref`: as people know it, `main@ab12…`.

    `time` is when it was committed, `at` when it was applied, in seconds since 1970; `verified`: who signed.
    """

    commit: str
    ref: str
    author: str
    subject: str
    time: float
    at: float
    verified: str = ""
    services: tuple[str, ...] = ()
    #: The full name of the ref, which is empty for a commit's own id.
    name: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A commit that is not applied, or no longer, and why."""

    commit: str
    ref: str
    reason: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class Before:
    """How a service was when a commit was applied: what it was to be, and whether it was given up."""

    revision: str | None
    stalled: bool


@dataclass(frozen=True, slots=True)
class Settling:
    """Since a commit was applied, not all of its services were ready at once. `ran`: those that started."""

    before: Mapping[str, Before] = field(default_factory=dict)
    ran: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is kept of a source. `origin` is the repository and the folder that it is of.

    `previous` is what a revert goes back to, while the commit settles. `staying`: services that a revert did
    not take back, which stay as the held commit has them. `left`: of those that are not pruned, the commit
    that had a service last.
    """

    origin: str = ""
    applied: Applied | None = None
    previous: Applied | None = None
    settling: Settling | None = None
    held: Held | None = None
    attempted: str = ""
    pruned: tuple[str, ...] = ()
    staying: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)


def elsewhere(kept: Kept) -> Mapping[str, str]:
    """Service id → the commit that says what it is, of those that the applied one does not say it of."""
    staying = dict.fromkeys(kept.staying, kept.held.commit) if kept.held else {}
    return {**kept.left, **staying}


def commits(kept: Kept) -> set[str]:
    """All that something is still to be read from."""
    found = {each.commit for each in (kept.applied, kept.previous, kept.held) if each}
    return found | set(kept.left.values())


def is_new(kept: Kept, commit: str) -> bool:
    """Whether there is anything to be done about the commit that the ref is now."""
    if kept.held is not None and kept.held.commit == commit:
        return False
    return kept.applied is None or kept.applied.commit != commit


def objection(
    source: GitSource, kept: Kept, problems: Sequence[Problem], services: Collection[str]
) -> tuple[str, str] | None:
    """Why a commit as it was read is not applied: a reason and a message."""
    if problems:
        reason = FORBIDDEN if all(each.reason == FORBIDDEN for each in problems) else INVALID
        told = "; ".join(str(each) for each in problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        return reason, f"{told}{more}"
    last = kept.applied or kept.previous
    if not services and last and last.services and source.prune and not source.allow_empty:
        count = len(last.services)
        return EMPTY, f"it has no services at all, and {count} would end (allowEmpty = true lets them)"
    return None


def hold(kept: Kept, commit: str, ref: str, reason: str, message: str, now: float) -> Kept:
    """What ran goes on as it was."""
    return replace(kept, held=Held(commit, ref, reason, message, now), attempted=ref)


def apply(source: GitSource, kept: Kept, applied: Applied, before: Mapping[str, Before]) -> Kept:
    """The commit is what the source says from now on."""
    was = set(kept.applied.services) | kept.left.keys() if kept.applied else set(kept.left)
    gone = was - set(applied.services)
    left: dict[str, str] = {}
    if not source.prune and kept.applied is not None:
        left = {each: kept.left.get(each, kept.applied.commit) for each in gone}
    # While a commit settles, what is gone back to is the last one that was ready as a whole.
    previous = kept.previous if kept.settling is not None and kept.previous else kept.applied
    return Kept(
        origin=kept.origin,
        applied=applied,
        previous=previous,
        settling=Settling(before),
        attempted=applied.ref,
        pruned=tuple(sorted(gone - left.keys())),
        left=left,
    )


def revert(kept: Kept, failed: str, message: str, staying: Collection[str], now: float) -> Kept:
    """The previous commit is what the source says again, but for the services that stay."""
    assert kept.applied is not None
    assert kept.previous is not None
    told = f"{failed} {message}; {kept.previous.ref} is applied again"
    if staying:
        told += f", but for {', '.join(sorted(staying))}: what they keep may not fit what ran before"
    bad = kept.applied
    return Kept(
        origin=kept.origin,
        applied=replace(kept.previous, at=now),
        held=Held(bad.commit, bad.ref, REVERTED, told, now),
        attempted=bad.ref,
        staying=tuple(sorted(staying)),
        left=kept.left,
    )


@dataclass(frozen=True, slots=True)
class Fare:
    """How the services of a commit that settles are. `failed`: the first that was given up, and why."""

    ready: bool = False
    failed: str = ""
    why: str = ""
    staying: frozenset[str] = frozenset()
    ran: frozenset[str] = frozenset()
    waiting: tuple[str, ...] = ()


def before_of(entry: Mapping[str, Any] | None) -> Before:
    """Of a service's entry in status; None: there is none."""
    if entry is None:
        return Before(None, stalled=False)
    return Before(entry["desiredRevision"], _is_stalled(entry))


def fare(kept: Kept, entries: Mapping[str, Mapping[str, Any] | None]) -> Fare:
    """`entries`: of each service of the commit, what status says of it."""
    assert kept.settling is not None
    ran = kept.settling.ran | {each for each, entry in entries.items() if entry and _runs(entry)}
    failed = {
        each: entry
        for each, entry in entries.items()
        if entry and _is_given_up(entry, kept.settling.before.get(each, Before(None, stalled=False)))
    }
    waiting = tuple(each for each, entry in entries.items() if entry is None or not _is_ready(entry))
    if not failed:
        return Fare(ready=not waiting, waiting=waiting, ran=ran)
    first = min(failed)
    stalled, ready = condition_of(failed[first], "Stalled"), condition_of(failed[first], "Ready")
    told = stalled if stalled["status"] == "True" else ready
    why = f"is {told['reason']}: {told['message']}"
    may_have_run = _may_have_run(ran, failed)
    staying = {each for each, entry in entries.items() if entry and _keeps(entry) and each in may_have_run}
    return Fare(failed=first, why=why, staying=frozenset(staying), ran=ran, waiting=waiting)


def _may_have_run(ran: frozenset[str], failed: Mapping[str, Mapping[str, Any]]) -> set[str]:
    known = {
        each for each, entry in failed.items() if condition_of(entry, "Stalled")["reason"] not in _NOT_RUN
    }
    return known | ran


def _is_given_up(entry: Mapping[str, Any], before: Before) -> bool:
    """Whether the commit is to blame: it was not like that before, or is another revision now."""
    return _is_stalled(entry) and not (before.stalled and before.revision == entry["desiredRevision"])


def _is_stalled(entry: Mapping[str, Any]) -> bool:
    """Whether nothing will change by itself; also where a program that is not to be restarted failed.

    What its owner has to grant first is no fault of the commit.
    """
    stalled, ready = condition_of(entry, "Stalled"), condition_of(entry, "Ready")
    waits = stalled["reason"] == GRANT_REQUIRED
    return bool((stalled["status"] == "True" and not waits) or ready["reason"] == "Failed")


def _is_ready(entry: Mapping[str, Any]) -> bool:
    ready = condition_of(entry, "Ready")
    current = entry["observedRevision"] == entry["desiredRevision"] or ready["reason"] == "Completed"
    return bool(entry["suspended"]) or (ready["status"] == "True" and current)


def _runs(entry: Mapping[str, Any]) -> bool:
    return any(each["revision"] == entry["desiredRevision"] for each in entry["instances"])


def _keeps(entry: Mapping[str, Any]) -> bool:
    """Whether it has data that only one revision at a time may have, so far as anybody has looked."""
    update = entry.get("update")
    return update is None or update["strategy"] == "recreate"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a ref or a commit cannot be had just now. `passing`: nobody has to do anything."""

    reason: str
    message: str
    passing: bool = False


def conditions_of(
    source: GitSource, kept: Kept, trouble: Trouble | None, fares: Fare | None = None, *, busy: bool = False
) -> tuple[Condition, Condition, Condition]:
    """Ready, Reconciling and Stalled, as Flux has them on a Kustomization.

    `fares`: how the commit's services are while it settles; `busy`: another one is on its way.
    """
    if source.suspend:
        return _three(_ready(kept), "Suspended", "nothing new is taken from it until suspend is false")
    if trouble is not None and not (busy and trouble.passing):
        return _three(
            "False", trouble.reason, trouble.message, stalled=not trouble.passing, trying=trouble.passing
        )
    if kept.held is not None:
        what = "was taken back" if kept.held.reason == REVERTED else "is not applied"
        told = f"{kept.held.ref} {what}: {kept.held.message}"
        return _three("False", kept.held.reason, told, stalled=True)
    if kept.applied is None:
        return _three("Unknown", "Progressing", "nothing was applied yet", trying=True)
    if busy:
        return _three(_ready(kept), "Progressing", "another commit is being fetched", trying=True)
    if kept.settling is None:
        return _three("True", "Succeeded", f"{kept.applied.ref} is applied")
    if fares is not None and fares.failed:
        told = f"{kept.applied.ref} is applied, but {fares.failed} {fares.why}"
        return _three("False", "HealthCheckFailed", told, trying=True)
    names = ", ".join(sorted(fares.waiting)[:_SHOWN]) if fares else "its services"
    told = f"{kept.applied.ref} is applied; not ready yet: {names}"
    return _three("Unknown", "Progressing", told, trying=True)


def _ready(kept: Kept) -> str:
    return "True" if kept.applied is not None and kept.settling is None else "Unknown"


def _three(
    ready: str, reason: str, message: str, *, stalled: bool = False, trying: bool = False
) -> tuple[Condition, Condition, Condition]:
    return (
        Condition("Ready", ready, reason, message),  # type: ignore[arg-type]
        Condition("Reconciling", "True" if trying else "False", reason, message if trying else ""),
        Condition("Stalled", "True" if stalled else "False", reason, message if stalled else ""),
    )
