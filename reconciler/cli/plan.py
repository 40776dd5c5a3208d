"""`atek plan`: what would change, as a diff."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reconciler.cli.output import clean, has_colour, paint
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from reconciler.cli.dry_run import Change
    from reconciler.cli.preview import Past

_SIGNS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "blocked": ("!", "red"),
    "none": ("=", "dim"),
}
_NOTHING, _ERROR, _CHANGES = 0, 1, 2


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 nothing, 2 changes, 1 when something is in the way of one."""
    from reconciler.cli.preview import preview

    changes = preview(arguments.home, [path.absolute() for path in arguments.paths], _past(arguments))
    for line in diff(changes, colour=has_colour()):
        print(line)
    kinds = {change.kind for change in changes}
    if "blocked" in kinds:
        return _ERROR
    return _CHANGES if kinds - {"none"} else _NOTHING


def _past(arguments: argparse.Namespace) -> Past | None:
    """The records that the running node finds for --at. Raises UserError."""
    if arguments.at is None:
        if arguments.node:
            raise UserError("--node is for a version of that node's records", hint="add --at VERSION")
        return None
    from reconciler.cli.client import Client
    from reconciler.cli.preview import Past

    node = arguments.node or ""
    return Past(node, Client(arguments.home).call("recordsAt", version=arguments.at, node=node))


def diff(changes: Sequence[Change], *, colour: bool) -> Iterator[str]:
    """A paragraph for each service that changes, or does not for a reason, and the sum."""
    for change in changes:
        if change.kind == "none" and not change.details:
            continue
        sign, hue = _SIGNS[change.kind]
        message = f": {clean(change.message)}" if change.message else ""
        yield paint(f"{sign} {clean(change.id)}{message}", hue, enabled=colour)
        for detail in change.details:
            yield f"    {clean(detail)}"
    yield _sum(Counter(change.kind for change in changes))


def _sum(counts: Counter[str]) -> str:
    words = [f"{counts[kind]} to {kind}" for kind in ("create", "update", "delete") if counts[kind]]
    words += [f"{counts['blocked']} blocked"] if counts["blocked"] else []
    return ", ".join(words) if words else "nothing would change"
