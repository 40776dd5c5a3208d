"""`atek adopt`: what a service of another owner left is handed over to the one that has its id now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.client import Client

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError where nobody waits for such data."""
    Client(arguments.home).call("adopt", id=arguments.id)
    print(f"{arguments.id} has the data in data/{arguments.id} from now on")
    return 0
