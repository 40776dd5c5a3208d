"""Who may have what a service left in its data folder. Pure.

A data folder stays when its service goes, and the next service of that id would find it. Where that one is
another's (a followed node's instead of this one's own, or of another followed node), it must not: its program
may be anybody's. Only folders of followed nodes' services are noted; all others are this node's own.

`drive.inheritance` looks into the folders, asks here, and notes what follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.snapshot import Problem

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.model.merge import Winner

#: The owner of all that this node's own sources declare.
LOCAL = ""
DATA_OWNED = "DataOwned"


def may_take(owner: str, *, noted: str, held: bool, ran_for: Collection[str]) -> bool:
    """Whether a service of `owner` may have a folder that was noted as another's.

    `held`: there is something in it. `ran_for`: the owners of what is known to have run with it: who did so
    before owners were noted goes on.
    """
    return not held or (noted == LOCAL and set(ran_for) == {owner})


def owned(service_id: str, winner: Winner) -> Problem:
    """It is another's."""
    return Problem(
        f"data/{service_id} holds the data of an earlier service of another owner",
        winner.declared.file,
        hint=f"`atek adopt {service_id}` on that node hands it over; or move data/{service_id} "
        f"and kept/{service_id} away",
        service=service_id,
        reason=DATA_OWNED,
    )


def unnoted(service_id: str, winner: Winner, why: str) -> Problem:
    """What cannot be noted is not run: the next of that id would take it for its own."""
    return Problem(
        f"whose data/{service_id} is cannot be noted: {why}",
        winner.declared.file,
        hint="free some space or mend the permissions of the state directory",
        service=service_id,
        reason=DATA_OWNED,
    )
