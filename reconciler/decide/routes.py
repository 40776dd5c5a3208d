"""What the router has to know about one service, told from what the node keeps in mind about it. Pure.

Only a ready instance is a backend; what is asked to stop is none from that moment on. Whatever runs, starts
or drains may call others, so each running instance has its credential. What a service exports and may call
are policies: today's manifest holds for every instance of it.

While nobody is ready, requests may wait for who is about to be (`awaited`): a service that is being
recreated, or whose first crash is made good at once, loses none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.decide.lifecycle import State
from runtimes.router.decide.table import SYSTEM, Backend, Credential, Export, ServiceRoute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from manifests.model.service import Service
    from reconciler.decide.controller import Controller, Tracked


def route_of(controller: Controller, key: str, owner: str = SYSTEM) -> ServiceRoute | None:
    """The route of a service with this public key, of this user.

    None when nobody declares it and nothing of it runs.
    """
    instances = tuple(controller.instances.values())
    service = _spokesman(controller, instances)
    if service is None:
        return None
    backends = tuple(
        backend for tracked in instances if tracked.view.ready for backend in backends_of(tracked)
    )
    # Nobody knows whether an undeclared service should run; while it serves, it exports what it did.
    speaks = controller.wish.service is not None or backends
    awaits = None if backends else awaited(controller)
    return ServiceRoute(
        id=controller.id,
        key=key,
        rank=controller.wish.rank,
        owner=owner,
        exports=_exports(service) if speaks and not controller.stopped else (),
        backends=backends,
        credentials=tuple(_credentials(instances)),
        allow=service.manifest.allow,
        awaits=awaits.revision if awaits else "",
        after_crash=awaits is not None and awaits.after_crash,
        cross_site=service.manifest.cross_site == "allow",
        access="" if service.manifest.access is None else service.manifest.access,
        sign_in=service.manifest.sign_in.fields if service.manifest.sign_in else (),
    )


@dataclass(frozen=True, slots=True)
class Awaited:
    """The revision that is about to serve; `after_crash`: in place of an instance of it that broke."""

    revision: str
    after_crash: bool = False


def awaited(controller: Controller) -> Awaited | None:
    """Who will serve soon, although nobody does; None where nobody can say so.

    Somebody can in a switch (what served leaves or has left, what comes starts, or what served before comes
    back), when the node starts, and after the first crash of what was healthy. What never was healthy, is in
    back-off, or runs and does not do well is not worth waiting for.
    """
    history, target = controller.history, _target(controller)
    if target is None or history.healthy is None or not target.manifest.slots:
        return None
    if any(
        tracked.view.live and tracked.view.state is not State.STARTING for tracked in _instances(controller)
    ):
        return None
    if any(done.revision == target.revision for done in history.completed.values()):
        return None
    if not history.is_healthy(target):
        return Awaited(target.revision)
    crashes = history.crashes if history.crashed == target.revision else 0
    broke = crashes > 0 or any(tracked.crash for tracked in _instances(controller))
    return Awaited(target.revision, after_crash=broke) if crashes <= 1 else None


def _target(controller: Controller) -> Service | None:
    """What should run and can: the declared revision, else what was healthy before."""
    wish, history = controller.wish, controller.history
    if wish.service is None or controller.stopped:
        return None
    rejected = history.rejected is not None and history.rejected.revision == wish.service.revision
    candidates = (history.healthy,) if rejected or wish.problem else (wish.service, history.healthy)
    starting = {tracked.view.revision for tracked in _instances(controller) if tracked.view.live}
    return next(
        (each for each in candidates if each and (each.revision in starting or history.prepared(each))), None
    )


def _instances(controller: Controller) -> Iterable[Tracked]:
    return controller.instances.values()


def restarts(controller: Controller) -> bool:
    """Whether an instance that leaves has a successor: its clients may come again, and need not stay."""
    return controller.wish.service is not None and not controller.stopped


def _spokesman(controller: Controller, instances: tuple[Tracked, ...]) -> Service | None:
    """Whose policies hold: the declared service's, else those of the instance started last."""
    if controller.wish.service is not None:
        return controller.wish.service
    return instances[-1].running.service if instances else None


def backends_of(tracked: Tracked) -> tuple[Backend, ...]:
    """Where the router may send what is for an instance: one place, or one for each of its tasks."""
    running = tracked.running
    places = {running.instance: running.endpoint}
    if running.copies is not None:
        places = {
            f"{running.instance}.{each.name}": each.endpoint for each in running.copies if each.endpoint
        }
    exports = _exports(running.service)
    return tuple(
        Backend(name, endpoint.socket, endpoint.host, endpoint.port, exports, running.router_token)
        for name, endpoint in places.items()
    )


def _exports(service: Service) -> tuple[Export, ...]:
    return tuple(Export(export.api, export.path, export.transport) for export in service.exports)


def _credentials(instances: tuple[Tracked, ...]) -> Iterable[Credential]:
    """An instance whose token nobody knows any more has none: an empty one would let anybody in."""
    for running in (tracked.running for tracked in instances):
        if running.token:
            yield Credential(running.token, running.pid, running.container or running.instance)
