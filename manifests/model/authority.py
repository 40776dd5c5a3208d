"""Which APIs a service may call, and what it means to say nothing about that. Pure.

Authority is granted, never ambient: the node's own APIs change what runs here, so only a pattern that names
them stands for them. Neither silence nor a bare `*` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Collection

#: What the names of the node's own APIs begin with, and so does a pattern that is meant for them; and what
#: the ids of its own parts begin with.
OWN_APIS, OWN_IDS = "atek.cloud/", "core."
#: Of administrators and people: the APIs themselves know what these may.
EVERYTHING = frozenset({"*", f"{OWN_APIS}*"})


def allows(allow: Collection[str] | None, api: str, *, nodes_own: bool) -> bool:
    """Whether somebody may call it to whom these patterns are granted; None: nothing was said.

    `nodes_own`: the node itself serves that API.
    """
    if allow is None:
        return not nodes_own
    patterns = (each for each in allow if each.startswith(OWN_APIS)) if nodes_own else allow
    return any(matches(pattern, api) for pattern in patterns)
