"""`atek logs`: what a service printed, read from its file; no node is needed."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from reconciler.cli.output import clean_log_line, has_colour, nearest
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """The last lines; with -f also those to come. Raises UserError for a service without a log."""
    path = _log(arguments.home, arguments.id, prepare=arguments.prepare)
    show = _printer()
    if arguments.follow:
        import anyio

        anyio.run(_follow, path, arguments.lines, show)
        return 0
    from runtimes.processes.logs import tail

    for line in tail(path, arguments.lines):
        show(line)
    return 0


async def _follow(path: Path, lines: int, show: Callable[[str], None]) -> None:
    from runtimes.processes.logs import follow

    async with aclosing(follow(path, lines)) as coming:
        async for line in coming:
            show(line)
            sys.stdout.flush()


def _printer() -> Callable[[str], None]:
    """Nothing that could command a terminal gets there, nor through a pipe to one; colours may, directly."""
    colour = has_colour()
    return lambda line: print(clean_log_line(line, colour=colour))


def _log(home: Path, service_id: str, *, prepare: bool) -> Path:
    folder = home / "logs"
    known = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    if service_id not in known:
        raise UserError(f"{service_id} has no log here", hint=_hint(service_id, known))
    path = folder / service_id / ("prepare.log" if prepare else "service.log")
    if not path.exists():
        what = "was never prepared" if prepare else "has not been started yet"
        other = "" if prepare else f"; `atek logs {service_id} --prepare` shows its installation"
        raise UserError(f"{service_id} {what}", hint=f"`atek status {service_id}` says why{other}")
    return path


def _hint(service_id: str, known: list[str]) -> str:
    return nearest(service_id, known) if known else "no service of this home was started yet; see --home"
