"""What a record comes to on this node: a service, a package to wait for, a problem, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from manifests.documents.record import read_record, service_of
from manifests.model.judgement import judge, judge_package, narrow
from manifests.model.nodes import Place, runs_on
from manifests.model.snapshot import INTERNAL_ERROR, Problem
from manifests.packages.resolve import ResolveError, infer_runtime, package_exports

if TYPE_CHECKING:
    from hyper.port import Drive, Record
    from manifests.documents.record import Recorded
    from manifests.model.manifest import Manifest
    from manifests.model.policy import Policy
    from manifests.sources.drives import DriveCache

FORBIDDEN = "PolicyForbids"


@dataclass(frozen=True, slots=True)
class Judgement:
    """At most one of `manifest`, `waits_for` and `problem` is there; none: other nodes run it.

    `manifest` is what to declare, with the local folder of its package.
    """

    recorded: Recorded | None = None
    manifest: Manifest | None = None
    waits_for: Drive | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """`policy` None: the node's own records, which are trusted."""

    source: str
    place: Place
    drives: DriveCache
    policy: Policy | None = None

    def look(self, record: Record) -> Judgement:
        """Reads the package's atek.json where it matters, and nothing else from the disk. Never raises."""
        try:
            return self._look(record)
        except Exception as error:
            # Whatever is wrong with one record, the others are judged.
            what, service = f"{self.source}:{record.path[-1]}", service_of(record)
            message = f"{type(error).__name__}: {error}"
            return Judgement(problem=Problem(message, what, service=service, reason=INTERNAL_ERROR))

    def _look(self, record: Record) -> Judgement:
        recorded, broken = read_record(record, self.source)
        if recorded is None:
            return Judgement(problem=broken)
        judged = Judgement(recorded)
        if not runs_on(recorded.manifest, self.place) or (self.policy and self.policy.status_only):
            return judged
        if self.policy and (why := judge(self.policy, recorded.manifest)):
            return replace(judged, problem=self._problem(recorded, FORBIDDEN, why))
        manifest, folder = recorded.manifest, None
        if recorded.drive is not None:
            if (folder := self.drives.find(recorded.drive)) is None:
                return replace(judged, waits_for=recorded.drive)
            manifest = manifest.model_copy(update={"source": folder})
        if self.policy is None:
            return replace(judged, manifest=manifest)
        return self._narrowed(self.policy, recorded, manifest, folder)

    def _narrowed(
        self, policy: Policy, recorded: Recorded, manifest: Manifest, folder: str | None
    ) -> Judgement:
        """Judged again with what the package says."""
        try:
            runtime = infer_runtime(manifest, folder)
        except ResolveError as error:
            problem = self._problem(recorded, error.reason, error.message, error.hint)
            return Judgement(recorded, problem=problem)
        except OSError as error:
            problem = self._problem(recorded, "SourceUnreadable", f"its package cannot be read: {error}")
            return Judgement(recorded, problem=problem)
        exports = manifest.exports
        if exports is None:
            exports = package_exports(folder) if folder else ()
        if why := judge_package(policy, recorded.manifest, runtime, exports):
            return Judgement(recorded, problem=self._problem(recorded, FORBIDDEN, why))
        return Judgement(recorded, narrow(policy, manifest, runtime, exports, self.source))

    def _problem(self, recorded: Recorded, reason: str, message: str, hint: str = "") -> Problem:
        if reason == FORBIDDEN:
            message = f"the follow {self.source} does not allow it: {message}"
        file = f"{self.source}:{recorded.id}"
        return Problem(message, file, hint=hint, service=recorded.id, reason=reason)
