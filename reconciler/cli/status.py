"""`atek status`: a table for people, JSON for programs, once or again and again."""

from __future__ import annotations

import json
import shutil
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client, find_service
from reconciler.cli.output import clean, has_colour, paint, table
from reconciler.drive.service_state import condition, explanation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_HEADER = ("ID", "RUNTIME", "READY", "RESTARTS", "PID", "REVISION", "AGE", "MESSAGE")
_READY = {"True": "yes", "False": "no", "Unknown": "?"}
_LEAST_PAUSE = 0.2
_MOST_PAUSE = 5.0


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


def redraw(text: str) -> None:
    """Over the old picture, line by line, so that nothing flickers."""
    rows = shutil.get_terminal_size().lines - 1
    lines = text.split("\n")[:rows]
    sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
    sys.stdout.flush()


def chosen(status: dict[str, Any], service_id: str | None, *, elsewhere: str = "") -> dict[str, Any]:
    """The same shape with only that service, where one is named. Raises UserError for an unknown one.

    `elsewhere` is what `atek status` needs to show this status.
    """
    return status | {"services": [find_service(status, service_id, elsewhere)]} if service_id else status


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
        yield f"kept beside its code: {count}, {in_bytes(kept['size'])}: {names}" + (
            f" and {more} more" if more else ""
        )
        yield "    they go with each new revision; $ATEK_DATA_DIR is the better place for what is to stay"
    for kind in ("FilesAsWritten", "Updatable"):
        if (found := condition(service, kind))["status"] == "False":
            yield f"{found['reason']}: {found['message']}"


def service_lines(services: list[dict[str, Any]], *, colour: bool, width: int | None) -> Iterator[str]:
    if not services:
        yield "no services yet: `atek apply FILE` adds one"
        return
    columns, rows = [*_HEADER], [[*_row(service)] for service in services]
    # Other nodes do not tell theirs.
    if any(service.get("addresses") for service in services):
        columns.insert(-1, "ADDRESS")
        for row, service in zip(rows, services, strict=True):
            row.insert(-1, (service.get("addresses") or ["-"])[0])
    header, *lines = table(columns, rows, width=width)
    yield paint(header, "bold", enabled=colour)
    for service, line in zip(services, lines, strict=True):
        yield paint(line, _colour(service), enabled=colour)


def _row(service: dict[str, Any]) -> tuple[str, ...]:
    return (
        service["id"],
        service["runtime"] or "-",
        _READY.get(condition(service, "Ready")["status"], "?"),
        str(service["restarts"]),
        _pids(service["instances"]),
        _revisions(service),
        _age(service["instances"]),
        explanation(service),
    )


def _colour(service: dict[str, Any]) -> str:
    if service["suspended"]:
        return "dim"
    if condition(service, "Stalled")["status"] == "True":
        return "red"
    return "" if condition(service, "Ready")["status"] == "True" else "yellow"


def _pids(instances: list[dict[str, Any]]) -> str:
    """Other nodes do not tell theirs."""
    found = [instance.get("pid") or instance.get("container") for instance in instances]
    names = [str(name) for name in found if name]
    return ",".join(names[:3]) + (f",+{len(names) - 3}" if len(names) > 3 else "") if names else "-"


def _revisions(service: dict[str, Any]) -> str:
    observed, desired = service["observedRevision"], service["desiredRevision"]
    if observed == desired or not desired:
        return (observed or "-")[:8]
    return f"{observed[:8] if observed else '-'} → {desired[:8]}"


def _age(instances: list[dict[str, Any]]) -> str:
    """Of the youngest instance, the one that a restart or an update made."""
    starts = [
        seconds_since_epoch(instance["startedAt"]) for instance in instances if instance.get("startedAt")
    ]
    return for_people(time.time() - max(starts)) if starts else "-"


def seconds_since_epoch(moment: str | float) -> float:
    """From RFC 3339, or seconds already."""
    return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else moment


def in_bytes(size: int) -> str:
    """The largest unit that fits: 12 B, 3.4 MiB."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1024**power:
            return f"{size / 1024**power:.1f} {unit}"
    return f"{size} B"


def for_people(seconds: float) -> str:
    """The largest unit that fits: 12s, 5m, 3h, 9d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def _node_troubles(node: dict[str, Any]) -> Iterator[str]:
    for problem in node.get("problems") or ():
        yield clean(f"node: {problem}")


def _source_troubles(sources: list[dict[str, Any]]) -> Iterator[str]:
    for source in sources:
        problems = source.get("problems") or ([{"message": source["error"]}] if source["error"] else [])
        for problem in problems:
            yield clean(f"source {source['name']}: {_problem(problem)}")
        for conflict in source.get("conflicts") or ():
            winner, loser = conflict["winner"], conflict["loser"]
            yield clean(f"{conflict['id']} is declared twice: {winner} wins over {loser}")


def _service_troubles(services: list[dict[str, Any]]) -> Iterator[str]:
    for service in services:
        served = condition(service, "ExportsServed")
        if served["status"] == "False":
            yield clean(f"{service['id']} exports in vain: {served['message']}")
        if (stays := condition(service, "Updatable"))["status"] == "False":
            yield clean(f"{service['id']} {stays['message']}")


def _problem(problem: dict[str, Any]) -> str:
    where = ":".join(str(part) for part in (problem.get("file"), problem.get("line")) if part)
    parts = (where, problem.get("key"), problem["message"])
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return ": ".join(part for part in parts if part) + hint
