"""`atek repair`: after the same key wrote in two places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.client import Client

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Does nothing where nothing was forked."""
    Client(arguments.home).call("repair")
    print("this node's records are whole: what it has counts")
    return 0
