"""`atek update`: which services could be newer, and the newest release of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import clean

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError where a service has no releases, or its server does not answer."""
    client = Client(arguments.home)
    if arguments.id is None:
        _show(client.call("updates"), as_json=arguments.json)
        return 0
    moved = client.call("update", id=arguments.id)
    if arguments.json:
        print(json.dumps(moved, indent=2))
    else:
        print(clean(line(moved)))
    return 0


def line(moved: dict[str, Any]) -> str:
    """What came of it."""
    service_id = moved["id"]
    if moved["from"] == moved["to"]:
        return f"{service_id} has nothing newer than {moved['to'] or 'what it has'}"
    told = f"{service_id} moves from {moved['from']} to {moved['to']}"
    return f"{told}; `atek status {service_id}` shows how it does"


def _show(waiting: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(waiting, indent=2))
    elif not waiting:
        print("no release waits for anybody")
    for each in waiting if not as_json else ():
        told = f"{each['reason']}: {each['message']}"
        print(clean(f"{each['id']}  {each['installed']} → {each['available']}  {told}"))
