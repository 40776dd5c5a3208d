"""`atek unfollow`: takes nothing from that node any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.client import Client
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError when no followed node is called so."""
    client = Client(arguments.home)
    names = [follow["name"] for follow in client.call("follows")]
    if arguments.name not in names:
        followed = f"followed are {', '.join(names)}" if names else "none is followed"
        raise UserError(f"no followed node is called {arguments.name}", hint=followed)
    client.call("unfollow", name=arguments.name)
    print(f"{arguments.name} is followed no longer")
    return 0
