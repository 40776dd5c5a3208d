"""`atek status`: a table for people, JSON for programs, once or again and again."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from manifests.model.quantities import format_size
from reconciler.cli.client import Client
from reconciler.cli.output import clean, has_colour, paint
from reconciler.cli.service_table import chosen, redraw, service_lines
from reconciler.decide.conditions import condition_of
from reconciler.decide.grants import TRUST_SAID

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_LEAST_PAUSE = 0.2
_MOST_PAUSE = 5.0
#: Conditions of what keeps nobody from running, and yet wants a person's attention.
_NOTES = ("Updatable", "DataFound", "ProjectInId")


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 whatever the services do: the node answered."""
    if arguments.node:
        from reconciler.cli.node_status import run as run_for_node

        return run_for_node(arguments)
    client = Client(arguments.home)
    if arguments.watch:
        return _watch(client, arguments)
    print(_text(chosen(client.status(arguments.id), arguments.id), arguments))
    return 0


def _watch(client: Client, arguments: argparse.Namespace) -> int:
    from reconciler.cli.waiting import Changes

    changes = Changes(client)
    screen = sys.stdout.isatty() and not arguments.json
    last: object = None
    while changes.error is None:
        status = chosen(client.status(arguments.id), arguments.id)
        if screen:
            redraw(_text(status, arguments))
        elif status != last:
            print(_text(status, arguments) + ("" if arguments.json else "\n"), flush=True)
        last = status
        time.sleep(_LEAST_PAUSE)
        changes.wait(_MOST_PAUSE)
    raise changes.error


def _text(status: dict[str, Any], arguments: argparse.Namespace) -> str:
    if arguments.json:
        return json.dumps(status, indent=None if arguments.watch else 2)
    colour = has_colour()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = list(service_lines(status["services"], colour=colour, width=width))
    if arguments.id:
        lines += map(clean, _closer(status["services"][0]))
    else:
        troubles = [
            *_node_troubles(status["node"]),
            *_source_troubles(status["sources"]),
            *_service_troubles(status["services"]),
        ]
        lines += ["", *(paint(trouble, "yellow", enabled=colour) for trouble in troubles)] if troubles else []
    return "\n".join(lines)


def _closer(service: dict[str, Any]) -> Iterator[str]:
    """What there is to say about one service that has no room in a table."""
    for address in service.get("addresses") or ():
        yield f"address: {address}"
    update = service.get("update") or {}
    if update.get("strategy"):
        yield f"update: {update['strategy']}, because {update['because']}"
    if kept := service.get("kept"):
        names, more = ", ".join(kept["names"]), kept["files"] - len(kept["names"])
        count = f"{kept['files']} file{'' if kept['files'] == 1 else 's'}"
        yield f"kept beside its code: {count}, {format_size(kept['size'])}: {names}" + (
            f" and {more} more" if more else ""
        )
        yield "    they go with each new revision; $ATEK_DATA_DIR is the better place for what is to stay"
    if may := service.get("may"):
        yield "may:"
        yield from (f"    {each['what']}: {each['how']}" for each in may)
    for right in service.get("rights") or ():
        told = f"{right['what']}: {right['why']}" if right["what"] else right["why"]
        yield f"{'granted' if right['granted'] else 'asks for'} {right['id']}: {told}"
    for kind in ("FilesAsWritten", *_NOTES):
        if (found := condition_of(service, kind))["status"] == "False":
            yield f"{found['reason']}: {found['message']}"


def _node_troubles(node: dict[str, Any]) -> Iterator[str]:
    for problem in node.get("problems") or ():
        yield clean(f"node: {problem}")


def _source_troubles(sources: list[dict[str, Any]]) -> Iterator[str]:
    for source in sources:
        problems = source.get("problems") or ([{"message": source["error"]}] if source["error"] else [])
        for problem in problems:
            yield clean(f"source {source['name']}: {_problem(problem)}")
        for warning in source.get("warnings") or ():
            yield clean(f"source {source['name']}: warning: {_problem(warning)}")
        if "held" in source and (ready := condition_of(source, "Ready"))["status"] == "False":
            yield clean(f"source {source['name']}: {ready['reason']}: {ready['message']}")
        if (said := condition_of(source, TRUST_SAID))["status"] == "False":
            yield clean(f"source {source['name']}: {said['message']}")
        for conflict in source.get("conflicts") or ():
            winner, loser = conflict["winner"], conflict["loser"]
            yield clean(f"{conflict['id']} is declared twice: {winner} wins over {loser}")


def _service_troubles(services: list[dict[str, Any]]) -> Iterator[str]:
    for service in services:
        served = condition_of(service, "ExportsServed")
        if served["status"] == "False":
            yield clean(f"{service['id']} exports in vain: {served['message']}")
        for kind in _NOTES:
            if (note := condition_of(service, kind))["status"] == "False":
                yield clean(f"{service['id']} {note['message']}")


def _problem(problem: dict[str, Any]) -> str:
    where = ":".join(str(part) for part in (problem.get("file"), problem.get("line")) if part)
    parts = (where, problem.get("key"), problem["message"])
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return ": ".join(part for part in parts if part) + hint
