"""What a node's records and follows said last, read from its disk without a daemon, and without writing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hyper.client import HyperClient
from manifests.sources.journal import Journal
from reconciler.peers.follows import FollowsFile, UnreadableFollows
from reconciler.peers.own import OwnFile
from reconciler.peers.port import RECORDS
from reconciler.peers.sources import RecordSources, snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.nodes import Place
    from manifests.model.snapshot import Source


def kept_sources(home: Path, place: Place) -> list[Source]:
    """In their order. Of what was never read there is nothing to say. Scan them, and never watch them."""
    # A client that nobody runs reaches nothing; a first scan asks for nothing.
    sources = RecordSources(HyperClient(""), home, place, time.time)
    follows = FollowsFile(home)
    followed = [each for each in follows.read() if _is_kept(home, each.name)]
    own = [sources.own()] if OwnFile(home).value.records and _is_kept(home, RECORDS) else []
    unreadable = [UnreadableFollows(follows.problem)] if follows.problem else []
    return [*own, *(sources.of(each) for each in followed), *unreadable]


def _is_kept(home: Path, name: str) -> bool:
    return Journal(snapshots(home), name).load() is not None
