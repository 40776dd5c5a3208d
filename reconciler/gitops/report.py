"""What people are told of a Git source beside its conditions. Pure, but for how moments are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.drive.status import timestamp

if TYPE_CHECKING:
    from manifests.model.git_source import GitSource
    from reconciler.gitops.decide import Applied, Held, Kept


def report(source: GitSource, path: str, kept: Kept, looked: float | None) -> dict[str, Any]:
    """`path` is the folder for this node, `looked` when the server answered or did not, last."""
    return {
        "url": source.url,
        "ref": str(source.ref),
        "path": path,
        "suspended": source.suspend,
        "lastAppliedRevision": kept.applied.ref if kept.applied else None,
        "lastAttemptedRevision": kept.attempted or None,
        "lastLook": timestamp(looked) if looked is not None else None,
        "applied": _applied(kept.applied) if kept.applied else None,
        "held": _held(kept.held) if kept.held else None,
        "pruned": list(kept.pruned),
    }


def _applied(applied: Applied) -> dict[str, Any]:
    return {
        "commit": applied.commit,
        "revision": applied.ref,
        "author": applied.author,
        "subject": applied.subject,
        "committedAt": timestamp(applied.time),
        "appliedAt": timestamp(applied.at),
        "verifiedBy": applied.verified or None,
        "services": list(applied.services),
    }


def _held(held: Held) -> dict[str, Any]:
    return {
        "commit": held.commit,
        "revision": held.ref,
        "reason": held.reason,
        "message": held.message,
        "at": timestamp(held.at),
    }
