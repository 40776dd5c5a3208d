"""`atek notify`: whom the node tells what, and how that went."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import clean
from reconciler.cli.service_table import for_people

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_NOBODY = """\
nobody is told anything; in config.toml, for example:

  [[notify]]
  url = "ntfy://ntfy.example.com/my-secret-topic"
"""


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a test message did not arrive everywhere."""
    addresses = Client(arguments.home).call("testNotifications" if arguments.test else "notifications")
    if arguments.json:
        print(json.dumps(addresses, indent=2))
    elif not addresses:
        print(_NOBODY, end="")
    for address in addresses if not arguments.json else ():
        print("\n".join(map(clean, lines(address, time.time()))))
    return 1 if arguments.test and any(address["error"] for address in addresses) else 0


def lines(address: dict[str, Any], now: float) -> Iterator[str]:
    """One address: where, what it wants, and how it went last."""
    yield f"{address['address']}  {', '.join(address['on'])}{_when(address)}"
    if address["services"] != ["*"]:
        yield f"    services: {', '.join(address['services'])}"
    if address["error"]:
        yield f"    failed: {address['error']}"
    if address["waiting"]:
        yield f"    {address['waiting']} waiting"
    if address["lastSent"] is not None:
        yield f"    last sent {for_people(now - address['lastSent'])} ago"


def _when(address: dict[str, Any]) -> str:
    digest = f", together every {for_people(address['digest'])}" if address["digest"] else ""
    quiet = f", not {address['quiet']}" if address["quiet"] else ""
    return digest + quiet
