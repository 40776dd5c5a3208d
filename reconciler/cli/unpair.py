"""`atek unpair`: lets a device in no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.client import Client
from reconciler.cli.output import clean

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError where there is no such device."""
    done = Client(arguments.home).call("unpair", name=arguments.device)
    print(f"{clean(done['name'])} is cut off")
    return 0
