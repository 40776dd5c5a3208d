"""`atek rollback`: writes records as they were before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.client import Client

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError for a version that there never was, or at which there was no such service."""
    done = Client(arguments.home).call("rollback", to=arguments.to, id=arguments.id)
    ids = ", ".join(done["ids"])
    if not ids:
        print(f"{arguments.id or 'everything'} is as it was at version {arguments.to} already")
    else:
        print(f"{ids} as at version {arguments.to} again (this is version {done['version']})")
    return 0
