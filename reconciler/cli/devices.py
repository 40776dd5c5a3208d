"""`atek devices`: which devices may come from afar, and when they were here."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import table

if TYPE_CHECKING:
    import argparse

_HEADER = ("NAME", "CONNECTED", "LAST SEEN", "PAIRED", "KEY")


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError where the node is not reached from afar."""
    devices = Client(arguments.home).call("devices")
    if arguments.json:
        print(json.dumps(devices, indent=2))
    elif not devices:
        print("no device is paired yet: `atek pair` shows a code for one")
    else:
        for line in table(_HEADER, [_row(each) for each in devices]):
            print(line)
    return 0


def _row(device: dict[str, Any]) -> tuple[str, ...]:
    connected = "yes" if device["connections"] else "no"
    return device["name"], connected, _moment(device["seen"]), _moment(device["paired"]), device["key"][:16]


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "never"
