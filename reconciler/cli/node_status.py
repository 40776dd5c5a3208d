"""`atek status --node`: what another node told of itself last, and how long ago that was."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import clean, has_colour, paint
from reconciler.cli.service_table import chosen, for_people, redraw, seconds_since_epoch, service_lines

if TYPE_CHECKING:
    import argparse

#: Seconds that one question may wait for news; whether the node is connected is no news.
_PAUSE = 2.0


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 also while that node is away: what it told last is here."""
    client = Client(arguments.home)
    status = client.call("nodeStatus", name=arguments.node)
    if not arguments.watch:
        print(_text(_chosen(status, arguments), arguments))
        return 0
    screen, last = sys.stdout.isatty() and not arguments.json, ""
    while True:
        text = _text(_chosen(status, arguments), arguments)
        if screen:
            redraw(text)
        elif text != last:
            print(text, flush=True)
        last = text
        status = client.call("nodeStatus", name=arguments.node, since=status["position"], wait=_PAUSE)


def _chosen(status: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    if not status["known"]:
        return status
    return chosen(status, arguments.id, elsewhere=f" --node {arguments.node}")


def _text(status: dict[str, Any], arguments: argparse.Namespace) -> str:
    if arguments.json:
        return json.dumps(status, indent=None if arguments.watch else 2)
    colour = has_colour()
    hue = "" if status["connected"] else "yellow"
    lines = [paint(headline(status), hue, enabled=colour)]
    if status["known"]:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        lines += ["", *service_lines(status["services"], colour=colour, width=width)]
    return "\n".join(lines)


def headline(status: dict[str, Any]) -> str:
    """`pi: connected, last change 5m ago`."""
    name = clean(status["follow"])
    own = status["node"].get("name")
    called = f"{name} (it calls itself {clean(own)})" if own and own != name else name
    where = "connected" if status["connected"] else "away"
    if not status["known"]:
        return f"{called}: {where}, and nothing of its status has arrived yet"
    behind = f", {status['behind']} changes behind" if status["behind"] else ""
    return f"{called}: {where}{behind}{_age(status)}"


def _age(status: dict[str, Any]) -> str:
    if not status["publishedAt"]:
        return ""
    age = for_people(time.time() - seconds_since_epoch(status["publishedAt"]))
    return f", last change {age} ago"
