"""Updates by themselves: asks servers when it is time, moves services, and watches how they do.

    a schedule, `atek update ID` ─► look ─► decide ─► trial, on disk ─► the release, on disk ─► resolved again
    status of a service on trial ─► judge ─► it stays there; or bad, on disk ─► back to what it had

One task for each service that says autoUpdate or is on trial, and only that one moves it: persons ask it to.
Whatever is decided is in `decide.updating`; each step is on disk before the next one, and a task that finds
one half done goes on from there.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.decide.updating import (
    UPDATE_AVAILABLE,
    UPDATE_NOT_WRITTEN,
    Choice,
    Failed,
    Going,
    Good,
    Kept,
    Move,
    Wanted,
    begun,
    decide,
    failed,
    goes_back,
    judge,
    looked,
    note,
    over,
)
from reconciler.drive.due import due
from reconciler.drive.keep_going import keep_going
from reconciler.drive.origins import Subject
from reconciler.drive.writing_back import WriteBack
from reconciler.errors import UserError
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from manifests.model.merge import Winner
    from reconciler.decide.conditions import Verdict
    from reconciler.drive.events import EventLog
    from reconciler.drive.origins import Host, Origin
    from reconciler.state.updates import UpdatesFile

#: Seconds between hearing of a service and looking at it.
TOGETHER = 0.1
#: A clock that is set, or a machine that slept, is noticed after so many seconds.
LOOK = 60.0
#: Seconds until a server or a disk that failed is tried again: doubled each time, up to the second.
AGAIN, SELDOM = 10.0, 3600.0
CHECK_FAILED = "UpdateCheckFailed"


@dataclass(slots=True, eq=False)
class _Asked:
    """A person waits for what comes of it."""

    answered: anyio.Event = field(default_factory=anyio.Event)
    value: dict[str, Any] = field(default_factory=dict)
    error: UserError | None = None


@dataclass(slots=True, eq=False)
class _Follower:
    """`chance`: how late its next look is. `before`: the conditions that are older than its trial."""

    chance: float
    writing: WriteBack
    rung: anyio.Event = field(default_factory=anyio.Event)
    asked: list[_Asked] = field(default_factory=list)
    before: Sequence[dict[str, Any]] = ()
    again: float = 0.0
    pause: float = AGAIN

    def ring(self) -> None:
        self.rung.set()
        self.rung = anyio.Event()


class Updates:
    """All of a node. Implements `reconciler.port.Updates`."""

    def __init__(
        self,
        file: UpdatesFile,
        origins: Sequence[Origin],
        events: EventLog,
        *,
        jitter: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._origins = list(origins)
        self._events = events
        self._jitter = jitter
        self._wall = wall
        self._host: Host | None = None
        self._tasks: TaskGroup | None = None
        self._followers: dict[str, _Follower] = {}

    def note(self, winner: Winner) -> Verdict | None:
        """What a person should know of a service's updates."""
        kept = self._file.get(winner.declared.manifest.id)
        subject = self._subject(winner) if kept is not None else None
        if kept is None or subject is None or kept.origin != subject.origin.origin(winner):
            return None
        kept = kept if subject.rule is not None else replace(kept, waiting=None)
        follower = self._followers.get(subject.id)
        told = note(kept, subject.here, subject.id)
        return told or (follower.writing.note(subject) if follower is not None else None)

    def waiting(self) -> list[dict[str, Any]]:
        """What is newer than what runs, and not taken: it waits for a person, or did not work."""
        return [found for service_id in sorted(self._file.all()) if (found := self._waits(service_id))]

    async def take(self, service_id: str) -> dict[str, Any]:
        """A person wants the newest of a service now. Raises UserError."""
        host = self._host
        winner = host.winner(service_id) if host is not None else None
        if host is None or winner is None:
            hint = "`atek status` lists all services"
            raise UserError(f"no source declares a service {service_id}", hint=hint)
        if self._subject(winner) is None:
            hint = "releases are those of a Git repository whose URL names no branch, tag or commit"
            raise UserError(f"{service_id} has no releases to choose from", hint=hint)
        asked = _Asked()
        follower = self._follower(host, service_id)
        follower.asked.append(asked)
        follower.ring()
        await asked.answered.wait()
        if asked.error is not None:
            raise asked.error
        return asked.value

    def rename(self, old: str, new: str) -> None:
        """What is known of a service is known of it under its new id. Raises OSError."""
        self._file.rename(old, new)

    async def run(self, host: Host) -> None:
        """Until cancelled. Run again after a defect, it begins anew."""
        for follower in self._followers.values():
            _answer(follower, UserError("updates were interrupted", hint="ask again"))
        self._followers, self._host = {}, host
        self._sweep(host)
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for service_id in {*host.updatable(), *self._on_trial()}:
                self._follower(host, service_id)
            with host.listening(partial(self._heard, host)):
                await self._save_now_and_then()

    async def _save_now_and_then(self) -> None:
        while True:
            await anyio.sleep(LOOK)
            # On a full disk it is tried again; whatever matters is written by who decides it.
            with suppress(OSError):
                self._file.save()

    # -- who is followed

    def _heard(self, host: Host, service_id: str) -> None:
        follower = self._followers.get(service_id)
        if follower is not None:
            follower.ring()
        elif (winner := host.winner(service_id)) and winner.declared.manifest.auto_update is not None:
            self._follower(host, service_id)

    def _follower(self, host: Host, service_id: str) -> _Follower:
        follower = self._followers.get(service_id)
        if follower is None:
            assert self._tasks is not None
            follower = self._followers[service_id] = _Follower(self._jitter(), WriteBack(self._events))
            follow = partial(self._follow, host, service_id, follower)
            self._tasks.start_soon(keep_going, follow, host.failed)
        return follower

    async def _follow(self, host: Host, service_id: str, follower: _Follower) -> None:
        while True:
            rung = follower.rung
            winner = host.winner(service_id)
            subject = self._subject(winner) if winner is not None else None
            if subject is None or (subject.rule is None and not self._is_busy(service_id, follower)):
                self._followers.pop(service_id, None)
                _answer(follower, UserError(f"nothing declares {service_id} any more"))
                return
            until = await self._step(host, subject, follower)
            with anyio.move_on_after(min(max(until - self._wall(), 0.0), LOOK)):
                await rung.wait()
                await anyio.sleep(TOGETHER)

    async def _step(self, host: Host, subject: Subject, follower: _Follower) -> float:
        """Returns when the next one is due, in seconds since 1970."""
        now = self._wall()
        if follower.again > now + SELDOM:
            # The clock was set back.
            follower.again = 0.0
        try:
            kept = self._kept(subject, now)
            if kept.trial is not None:
                hint = f"`atek status {subject.id}` shows how it does"
                _answer(follower, UserError(f"{subject.id} is just being updated", hint=hint))
                if now < follower.again:
                    return follower.again
                until = await self._go_on(host, subject, kept, follower)
                follower.again, follower.pause = 0.0, AGAIN
                return until
            written = await follower.writing.step(host, subject, kept, now)
            return min(written, await self._look_when_due(host, subject, kept, follower))
        except (RuntimeFailure, OSError) as failure:
            return self._not_now(subject, failure, follower)
        except Exception:
            _answer(follower, UserError(f"{subject.id} could not be updated", hint="`atek events` says why"))
            raise

    def _not_now(self, subject: Subject, failure: Exception, follower: _Follower) -> float:
        """A server or a disk is the trouble, and not the release."""
        hint = getattr(failure, "hint", "")
        _answer(follower, UserError(str(failure), hint=hint))
        if follower.pause == AGAIN:
            self._events.emit(subject.id, CHECK_FAILED, f"{failure}; will be tried again", warning=True)
        follower.again = self._wall() + follower.pause
        follower.pause = min(2 * follower.pause, SELDOM)
        return follower.again

    # -- looking

    async def _look_when_due(self, host: Host, subject: Subject, kept: Kept, follower: _Follower) -> float:
        now, asked = self._wall(), bool(follower.asked)
        comes = due(subject.rule.schedule, kept.looked, follower.chance) if subject.rule else inf
        comes = max(comes, follower.again)
        if not asked and now < comes:
            return comes
        entry = host.service(subject.id)
        if not asked and (entry is None or entry["suspended"]):
            return inf
        offered = await subject.origin.newest(subject.winner)
        approved = subject.rule is not None and subject.rule.approve == "auto"
        wanted = Wanted(subject.here, approved, keeps="", due=now >= comes, asked=asked)
        step = decide(wanted, offered, kept)
        if isinstance(step, Move) and not asked:
            # Nobody looks through a folder of data each time that there is nothing new.
            step = decide(replace(wanted, keeps=await host.keeps(subject.id)), offered, kept)
        if isinstance(step, Move) and wanted.here is not None:
            await self._move(host, subject, looked(kept, step, now), wanted.here, step.to, follower)
        else:
            await self._become(host, subject, looked(kept, step, now))
            _answer(follower, _answer_of(subject, wanted.here, wanted.here))
        follower.chance, follower.again, follower.pause = self._jitter(), 0.0, AGAIN
        return self._wall()

    async def _move(
        self, host: Host, subject: Subject, kept: Kept, here: Choice, to: Choice, follower: _Follower
    ) -> None:
        await subject.origin.fetch(subject.winner, to)
        subject.origin.spare(subject.winner, here)
        follower.before = (host.service(subject.id) or {}).get("conditions", ())
        self._file.put(subject.id, begun(kept, here, to, self._wall()))
        self._events.emit(subject.id, "Updating", f"from {here.shown} to {to.shown}")
        subject.origin.stay(subject.winner, to)
        _answer(follower, _answer_of(subject, here, to))
        await host.look_again(subject.id)

    # -- what comes of it

    async def _go_on(self, host: Host, subject: Subject, kept: Kept, follower: _Follower) -> float:
        trial, here, now = kept.trial, subject.here, self._wall()
        assert trial is not None
        subject.origin.spare(subject.winner, trial.before)
        if kept.is_bad(trial.to):
            await self._go_back(host, subject, kept, trial.before if here == trial.to else None)
            return now
        if here != trial.to:
            # Killed before it moved: looked at anew. Or somebody else has moved it since.
            again = replace(over(kept), looked=0.0 if here == trial.before else kept.looked)
            await self._become(host, subject, again)
            return now
        finding = judge(trial, host.service(subject.id), subject.deadline, now, follower.before)
        match finding:
            case Going(until):
                return until
            case Good():
                await self._become(host, subject, over(kept))
                self._events.emit(subject.id, "Updated", f"from {trial.before.shown} to {trial.to.shown}")
            case Failed():
                back = goes_back(finding, await host.keeps(subject.id))
                await self._become(host, subject, failed(kept, finding, back=back))
        return now

    async def _go_back(self, host: Host, subject: Subject, kept: Kept, to: Choice | None) -> None:
        if to is not None:
            await subject.origin.fetch(subject.winner, to)
            subject.origin.stay(subject.winner, to)
        await self._become(host, subject, over(kept))

    # -- inside

    async def _become(self, host: Host, subject: Subject, kept: Kept) -> None:
        """On disk, and then for everybody to see. Raises OSError."""
        before = self.note(subject.winner)
        self._file.put(subject.id, kept)
        if kept.trial is None:
            subject.origin.spare(subject.winner, None)
        if self.note(subject.winner) != before:
            await host.look_again(subject.id)

    def _kept(self, subject: Subject, now: float) -> Kept:
        """What is kept of it; from its first moment on, which its schedule counts from."""
        origin = subject.origin.origin(subject.winner) or ""
        kept = self._file.get(subject.id)
        if kept is None or kept.origin != origin:
            kept = Kept(origin, looked=now)
        elif kept.looked > now:
            # The clock was set back: of a time that is still to come nobody knows anything.
            kept = replace(kept, looked=now)
        else:
            return kept
        # A thousand services that are declared at once are not a thousand writes.
        self._file.put_later(subject.id, kept)
        return kept

    def _subject(self, winner: Winner) -> Subject | None:
        for origin in self._origins:
            if origin.origin(winner) is not None:
                return Subject(winner.declared.manifest.id, winner, origin)
        return None

    def _on_trial(self) -> set[str]:
        return {service_id for service_id, kept in self._file.all().items() if kept.trial is not None}

    def _is_busy(self, service_id: str, follower: _Follower) -> bool:
        return bool(follower.asked) or service_id in self._on_trial()

    def _sweep(self, host: Host) -> None:
        """Forgets what nobody declares any more. A disk that is full keeps nothing from being followed."""
        try:
            for service_id in [*self._file.all()] if host.complete else ():
                if host.winner(service_id) is None:
                    self._file.put(service_id, None)
        except OSError as error:
            self._events.emit("", "StateNotSaved", str(error), warning=True)

    def _waits(self, service_id: str) -> dict[str, Any] | None:
        winner = self._host.winner(service_id) if self._host is not None else None
        verdict = self.note(winner) if winner is not None else None
        subject = self._subject(winner) if winner is not None else None
        kept = self._file.get(service_id)
        if verdict is None or verdict.reason == UPDATE_NOT_WRITTEN:
            return None
        if subject is None or kept is None or subject.here is None:
            return None
        other = kept.waiting if verdict.reason == UPDATE_AVAILABLE else kept.bad[-1].choice
        return {
            "id": service_id,
            "installed": subject.here.shown,
            "available": other.shown if other else None,
            "reason": verdict.reason,
            "message": verdict.message,
        }


def _answer(follower: _Follower, what: dict[str, Any] | UserError) -> None:
    asked, follower.asked = follower.asked, []
    for each in asked:
        if isinstance(what, UserError):
            each.error = what
        else:
            each.value = what
        each.answered.set()


def _answer_of(subject: Subject, here: Choice | None, to: Choice | None) -> dict[str, Any]:
    return {"id": subject.id, "from": here.shown if here else "", "to": to.shown if to else ""}
