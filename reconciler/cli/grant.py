"""`atek grant` and `atek revoke`: what the services of others may have of this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.confirm import ask
from reconciler.cli.output import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError for what is not asked for, or not granted, and where nobody says yes."""
    client = Client(arguments.home)
    if arguments.command == "revoke":
        taken = client.call("revoke", id=arguments.id, rights=arguments.rights)
        print(f"taken from {arguments.id}: {', '.join(taken)}")
        return 0
    rows = client.call("grants")
    if arguments.id is None:
        _list(rows, as_json=arguments.json)
        return 0
    return _grant(client, arguments, rows)


def _grant(client: Client, arguments: argparse.Namespace, rows: Sequence[dict[str, Any]]) -> int:
    asked = [row for row in rows if row["service"] == arguments.id and row["what"]]
    named = [row for row in asked if not arguments.rights or row["id"] in arguments.rights]
    missing = [row for row in named if not row["granted"]]
    if asked and named and not missing:
        print(f"{arguments.id} has that already")
        return 0
    if missing and not arguments.yes:
        told = [f"{arguments.id}, which comes from {missing[0]['source']}, asks to"]
        told += [f"  - {row['what']}: {row['why']} ({row['id']})" for row in missing]
        ask([clean(line) for line in told], "Let it?", hint="--yes says so for a script")
    # What was shown, and nothing that came to be asked for meanwhile.
    rights = arguments.rights or [row["id"] for row in missing]
    given = client.call("grant", id=arguments.id, rights=rights)
    print(f"granted to {arguments.id}: {', '.join(given)}")
    return 0


def _list(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("no service asks for anything; those of your own files need not ask")
    else:
        for line in right_lines(rows):
            print(line)


def right_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Rights, a line each, with the service where that is another one than before."""
    service = ""
    for row in rows:
        if row["service"] != service:
            service = row["service"]
            yield clean(f"{service}, from {row['source']}")
        state = "granted" if row["granted"] else "asked for"
        told = f"{row['what']}: {row['why']}" if row["what"] else row["why"]
        yield clean(f"  {state}: {row['id']}: {told}")
