"""What of a node's status is worth telling a person."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.notify.facts import AWAY, LOW_BYTES, Disk, Facts, facts_of

NOW = 1_800_000_000.0
SINCE = "2027-01-15T07:00:00Z"


def condition(
    kind: str, status: str, reason: str = "", message: str = "", since: str = SINCE
) -> dict[str, Any]:
    return {
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
    }  # fmt: skip


def service(
    name: str, *conditions: dict[str, Any], observed: str = "r1", desired: str = "r1"
) -> dict[str, Any]:
    return {
        "id": name, "observedRevision": observed, "desiredRevision": desired, "conditions": list(conditions),
    }  # fmt: skip


def source(name: str, kind: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "kind": kind, "conditions": list(conditions)}


def facts(
    *services: dict[str, Any],
    sources: tuple[dict[str, Any], ...] = (),
    disk: Disk | None = None,
    known: dict[str, str] | None = None,
    now: float = NOW,
    whole: bool = True,
) -> Facts:
    return facts_of({"services": services, "sources": sources}, disk, known or {}, now, whole=whole)


def test_a_service_that_waits_for_a_person() -> None:
    found = facts(service("notes", condition("Stalled", "True", "BadConfig", "no such file"), observed=""))
    assert found.so["Stalled notes"].text == "BadConfig: no such file"
    assert found.so["Stalled notes"].service == "notes"


def test_a_service_that_still_tries_is_no_news() -> None:
    assert not facts(service("notes", condition("Stalled", "False"), condition("Ready", "False"))).so


def test_what_went_back_to_the_revision_before() -> None:
    stalled = condition("Stalled", "True", "HealthyDeadlineExceeded", "not ready in 60 s")
    assert set(facts(service("notes", stalled, desired="r2")).so) == {"Reverted notes"}
    # Nothing serves: it is stalled like any other.
    assert set(facts(service("notes", stalled, observed="", desired="r2")).so) == {"Stalled notes"}


def test_a_release_that_was_given_back() -> None:
    back = condition("Updatable", "False", "Reverted", "1.2.0 did not work")
    assert facts(service("notes", back)).so["Reverted notes"].text == "Reverted: 1.2.0 did not work"
    # One that waits to be taken is nothing that a person is woken for.
    assert not facts(service("notes", condition("Updatable", "False", "UpdateAvailable"))).so


@pytest.mark.parametrize(("after", "told"), [(AWAY - 1, False), (AWAY, True)])
def test_a_node_is_away_after_a_while(after: float, told: bool) -> None:
    away = condition("Synced", "Unknown", "PeerAway", since="2027-01-15T08:00:00+00:00")
    since = 1_800_000_000.0
    found = facts(sources=(source("pi", "follow", away),), now=since + after)
    assert ("NodeAway node pi" in found.so) is told
    assert (found.look_again == since + AWAY) is not told


def test_without_its_daemon_a_node_cannot_tell_who_is_away() -> None:
    nobody = condition("Synced", "Unknown", "StoreAway")
    found = facts(sources=(source("pi", "follow", nobody),), known={"NodeAway node pi": "PeerAway"})
    assert found.unsure == {"NodeAway node pi"}


def test_a_source_that_is_stalled() -> None:
    found = facts(
        sources=(source("home", "git", condition("Stalled", "True", "NotVerified", "who is that")),)
    )
    assert found.so["Stalled source home"].text == "NotVerified: who is that"
    assert found.so["Stalled source home"].service == ""


def test_a_disk_is_low_below_both_bounds_and_has_room_again_well_above() -> None:
    small = Disk(total=10 * LOW_BYTES, free=LOW_BYTES - 1)
    assert "DiskLow disk" in facts(disk=small).so
    assert not facts(disk=Disk(total=2 * LOW_BYTES, free=LOW_BYTES - 1)).so
    a_little_more = Disk(total=10 * LOW_BYTES, free=LOW_BYTES + 1)
    assert not facts(disk=a_little_more).so
    assert "DiskLow disk" in facts(disk=a_little_more, known={"DiskLow disk": "DiskLow"}).so
    much_more = Disk(total=10 * LOW_BYTES, free=2 * LOW_BYTES)
    assert not facts(disk=much_more, known={"DiskLow disk": "DiskLow"}).so


def test_while_a_node_boots_nothing_is_over() -> None:
    known = {"Stalled notes": "X", "DiskLow disk": "DiskLow", "Stalled photos": "X"}
    found = facts(service("photos", condition("Stalled", "Unknown")), known=known, whole=False)
    assert found.unsure == set(known)
    # Later, `notes` is deleted; of `photos` it is still not known.
    assert facts(service("photos", condition("Stalled", "Unknown")), known=known).unsure == {
        "DiskLow disk", "Stalled photos",
    }  # fmt: skip


def test_which_revision_serves() -> None:
    ready = condition("Ready", "True")
    found = facts(
        service("a", ready), service("b", ready, desired="r2"), service("c", condition("Ready", "False"))
    )
    assert found.serving == {"a": "r1"}
    assert found.there == {"a", "b", "c"}
