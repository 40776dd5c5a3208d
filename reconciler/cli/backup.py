"""`atek backup`: this node in one file, for the owner alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.cli.client import Client

if TYPE_CHECKING:
    import argparse

#: Seconds. All records of the node come in one answer.
_ANSWER_SECONDS = 300.0


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError with no file changed when something of it cannot be read."""
    from reconciler.peers.backup import FORMAT, VERSION, home_backup, write_backup

    client = Client(arguments.home)
    store = client.call("backup", within=_ANSWER_SECONDS)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "createdAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": client.status()["node"]["name"],
    }
    write_backup(arguments.file.absolute(), {**about, **store, **home_backup(arguments.home)})
    records = sum(len(database["records"]) for database in store["databases"])
    print(f"{arguments.file}: {records} records of {len(store['databases'])} databases")
    print("keep it secret: whoever has it can be this node")
    return 0
