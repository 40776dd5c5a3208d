"""`atek restore`: a home from a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.output import clean, short_path

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError, with the home as empty as it was, when it cannot be done."""
    from reconciler.peers.backup import read_backup, restore

    backup = read_backup(arguments.file)
    restore(arguments.home, backup)
    print(
        f"{short_path(arguments.home)} is {clean(backup.get('name'))} as of {clean(backup.get('createdAt'))}"
    )
    print("`atek up` starts it; the old one must not run any more")
    return 0
