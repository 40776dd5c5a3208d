"""Services as a table for people, whichever node told its status; and a screen on which it is drawn again."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import find_service
from reconciler.cli.output import paint, table
from reconciler.decide.conditions import condition_of
from reconciler.drive.service_state import explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = ("ID", "RUNTIME", "READY", "RESTARTS", "PID", "REVISION", "AGE", "MESSAGE")
_READY = {"True": "yes", "False": "no", "Unknown": "?"}


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
        _READY.get(condition_of(service, "Ready")["status"], "?"),
        str(service["restarts"]),
        _pids(service["instances"]),
        _revisions(service),
        _age(service["instances"]),
        explanation(service),
    )


def _colour(service: dict[str, Any]) -> str:
    if service["suspended"]:
        return "dim"
    if condition_of(service, "Stalled")["status"] == "True":
        return "red"
    return "" if condition_of(service, "Ready")["status"] == "True" else "yellow"


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


def for_people(seconds: float) -> str:
    """The largest unit that fits: 12s, 5m, 3h, 9d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"
