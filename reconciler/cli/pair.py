"""`atek pair`: shows a code for one device, and waits until it was used."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from reconciler.cli.client import Client
from reconciler.cli.output import clean
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse

_LOOK_EVERY = 0.3


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 when no device came in time."""
    client = Client(arguments.home)
    shown = client.call("pair", user=arguments.user or "")
    code = shown["code"]
    print(f"on the other machine, within {shown['seconds']:.0f} seconds:\n\n  atek connect {clean(code)}\n")
    if sys.stdout.isatty():
        _draw(f"atek:{code}")
    sys.stdout.flush()
    while (pairing := client.call("pairing"))["state"] == "open":
        time.sleep(_LOOK_EVERY)
    if pairing["state"] != "used":
        raise UserError("nobody used the code", hint="`atek pair` shows another one")
    print(f"{clean(pairing['device'])} may come from now on")
    return 0


def _draw(text: str) -> None:
    import segno

    segno.make(text, error="m").terminal(compact=True)
