"""The value of `atek status --json`: what is wanted, what runs, and why the two differ if they do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from manifests.model.base import printable
from manifests.model.spec import Resources
from reconciler.decide.addresses import addresses
from reconciler.decide.conditions import Condition
from reconciler.decide.may import what_it_may
from reconciler.decide.sandboxing import sandboxed
from reconciler.decide.strategy import changed_by_both, choose, depends_on_what_it_keeps
from runtimes.processes.proc import program_in_sandbox
from runtimes.router.decide.table import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manifests.model.merge import Merged
    from manifests.model.service import Service
    from manifests.model.snapshot import Problem, Source
    from reconciler.decide.conditions import Verdict
    from reconciler.decide.controller import Controller, Noted, Tracked
    from reconciler.decide.refused import Refusal
    from reconciler.drive.routing import Lost
    from runtimes.base import Kept, Running

_KINDS = ("Ready", "Reconciling", "Stalled")


def service_status(
    controller: Controller,
    lost: Lost | None = None,
    refusal: Refusal | None = None,
    node: str = "",
    owner: str = SYSTEM,
) -> dict[str, Any]:
    """One service, in the shape that the command line promises.

    `lost`: what it exports in vain. `refusal`: why a newer state of it is not declared. `node`: the node's
    own URL. `owner`: as whom the service calls others.
    """
    service = controller.wish.service
    shown = service or controller.history.healthy or _any_service(controller)
    return {
        "id": controller.id,
        "source": printable(service.source) if service else None,
        "file": printable(controller.wish.file) or None,
        "runtime": shown.runtime if shown else None,
        "image": shown.manifest.image if shown else None,
        "desiredRevision": service.revision if service else None,
        "observedRevision": _observed_revision(controller),
        "suspended": controller.stopped,
        "restarts": controller.history.restarts,
        "update": _update(controller, shown),
        "kept": _kept(controller.kept),
        "addresses": addresses(service, node, _running(controller)) if service else [],
        "may": [each.to_json() for each in what_it_may(shown, owner)] if shown else [],
        "instances": [_instance(controller, tracked) for tracked in _in_order(controller)],
        "conditions": [
            *(_condition(controller, condition) for condition in controller.conditions),
            *_limits(controller),
            *_users(controller),
            *_sandboxed(controller),
            *_exports(lost),
            *_conflicts(controller),
            *_newer(refusal),
            *_noted(controller.wish.note),
            *(each for note in controller.found.values() for each in _noted(note)),
        ],
    }


def standing(controller: Controller) -> dict[str, Any]:
    """Of that, what says how it fares, in the same shape: for those who look at all services many times."""
    service = controller.wish.service
    shown = service or controller.history.healthy or _any_service(controller)
    return {
        "desiredRevision": service.revision if service else None,
        "observedRevision": _observed_revision(controller),
        "suspended": controller.stopped,
        "update": _update(controller, shown),
        "instances": [
            {"revision": tracked.running.service.revision} for tracked in controller.instances.values()
        ],
        "conditions": [
            {"type": each.type, "status": each.status, "reason": each.reason, "message": each.message}
            for each in controller.conditions
        ],
    }


def _kept(kept: Kept | None) -> dict[str, Any] | None:
    """What its program wrote beside its code; None where there is nothing, or nobody has looked yet."""
    if kept is None or not kept.files:
        return None
    return {"files": kept.files, "size": kept.size, "names": list(kept.names), "folder": kept.folder}


def _conflicts(controller: Controller) -> list[dict[str, Any]]:
    """Whether the files of the package are what its author wrote; nothing where no two have changed them."""
    if controller.kept is None or not controller.kept.conflicts:
        return []
    since = min((each.running.started_at for each in controller.instances.values()), default=0.0)
    message = changed_by_both(controller.kept)
    return [plain(Condition("FilesAsWritten", "False", "ChangedByBoth", message), since)]


def _update(controller: Controller, service: Service | None) -> dict[str, Any] | None:
    """How the next revision takes over, or the one that does now; None where nobody has looked yet."""
    if service is None:
        return None
    keeps, kept = controller.history.kept_for(service), controller.kept
    if keeps is None and kept is None and depends_on_what_it_keeps(service):
        return None
    choice = choose(service, keeps.what if keeps else kept.what if kept else "")
    return {"strategy": choice.strategy, "because": choice.because}


def refusal_status(service_id: str, refusal: Refusal) -> dict[str, Any]:
    """A service of which nothing runs, and nothing is to run for now."""
    entry = _nothing_of(service_id)
    conditions = [plain(condition, refusal.since) for condition in refusal.conditions()]
    return entry | {"source": refusal.source, "file": refusal.file or None, "conditions": conditions}


def unknown_status(service_id: str, verdict: Verdict) -> dict[str, Any]:
    """A service of which nothing can be told but why."""
    conditions = [plain(Condition(kind, "Unknown", verdict.reason, verdict.message), 0.0) for kind in _KINDS]
    return _nothing_of(service_id) | {"conditions": conditions}


def _nothing_of(service_id: str) -> dict[str, Any]:
    return {
        "id": service_id,
        "source": None,
        "file": None,
        "runtime": None,
        "image": None,
        "desiredRevision": None,
        "observedRevision": None,
        "suspended": False,
        "restarts": 0,
        "addresses": [],
        "may": [],
        "instances": [],
        "conditions": [],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    keys = ("message", "file", "line", "key", "hint")
    return {key: getattr(problem, key) for key in keys}


def source_status(source: Source, merged: Merged, last_read: float | None) -> dict[str, Any]:
    """One source: its services, its errors in one line and in detail, when it was last read without any."""
    snapshot = source.snapshot
    return {
        "name": snapshot.source,
        "kind": snapshot.kind,
        "revision": snapshot.revision,
        "lastRead": last_read,
        "services": [declared.manifest.id for declared in snapshot.services],
        "error": "; ".join(str(problem) for problem in snapshot.problems) or None,
        "problems": [_problem(each) for each in snapshot.problems],
        "warnings": [_problem(each) for each in snapshot.warnings if not each.service],
        "conflicts": [
            {
                "id": conflict.service,
                "winner": conflict.winner_file,
                "loser": conflict.file,
                "message": str(conflict),
            }
            for conflict in merged.conflicts.get(snapshot.source, ())
        ],
    }


def unready(controllers: Sequence[Controller]) -> dict[str, str]:
    """Id → why, for each service that should serve and does not; completed and stopped ones are fine."""
    reasons = {}
    for controller in controllers:
        wanted = controller.wish.service is not None or controller.wish.problem is not None
        if wanted and not (controller.ready or controller.stopped or controller.succeeded):
            condition = controller.condition("Ready")
            reasons[controller.id] = (
                f"{condition.reason}: {condition.message}" if condition else "not decided yet"
            )
    return reasons


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, as Kubernetes writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _observed_revision(controller: Controller) -> str | None:
    """The revision that serves; while two are ready, the newer one."""
    ready = [tracked.view for tracked in controller.instances.values() if tracked.view.ready]
    newest = max(ready, key=lambda view: view.since, default=None)
    return newest.revision if newest else None


def _any_service(controller: Controller) -> Any:
    return next((tracked.running.service for tracked in controller.instances.values()), None)


def _in_order(controller: Controller) -> list[Tracked]:
    """In each slot the older ones first, whatever state they are in."""
    instances = controller.instances.values()
    return sorted(instances, key=lambda tracked: (tracked.view.slot, tracked.running.started_at))


def _running(controller: Controller) -> list[Running]:
    return [tracked.running for tracked in _in_order(controller)]


def _instance(controller: Controller, tracked: Tracked) -> dict[str, Any]:
    running = tracked.running
    return {
        "instance": running.instance,
        "slot": running.slot,
        "pid": running.pid if running.sandbox == "none" else program_in_sandbox(running.pid),
        **({"container": running.container} if running.container else {}),
        "state": tracked.view.state.value,
        "revision": running.service.revision,
        "restarts": controller.history.restarts,
        "endpoint": str(running.endpoint),
        **_tasks(running),
        "startedAt": timestamp(running.started_at),
    }


def _tasks(running: Running) -> dict[str, Any]:
    """Where the tasks run that a cluster keeps of an instance; nothing for any other."""
    if running.copies is None:
        return {}
    tasks = [
        {
            "task": each.name,
            "machine": each.machine,
            "endpoint": str(each.endpoint) if each.endpoint else None,
        }
        for each in running.copies
    ]
    return {"tasks": tasks}


def _limits(controller: Controller) -> list[dict[str, Any]]:
    """Whether the resource limits of what runs could be applied; nothing when none are asked for."""
    service, running = controller.wish.service, [each.running for each in controller.instances.values()]
    if service is None or not running or service.manifest.resources == Resources():
        return []
    missing = sorted({note for each in running for note in each.unenforced})
    sampled = sorted({each.sampled for each in running if each.sampled})
    since = min(each.started_at for each in running)
    message = "; ".join([*missing, *sampled])
    if missing:
        return [plain(Condition("LimitsEnforced", "False", "NotEnforced", message), since)]
    reason = "Sampled" if sampled else "Enforced"
    return [plain(Condition("LimitsEnforced", "True", reason, message), since)]


def _users(controller: Controller) -> list[dict[str, Any]]:
    """What goes on as it did before services had users of their own; nothing where nothing does."""
    since = [each.running.started_at for each in controller.instances.values() if each.running.awaits_user]
    if not since:
        return []
    message = "it runs on as the user that it was started as; from its next start on it has its own"
    return [plain(Condition("OwnUser", "False", "StartedBefore", message), min(since))]


def _sandboxed(controller: Controller) -> list[dict[str, Any]]:
    running = [each.running for each in controller.instances.values()]
    condition = sandboxed(running)
    return [] if condition is None else [plain(condition, min(each.started_at for each in running))]


def _exports(lost: Lost | None) -> list[dict[str, Any]]:
    """Whether another service has an API that this one exports; nothing when each has its own."""
    if lost is None:
        return []
    return [plain(Condition("ExportsServed", "False", "ExportConflict", str(lost)), lost.since)]


def _noted(note: Noted | None) -> list[dict[str, Any]]:
    return [] if note is None else [plain(note.condition, note.since)]


def _newer(refusal: Refusal | None) -> list[dict[str, Any]]:
    return [] if refusal is None else [plain(refusal.up_to_date(), refusal.since)]


def plain(condition: Condition, since: float) -> dict[str, Any]:
    """As it is written down; `since`: seconds since 1970 when its status became what it is."""
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": timestamp(since),
    }


def _condition(controller: Controller, condition: Condition) -> dict[str, Any]:
    message = condition.message
    if controller.progress and condition.status != "False":
        message = f"{message}: {controller.progress}" if message else controller.progress
    told = replace(condition, message=message)
    return plain(told, controller.transitions.get(condition.type, 0.0))
