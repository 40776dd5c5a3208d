"""For which people a service is, where there are any: `access` in its manifest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.decide.table import SYSTEM

if TYPE_CHECKING:
    from runtimes.router.decide.table import Caller, ServiceRoute

#: What `access` says, and the role of people who are neither owners of the node nor guests.
PUBLIC, MEMBERS, MEMBER = "public", "members", ""


def may_visit(caller: Caller, service: ServiceRoute) -> bool:
    """Whether a service is for that caller, where there are people.

    Those who own the node may see all. Left out, `access` is private, and members where nobody in particular
    owns the service. A guest has only what names them, or is public. Another service may where its owner's
    other services are, and where all members may, whoever its owner is.
    """
    access, owned = service.access, service.owner == caller.user
    if caller.admin or access == PUBLIC:
        return True
    for_members = access == MEMBERS or (access == "" and service.owner == SYSTEM)
    if caller.person is None:
        return owned or for_members
    named = isinstance(access, tuple) and caller.person.username in access
    return named or (caller.person.role == MEMBER and (owned or for_members))
