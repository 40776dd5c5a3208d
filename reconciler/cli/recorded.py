"""The services in the running node's own records, where orders about them are written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Seconds. A large package takes a while to be put on a drive.
PATIENCE = 600.0


def recorded(home: Path) -> frozenset[str]:
    """Their ids; none without a node, and while its records cannot be read."""
    try:
        return frozenset(Client(home).call("recordIds"))
    except UserError:
        return frozenset()


def remove(home: Path, service_id: str) -> None:
    """Takes the record away, for all nodes that follow this one. Raises UserError."""
    Client(home).call("remove", id=service_id)


def replace(home: Path, value: Mapping[str, Any]) -> None:
    """Writes the record anew from a plain manifest, its package folder onto a drive. Raises UserError."""
    manifest = {key: item for key, item in value.items() if key != "source"}
    Client(home).call("push", within=PATIENCE, manifest=manifest, folder=value.get("source"), to=None)
