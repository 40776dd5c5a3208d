"""`atek delete`: takes a service out of the node's own folder or records, and the node stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import nearest
from reconciler.cli.recorded import recorded, remove
from reconciler.errors import UserError
from reconciler.state.own_manifests import declarations, file_of, require_own

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_HINT = "remove it there: the node notices"


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError when another file, or another source, has the last word on the service."""
    home, service_id = arguments.home, arguments.id
    declared = declarations(home)
    require_own(home, service_id, declared, hint=_HINT)
    if service_id in declared:
        file_of(home, service_id).unlink()
    elif service_id in recorded(home):
        remove(home, service_id)
    else:
        raise _unknown(home, service_id, declared)
    print(f"{service_id} deleted")
    return 0


def _unknown(home: Path, service_id: str, declared: dict[str, list[Path]]) -> UserError:
    """The running node may know it from elsewhere."""
    services = _services(home)
    for service in services:
        if service["id"] == service_id:
            return _elsewhere(service_id, service.get("file") or f"source {service['source']}")
    names = [*declared, *(service["id"] for service in services)]
    return UserError(f"there is no service {service_id}", hint=nearest(service_id, names))


def _services(home: Path) -> list[dict[str, Any]]:
    """As the running node knows them; none without a node."""
    try:
        services: list[dict[str, Any]] = Client(home).status()["services"]
    except UserError:
        return []
    return services


def _elsewhere(service_id: str, where: str) -> UserError:
    return UserError(f"{service_id} is declared in {where}", hint=_HINT)
