"""What is published of a node's status: what means something elsewhere, and only what is new."""

from __future__ import annotations

from typing import Any

import pytest

from hyper.port import Record
from reconciler.peers.port import NODE_SELF, Follow
from reconciler.peers.publication import (
    entry_path,
    gone,
    mark_of,
    public_entry,
    public_follow,
    published,
    updates,
)
from tests.reconciler.fakes import service

ABOUT = {"name": "pi", "follows": []}


def after(before: dict[Any, Any], writes: Any) -> dict[Any, Any]:
    """What is published once this was written."""
    merged = before | {write.path: write.value for write in writes}
    return {path: value for path, value in merged.items() if value is not None}


def test_nothing_of_this_machine_alone_is_told() -> None:
    entry = service("notes")
    public = public_entry(entry)
    (instance,) = public["instances"]
    assert "file" not in public and not instance.keys() & {"pid", "endpoint", "instance"}
    assert public["conditions"] == entry["conditions"] and public["observedRevision"] == "aaaabbbbcccc"


def test_only_what_is_new_is_written_and_the_node_last() -> None:
    entry = public_entry(service("notes"))
    writes = updates({}, ABOUT, {"notes": entry, "gone": None}, now="2025-01-01T00:00:00Z")
    assert [write.path for write in writes] == [entry_path("notes"), NODE_SELF]
    assert writes[-1].value["publishedAt"] == "2025-01-01T00:00:00Z"
    before = after({}, writes)
    assert updates(before, ABOUT, {"notes": entry}, now="2026-01-01T00:00:00Z") == []
    changed = public_entry(service("notes", ready=False))
    writes = updates(before, ABOUT, {"notes": changed}, now="2026-01-01T00:00:00Z")
    assert [write.path for write in writes] == [entry_path("notes"), NODE_SELF]
    assert writes[-1].value["publishedAt"].startswith("2026")
    writes = updates(before, {**ABOUT, "follows": [1]}, {}, now="2026-01-01T00:00:00Z")
    assert [write.path for write in writes] == [NODE_SELF]


def test_what_is_no_more_is_deleted_once() -> None:
    before = after({}, updates({}, ABOUT, {"notes": public_entry(service("notes"))}, now=""))
    assert gone(before, ["wiki"]) == {"notes"} and gone(before, ["notes"]) == set()
    first, *_ = writes = updates(before, ABOUT, {"notes": None}, now="")
    assert first.deleted and first.path == entry_path("notes")
    assert updates(after(before, writes), ABOUT, {"notes": None}, now="") == []


def test_what_others_wrote_there_is_left_alone() -> None:
    foreign = Record(("elsewhere", "x"), 1, 1)
    deeper = Record((*entry_path("notes"), "more"), 2, 1)
    ours = Record(entry_path("notes"), 3, {"id": "notes"})
    assert published([foreign, deeper, ours]) == {entry_path("notes"): {"id": "notes"}}


def test_no_key_of_a_follow_is_published() -> None:
    follow = Follow("laptop", "ab" * 32, "cd" * 32, "10.0.0.7:1")
    status = {"database": follow.key, "position": [0, 3], "lag": 0, "peers": 1, "conditions": []}
    public = public_follow(follow, status)
    assert public == {
        "name": "laptop",
        "mark": mark_of(follow.key),
        "position": [0, 3],
        "lag": 0,
        "peers": 1,
        "conditions": [],
    }
    assert follow.key not in str(public) and follow.noise not in str(public)


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        ("GitFetchFailed", "https://nas/x cannot be fetched: refused", "its package could not be fetched"),
        (
            "Ready",
            "the previous revision serves; GitFetchFailed: https://nas/x cannot be fetched: 10.0.0.7 refused",
            "the previous revision serves; GitFetchFailed: its package could not be fetched",
        ),
        ("GitFetchFailed", "", ""), ("Starting", "started", "started"),
    ],
)  # fmt: skip
def test_an_author_does_not_learn_what_servers_there_are_here(reason: str, message: str, told: str) -> None:
    entry = service("notes")
    entry["conditions"] = [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
    (condition,) = public_entry(entry)["conditions"]
    assert (condition["reason"], condition["message"]) == (reason, told)
    # Its owner reads all of it.
    assert entry["conditions"][0]["message"] == message
