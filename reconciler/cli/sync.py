"""`atek sync`: looks at Git sources now, and says what came of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import clean
from reconciler.cli.waiting import Changes
from reconciler.decide.conditions import condition_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_PAUSE = 1.0
#: Seconds that all servers may take to say what they have, and to send it.
_WITHIN = 1800.0


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 where something was not applied, or with --wait is not ready in time."""
    client = Client(arguments.home)
    names = client.call("sync", within=_WITHIN, name=arguments.name)
    if not names:
        print("there are no Git sources: [[sources.git]] in config.toml adds one")
        return 0
    sources = _sources(client, names)
    if arguments.wait is not None:
        sources = _settled(client, names, arguments.wait)
    for source in sources:
        print(clean(line(source)))
    return 0 if all(_is_well(source, waited=arguments.wait is not None) for source in sources) else 1


def line(source: dict[str, Any]) -> str:
    """How one source is, in a line."""
    ready = condition_of(source, "Ready")
    applied = source["applied"]
    told = f"{source['name']}: {ready['message']}"
    if ready["status"] != "False" and applied:
        signed = f", signed by {applied['verifiedBy']}" if applied["verifiedBy"] else ""
        told += f" ({applied['author']}: {applied['subject']}{signed})"
    return told


def _settled(client: Client, names: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Once nothing is under way any more, or the time is over."""
    changes, until = Changes(client), time.monotonic() + seconds
    while True:
        sources = _sources(client, names)
        busy = any(condition_of(source, "Reconciling")["status"] == "True" for source in sources)
        if not busy or time.monotonic() >= until or changes.error is not None:
            return sources
        changes.wait(min(_PAUSE, max(0.0, until - time.monotonic())))


def _sources(client: Client, names: Sequence[str]) -> list[dict[str, Any]]:
    return [source for source in client.call("status")["sources"] if source["name"] in names]


def _is_well(source: dict[str, Any], *, waited: bool) -> bool:
    status = condition_of(source, "Ready")["status"]
    return bool(status == "True" if waited else status != "False")
