"""Updates by themselves: whether a service moves to what is offered, and what becomes of a move. Pure.

    time to look ─► offered ─► decide ─► Stay
                                  ├────► Ask: it waits for a person (`atek update ID`)
                                  └────► Move ─► trial ─► judge ─► Good: it stays there
                                                            └────► Bad: back to what it had, and never again

A move is written down before the service runs from it, with what it came from: whoever finds a trial, also
after a kill -9, knows where to go back to. What keeps data is asked about, and is not taken back once the new
program may have written: what it wrote may not fit what ran before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

from manifests.model.semver import parse_version
from reconciler.decide.conditions import Verdict, condition_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifests.model.semver import Version

UPDATE_AVAILABLE, REVERTED, UPDATE_FAILED = "UpdateAvailable", "Reverted", "UpdateFailed"
UPDATE_NOT_WRITTEN = "UpdateNotWritten"
#: So many bad ones of a service are remembered; servers offer the newest only.
_REMEMBERED = 20
#: Reasons of a service whose new program has certainly not run.
_NOT_RUN = frozenset({
    "PrepareFailed", "BuildFailed", "PackageChanged", "SourceMissing", "SourceUnreadable", "CommandNotFound",
    "GitFolderMissing", "NoRuntime", "ImagePullFailed", "ImageMissing", "DiskFull",
})  # fmt: skip
#: Reasons of a service that is on its way, or waits for something else than itself.
_ON_ITS_WAY = frozenset({
    "", "Preparing", "Progressing", "Starting", "Draining", "Stopping", "DependencyNotReady", "Fetching",
    "Unobservable", "Settled", "Stalled", "Suspended",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What a service can run from: a commit or an image's digest, and the tag that leads there, if one does.

    `at` is empty for what the manifest itself says. `rolling`: the tag is the same all the time, and what it
    leads to is another now and then.
    """

    at: str
    tag: str = ""
    rolling: bool = False

    @property
    def version(self) -> Version | None:
        return None if self.rolling else parse_version(self.tag)

    @property
    def shown(self) -> str:
        """As a person is told which one it is."""
        if self.rolling and self.at:
            return f"{self.tag}@{self.at.removeprefix('sha256:')[:12]}"
        return str(self.version or self.tag) if self.tag else self.at[:12]


@dataclass(frozen=True, slots=True)
class Edit:
    """A value that a manifest has, under a key that is one text, and what it would say of what runs."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Bad:
    """One that did not work, and why. `ran`: its program may have run, and written."""

    choice: Choice
    why: str
    back: str = ""
    ran: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """A move that is not judged yet. `begun`: seconds since 1970."""

    before: Choice
    to: Choice
    begun: float


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is kept of a service. `origin`: of which repository it is true.

    `looked`: when somebody asked the server last, or first knew that it is to be asked, in seconds since
    1970. `waiting` is offered and waits for a person, because of `why`.
    """

    origin: str = ""
    looked: float = 0.0
    trial: Trial | None = None
    bad: tuple[Bad, ...] = ()
    waiting: Choice | None = None
    why: str = ""

    def is_bad(self, choice: Choice) -> bool:
        """Whether it was tried, and did not work."""
        return any(each.choice.at == choice.at for each in self.bad)


# -- whether to move


@dataclass(frozen=True, slots=True)
class Wanted:
    """What holds for a service at this moment.

    `here`: what it runs from; None while that is not known. `approved`: its manifest lets it move by itself.
    `asked`: a person wants it now. `due`: it is time. `keeps`: where it has kept data, in a few words; empty
    when it has nowhere, and None when nobody could look.
    """

    here: Choice | None
    approved: bool
    keeps: str | None
    due: bool = True
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """There is nothing to do."""


@dataclass(frozen=True, slots=True)
class Move:
    to: Choice


@dataclass(frozen=True, slots=True)
class Ask:
    to: Choice
    why: str


Step = Stay | Move | Ask


def decide(wanted: Wanted, offered: Choice | None, kept: Kept) -> Step:
    """`offered`: the newest that the service may have. A person may also ask for one that was bad."""
    here = wanted.here
    if here is None or offered is None or kept.trial is not None or not _is_another(offered, here):
        return Stay()
    if wanted.asked:
        return Move(offered)
    if not wanted.due or kept.is_bad(offered):
        return Stay()
    if not wanted.approved:
        return Ask(offered, "its manifest says approve: ask")
    if here.version is None and not offered.rolling:
        return Ask(offered, f"it is at {here.shown or 'the default branch'}, which is no release")
    if wanted.keeps is None:
        return Ask(offered, "nobody could look whether it keeps data")
    return Ask(offered, wanted.keeps) if wanted.keeps else Move(offered)


def _is_another(offered: Choice, here: Choice) -> bool:
    """Nobody is led to an older one; of what is no release nobody knows whether it is older."""
    if offered.rolling:
        return offered.at != here.at
    if offered.at == here.at or offered.version is None:
        return False
    return here.version is None or offered.version > here.version


# -- what came of it


@dataclass(frozen=True, slots=True)
class Going:
    """Nobody knows yet. `until`: when to look again, in seconds since 1970, if nothing happens before."""

    until: float = inf


@dataclass(frozen=True, slots=True)
class Good:
    """It works."""


@dataclass(frozen=True, slots=True)
class Failed:
    why: str
    ran: bool


Finding = Going | Good | Failed


def judge(
    trial: Trial,
    entry: Mapping[str, Any] | None,
    deadline: float,
    now: float,
    before: Sequence[Mapping[str, Any]] = (),
) -> Finding:
    """By the service's entry in status. It has to be ready, and still so at its deadline.

    `before`: its conditions when it moved, which say nothing about what it moved to.
    """
    if entry is None or entry["suspended"]:
        return Going()
    # A clock that was set back makes no trial longer.
    until = min(trial.begun, now) + deadline
    stalled, ready = condition_of(entry, "Stalled"), condition_of(entry, "Ready")
    if ready["status"] == "True" and entry["observedRevision"] == entry["desiredRevision"]:
        return Good() if now >= until else Going(until)
    for told in (stalled, ready):
        if told not in before or now >= until:
            if told["reason"] == "Completed":
                return Good()
            if (told is stalled and told["status"] == "True") or _is_broken(told):
                return _failed(told)
    reconciling = condition_of(entry, "Reconciling")
    if now < until:
        return Going(until)
    return Going() if reconciling["reason"] in _ON_ITS_WAY else _failed(reconciling)


def _is_broken(ready: Mapping[str, Any]) -> bool:
    """Whether nothing serves: it ended for good, or again and again."""
    return ready["status"] == "False" and ready["reason"] in ("Failed", "CrashLoopBackOff")


def _failed(condition: Mapping[str, Any]) -> Failed:
    reason, message = condition["reason"], condition["message"]
    return Failed(f"{reason}: {message}" if message else reason, reason not in _NOT_RUN)


def goes_back(failed: Failed, keeps: str | None) -> bool:
    """Whether it may have what it had before: not with data that the new program may have changed."""
    return not failed.ran or keeps == ""


# -- what is kept


def begun(kept: Kept, before: Choice, to: Choice, now: float) -> Kept:
    """It moves. What was bad about the one that it moves to is over, since a person asked for it."""
    bad = tuple(each for each in kept.bad if each.choice.at != to.at)
    return replace(kept, trial=Trial(before, to, now), bad=bad, waiting=None, why="")


def failed(kept: Kept, why: Failed, *, back: bool) -> Kept:
    """It is never tried again by itself. The trial goes on until the service is where it was."""
    assert kept.trial is not None
    bad = Bad(kept.trial.to, why.why, kept.trial.before.shown, why.ran)
    return replace(kept, bad=(*kept.bad, bad)[-_REMEMBERED:], trial=kept.trial if back else None)


def over(kept: Kept) -> Kept:
    """There is nothing to judge any more."""
    return replace(kept, trial=None)


def looked(kept: Kept, step: Step, now: float) -> Kept:
    """Somebody has asked the server."""
    waiting, why = (step.to, step.why) if isinstance(step, Ask) else (None, "")
    return replace(kept, looked=now, waiting=waiting, why=why)


def note(kept: Kept, here: Choice | None, service_id: str) -> Verdict | None:
    """What a person should know of it, and could do."""
    if kept.waiting is not None and here is not None and _is_another(kept.waiting, here):
        why = f" ({kept.why})" if kept.why else ""
        told = f"{kept.waiting.shown} is there, and waits{why}: `atek update {service_id}`"
        return Verdict(UPDATE_AVAILABLE, told)
    if kept.trial is not None or not kept.bad or here is None:
        return None
    last = kept.bad[-1]
    if last.choice.at == here.at:
        told = (
            f"{here.shown} does not work ({last.why}); what it may have written may not fit {last.back}, so "
            f"it is not taken back by itself: version: {last.back} in its manifest does"
        )
        return Verdict(UPDATE_FAILED, told)
    if not _is_another(last.choice, here):
        return None
    told = f"{last.choice.shown} did not work ({last.why}); {here.shown} is back until there is a newer one"
    return Verdict(REVERTED, f"{told}; `atek update {service_id}` tries it again")


def unwritten(edit: Edit, source: str, why: str) -> Verdict:
    """What runs is another than the source says, and will be."""
    told = f"{edit.after} runs, and {source} says {edit.before}: it could not be written there: {why}"
    return Verdict(UPDATE_NOT_WRITTEN, told)
