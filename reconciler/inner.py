"""What the router forwards to the node itself: its pages, and the system APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.apis.handler import EXPORTS
from reconciler.health import health

if TYPE_CHECKING:
    from reconciler.api import NodeApi
    from reconciler.http import Handler

__all__ = ["EXPORTS", "inner"]


def inner(node: NodeApi) -> Handler:
    """For requests whose caller the router has looked at."""
    return health(node)
