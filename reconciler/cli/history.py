"""`atek history`: who changed which services of the records, and when."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import clean, has_colour, paint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_SIGNS = {
    "created": ("+", "green"),
    "changed": ("~", "yellow"),
    "deleted": ("-", "red"),
    "unchanged": ("=", ""),
}


def run(arguments: argparse.Namespace) -> int:
    """The newest change first. Raises UserError for a service that the records never had."""
    entries = Client(arguments.home).call("history", id=arguments.id, node=arguments.node)
    if arguments.json:
        print(json.dumps(entries, indent=2))
        return 0
    shown = entries[-arguments.lines :]
    if not entries:
        print("nothing was written yet: `atek push` does")
    for entry in reversed(shown):
        for line in lines(entry, only=arguments.id, colour=has_colour()):
            print(line)
    if len(shown) < len(entries):
        print(f"{len(entries) - len(shown)} earlier ones: -n shows more", file=sys.stderr)
    return 0


def lines(entry: dict[str, Any], *, only: str | None = None, colour: bool) -> Iterator[str]:
    """One change: when, by whom, what; then what it meant for each service (or only the named one)."""
    by = f" by {clean(entry['by'])}" if entry["by"] else ""
    start = paint(f"version {entry['version']}", "bold", enabled=colour)
    yield f"{start}  {_time(entry['at'])}  {clean(entry['what'])}{by}"
    for service in entry["services"]:
        if only is not None and service["id"] != only:
            continue
        sign, hue = _SIGNS[service["what"]]
        yield "  " + paint(f"{sign} {clean(service['id'])} {service['what']}", hue, enabled=colour)
        yield from (f"      {clean(detail)}" for detail in service["details"])


def _time(at: str) -> str:
    """In this machine's own time zone."""
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "(no time)"
