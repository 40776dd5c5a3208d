"""`atek plan` and `atek diff`: what would change, as a diff or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from reconciler.cli.output import clean, has_colour, paint
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from reconciler.cli.dry_run import Change
    from reconciler.cli.preview import Merge, Past

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
    from reconciler.cli.preview import Merge, preview

    paths = [path.absolute() for path in arguments.paths]
    if arguments.git is None:
        return _show(arguments, preview(arguments.home, paths, _past(arguments)))
    from reconciler.cli.proposed import proposed

    if arguments.at is not None or arguments.node:
        raise UserError("--at is for records, --git for a Git source", hint="ask for one of them")
    with proposed(arguments.home, arguments.git) as (source, proposal):
        merge = Merge(source, proposal, alone=arguments.command == "diff")
        return _show(arguments, preview(arguments.home, paths, None, merge), merge)


def _show(arguments: argparse.Namespace, changes: Sequence[Change], merge: Merge | None = None) -> int:
    if arguments.json:
        print(json.dumps(for_programs(changes, merge), indent=2))
    else:
        if merge is not None:
            print(clean(_headline(merge)))
        for line in diff(changes, colour=has_colour()):
            print(line)
    kinds = {change.kind for change in changes}
    if "blocked" in kinds:
        return _ERROR
    return _CHANGES if kinds - {"none"} else _NOTHING


def for_programs(changes: Sequence[Change], merge: Merge | None) -> dict[str, Any]:
    """What changes, or does not for a reason; with a commit, which one that is."""
    told = [
        {"id": each.id, "kind": each.kind, "message": each.message, "details": list(each.details)}
        for each in changes
        if each.kind != "none" or each.details
    ]
    if merge is None:
        return {"changes": told}
    proposal = merge.proposal
    commit = {
        "source": merge.source.name,
        "revision": proposal.revision,
        "commit": proposal.commit,
        "author": proposal.author or None,
        "subject": proposal.subject or None,
        "verifiedBy": proposal.verified or None,
    }
    return {"git": commit, "changes": told}


def _headline(merge: Merge) -> str:
    proposal = merge.proposal
    signed = f", signed by {proposal.verified}" if proposal.verified else ""
    about = f" ({proposal.author}: {proposal.subject}{signed})" if proposal.author else ""
    return f"{merge.source.name} at {proposal.revision}{about}"


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
