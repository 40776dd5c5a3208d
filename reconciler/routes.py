"""What the router has to know about one service, told from what the node keeps in mind about it. Pure.

Only a ready instance is a backend; what is asked to stop is none from that moment on. Whatever runs, starts
or drains may call others, so each running instance has its credential. What a service exports and may call
are policies: today's manifest holds for every instance of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.table import SYSTEM, Backend, Credential, Export, ServiceRoute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from manifests.service import Service
    from reconciler.controller import Controller, Tracked


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
    return ServiceRoute(
        id=controller.id,
        key=key,
        rank=controller.wish.rank,
        owner=owner,
        exports=_exports(service) if speaks and not controller.stopped else (),
        backends=backends,
        credentials=tuple(_credentials(instances)),
        allow=service.manifest.allow,
    )


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
        Backend(name, endpoint.socket, endpoint.host, endpoint.port, exports=exports)
        for name, endpoint in places.items()
    )


def _exports(service: Service) -> tuple[Export, ...]:
    return tuple(Export(export.api, export.path, export.transport) for export in service.exports)


def _credentials(instances: tuple[Tracked, ...]) -> Iterable[Credential]:
    """An instance whose token nobody knows any more has none: an empty one would let anybody in."""
    for tracked in instances:
        if tracked.running.token:
            yield Credential(tracked.running.token, tracked.running.pid)
