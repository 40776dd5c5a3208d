"""`atek events`: what the node did and noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.client import Client
from reconciler.cli.event_lines import EventLines
from reconciler.cli.output import has_colour

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """The last ones; with -f until Ctrl-C or the node's end."""
    client = Client(arguments.home)
    lines = EventLines(colour=has_colour())
    if not arguments.follow:
        for event in client.recent(arguments.lines):
            print(lines.line(event))
        return 0
    for coming in client.events(recent=arguments.lines):
        if coming is not None:
            print(lines.line(coming), flush=True)
    return 0
