"""`atek key`: how other nodes find this one, and for whom its secrets are encrypted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.cli.client import Client
from reconciler.cli.output import clean
from reconciler.state.age_key import recipient

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError while the daemon, which makes the keys, has not started yet."""
    if arguments.recipient:
        print(recipient(arguments.home))
        return 0
    keys = {**Client(arguments.home).call("keys"), "recipient": recipient(arguments.home)}
    if arguments.json:
        print(json.dumps(keys, indent=2))
        return 0
    if arguments.link:
        print(clean(keys["link"]))
        return 0
    print(f"name  {clean(keys['name'])}")
    print(f"key   {keys['key']}")
    print(f"link  {clean(keys['link'])}")
    print(f"age   {keys['recipient']}")
    if not keys["address"]:
        print("\nIt takes no connections by TCP: `listen` under [hyper] in config.toml says where.")
    return 0
