"""How a source of records fares, as conditions: does this node have all that the other one wrote? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.conditions import Condition
from reconciler.decide.grants import TRUST_SAID

if TYPE_CHECKING:
    from hyper.port import Database, Position
    from manifests.model.policy import Policy


def conditions_of(
    database: Database | None, applied: Position | None, *, forked: bool, away: bool, own: bool
) -> tuple[Condition, Condition]:
    """Synced, and Stalled.

    `database` is what the daemon said last, `applied` how far the node's loop was told; `away`: no daemon
    answers.
    """
    if forked:
        synced = Condition("Synced", "False", "LogForked", "the log was forked")
        return synced, Condition("Stalled", "True", "LogForked", _FORKED_OWN if own else _FORKED)
    synced = _synced(database, applied, away=away, own=own)
    return synced, Condition("Stalled", "False", synced.reason)


def terms_of(policy: Policy | None) -> tuple[Condition, ...]:
    """Whether its owner has said whose it is; nothing where that does not matter, or he has."""
    if policy is None or policy.trust is not None or policy.status_only:
        return ()
    return (Condition(TRUST_SAID, "False", "TrustUnsaid", _UNSAID),)


def lag_of(database: Database | None, applied: Position | None) -> int:
    """Blocks that some peer has, and the loop was not told of."""
    known = database.known if database else 0
    return max(0, known - (applied.version if applied else 0))


_UNSAID = (
    "its services run on the terms of earlier versions, with all that your own may; "
    "`atek follow KEY --name NAME --trust own|foreign` says whose they are"
)
_FORKED = (
    "the same key wrote in two places; what it said last stays, and it is followed again once that node"
    " has repaired its log"
)
_FORKED_OWN = (
    "this node's key wrote in two places, as after a backup was restored while the original lived; nothing"
    " is written until the log is repaired"
)


def _synced(database: Database | None, applied: Position | None, *, away: bool, own: bool) -> Condition:
    if away or database is None:
        return Condition("Synced", "Unknown", "StoreAway", "the Hypercore daemon does not answer")
    if not own and not database.synced and applied is None:
        return Condition("Synced", "False", "PeerAway", "the node was never seen")
    if (lag := lag_of(database, applied)) > 0:
        return Condition("Synced", "False", "Behind", f"{lag} blocks are not applied yet")
    if not own and database.peers == 0:
        return Condition("Synced", "Unknown", "PeerAway", "nobody who has it is connected")
    return Condition("Synced", "True", "Synced")
