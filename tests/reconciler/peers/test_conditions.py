"""What is said about a source of records, in each of its situations."""

from __future__ import annotations

from typing import Any

import pytest

from hyper.port import Database, Position
from reconciler.peers.conditions import conditions_of, lag_of

APPLIED = Position(0, 5)


def state(**given: Any) -> Database:
    return Database("ab" * 32, **{"version": 5, "known": 5, "peers": 1, "synced": True, **given})


@pytest.mark.parametrize(
    ("found", "applied", "away", "own", "synced", "stalled"),
    [
        (state(), APPLIED, False, False, ("True", "Synced"), "False"),
        (state(known=9), APPLIED, False, False, ("False", "Behind"), "False"),
        (state(), Position(0, 4), False, False, ("False", "Behind"), "False"),
        (state(peers=0), APPLIED, False, False, ("Unknown", "PeerAway"), "False"),
        (state(peers=0), APPLIED, False, True, ("True", "Synced"), "False"),
        (state(known=0), None, False, True, ("True", "Synced"), "False"),
        (state(synced=False, known=0, peers=0), None, False, False, ("False", "PeerAway"), "False"),
        (state(), APPLIED, True, False, ("Unknown", "StoreAway"), "False"),
        (None, APPLIED, False, False, ("Unknown", "StoreAway"), "False"),
        (state(conflict=True), APPLIED, False, False, ("False", "LogForked"), "True"),
        (state(conflict=True), APPLIED, True, True, ("False", "LogForked"), "True"),
    ],
)
def test_every_situation_has_one_answer(
    found: Database | None,
    applied: Position | None,
    away: bool,
    own: bool,
    synced: tuple[str, str],
    stalled: str,
) -> None:
    first, second = conditions_of(
        found, applied, forked=found is not None and found.conflict, away=away, own=own
    )
    assert (first.type, second.type) == ("Synced", "Stalled")
    assert (first.status, first.reason) == synced
    assert second.status == stalled and second.reason == synced[1]


def test_lag_is_what_the_loop_was_not_told_of() -> None:
    assert lag_of(state(known=9), APPLIED) == 4
    assert lag_of(state(known=9), None) == 9
    assert lag_of(state(known=3), APPLIED) == 0
    assert lag_of(None, None) == 0


def test_a_fork_of_ones_own_says_another_thing_than_one_elsewhere() -> None:
    _, ours = conditions_of(state(), APPLIED, forked=True, away=False, own=True)
    _, theirs = conditions_of(state(), APPLIED, forked=True, away=False, own=False)
    assert "nothing is written" in ours.message and "that node" in theirs.message
