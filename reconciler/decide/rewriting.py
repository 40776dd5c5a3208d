"""A program that writes into the very folder that it runs in makes its own next revision, and that one again.

Only where it runs in its package itself: a process of this machine, or `run: inPlace`. Nobody can see who
wrote a file; but what is no program text, and changes again and again while nothing else does, is the
program's. Such files are no edits from then on: what runs goes on running, and a condition says so. Nothing
is lost by that, since the program has the folder before it as it is. What an author writes (source text,
configuration, whatever can be executed) is always taken, at most so many times in a minute.

Pure: `judge` says what is taken of what was seen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from manifests.model.service import Package, make_service
from manifests.model.source_text import EXECUTABLE, is_code, is_configuration
from reconciler.decide.conditions import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from manifests.model.service import Service

REWRITES_ITSELF = "RewritesItself"
#: So many revisions in an hour that differ in no program text are the program's own work.
_SUSPICIOUS, _HOUR = 3, 3600.0
#: So many revisions in a minute are more than anybody types.
_MOST, _MINUTE = 10, 60.0
#: Of the files that are not taken as edits, so many are named, and so many remembered.
_NAMES, _REMEMBERED = 5, 1000


@dataclass(frozen=True, slots=True)
class Look:
    """What was in a package: by path, its kind and a digest of its content. `generation`: restarts asked."""

    digest: str
    files: Mapping[str, bytes]
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Update:
    """A look that was taken as a new revision, or could have been. `data`: only what no author writes."""

    at: float
    names: frozenset[str]
    new: frozenset[str]
    data: bool


@dataclass(frozen=True, slots=True)
class Habit:
    """What one service's package does. `taken` is what counts as its content.

    `own`: the files that its program writes. `held`: what is different now, and not taken.
    """

    taken: Look
    updates: tuple[Update, ...] = ()
    own: frozenset[str] = frozenset()
    held: tuple[str, ...] = ()

    def note(self, service_id: str) -> Verdict | None:
        """What a person should know and could do about it."""
        if self.own:
            files = _some(sorted(self.own))
            return Verdict(
                REWRITES_ITSELF,
                f"its program writes into its own package: {files}; changes of such files are not taken as "
                f"edits (`atek restart {service_id}` takes them): let it write to $ATEK_DATA_DIR, or write "
                "run: inPlace",
            )
        if self.held:
            return Verdict(
                REWRITES_ITSELF,
                f"its package changed {_MOST} times in a minute: {_some(self.held)}; it is looked at again "
                "in a minute, or by `atek restart`",
            )
        return None


def judge(before: Habit | None, look: Look, now: float) -> Habit:
    """What is taken of a look at a package. `now` is in monotonic seconds."""
    if before is None:
        return Habit(look)
    if look.generation != before.taken.generation:
        return Habit(look, own=before.own)
    changed = _changed(before.taken, look)
    if not changed or not _edits(before, look, changed):
        return replace(before, held=tuple(changed))
    updates = tuple(each for each in before.updates if now - each.at < _HOUR)
    if sum(now - each.at < _MINUTE for each in updates) >= _MOST:
        return replace(before, updates=updates, held=tuple(changed))
    data = not any(_is_authors(name, before.taken, look) for name in changed)
    new = frozenset(changed) - before.taken.files.keys()
    updates = (*updates, Update(now, frozenset(changed), new, data))
    after = replace(before, updates=updates, own=before.own | _own(updates))
    if not _edits(after, look, changed):
        return replace(after, held=tuple(changed))
    return replace(after, taken=look, held=())


def _edits(habit: Habit, look: Look, changed: Collection[str]) -> bool:
    """Whether an author could have changed any of these."""
    return any(
        _is_authors(name, habit.taken, look)
        or not (name in habit.own or (habit.own and name not in habit.taken.files))
        for name in changed
    )


def _own(updates: Collection[Update]) -> frozenset[str]:
    """What changes again and again, or comes into being, where nothing of an author's changes."""
    found = [each for each in updates if each.data]
    if len(found) < _SUSPICIOUS:
        return frozenset()
    times = Counter(name for each in found for name in each.names)
    again = {name for name, count in times.items() if count > 1}
    return frozenset(sorted(again.union(*(each.new for each in found)))[:_REMEMBERED])


def _changed(taken: Look, look: Look) -> list[str]:
    names = taken.files.keys() | look.files.keys()
    return sorted(name for name in names if taken.files.get(name) != look.files.get(name))


def _is_authors(name: str, *looks: Look) -> bool:
    base = name.rpartition("/")[2]
    if is_code(base) or is_configuration(base):
        return True
    return any(look.files.get(name, b"").startswith(EXECUTABLE) for look in looks)


def _some(names: Collection[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMES} more" if len(listed) > _NAMES else ""
    return ", ".join(listed[:_NAMES]) + more


def as_fetched(service: Service, known: Iterable[Package]) -> Service:
    """A commit never changes: what is different in its files was written by a program that 0.3 ran there.

    `known` are the packages that the service runs from, or ran from last.
    """
    package = service.package
    if package is None or service.runtime != "process":
        return service
    return _with_package(service, next((each for each in known if each.path == package.path), package))


def _with_package(service: Service, package: Package) -> Service:
    if package == service.package:
        return service
    return make_service(
        service.manifest, runtime=service.runtime, package=package,
        source=service.source, generation=service.generation, exports=service.exports,
        secrets=service.secrets,
    )  # fmt: skip


@dataclass(slots=True)
class Rewriting:
    """The habits of the services of one node, by id; at first those of an earlier life."""

    _habits: dict[str, Habit] = field(default_factory=dict)

    def taken(self, service: Service, files: Mapping[str, bytes], now: float) -> Service:
        """The service as it is to run: with the package that was there last, where its program changed it."""
        package = service.package
        if package is None or not (service.runtime == "process" or service.in_place):
            self._habits.pop(service.id, None)
            return service
        before = self._habits.get(service.id)
        look = Look(f"{package.path}:{package.digest}", files, service.generation)
        if before and before.taken.digest.rpartition(":")[0] != package.path:
            before = None
        habit = self._habits[service.id] = judge(before, look, now)
        return _with_package(service, Package(package.path, habit.taken.digest.rpartition(":")[2]))

    def note(self, service_id: str) -> Verdict | None:
        """What is to be said about a service's habit."""
        habit = self._habits.get(service_id)
        return habit.note(service_id) if habit else None

    def held(self, service_id: str) -> Verdict | None:
        """Why what is different in a service's package now is no edit; None where nothing is different."""
        habit = self._habits.get(service_id)
        return habit.note(service_id) if habit and habit.held else None

    def found_out(self) -> dict[str, Habit]:
        """What is worth knowing in the next life: which files are whose, and what was taken last."""
        return {
            service_id: Habit(habit.taken, own=habit.own)
            for service_id, habit in self._habits.items()
            if habit.own
        }

    def keep(self, service_ids: Collection[str]) -> None:
        """Forgets all others."""
        for service_id in self._habits.keys() - set(service_ids):
            del self._habits[service_id]
