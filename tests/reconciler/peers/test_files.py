"""What a node keeps on its disk about itself and others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from manifests.model.policy import Policy
from reconciler.errors import UserError
from reconciler.peers.follows import FollowsFile, checked
from reconciler.peers.own import Own, OwnFile
from reconciler.peers.port import Follow

if TYPE_CHECKING:
    from pathlib import Path

FOLLOWS = [
    Follow("laptop", "ab" * 32, "cd" * 32, "10.0.0.7:49737", Policy(ids=("lab-*",), memory=2**28)),
    Follow("tv", "ef" * 32),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def test_follows_are_kept_in_their_order_for_their_owner_alone(home: Path) -> None:
    assert FollowsFile(home).read() == []
    FollowsFile(home).write(FOLLOWS)
    file = home / "state" / "follows.json"
    assert file.stat().st_mode & 0o777 == 0o600
    again = FollowsFile(home)
    assert again.read() == FOLLOWS and again.problem is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"follows": [1]}',
        '{"follows": [{"name": "a"}]}',
        '{"follows": [{"name": "a", "key": 1}]}',
        '{"follows": [{"name": "a", "key": "%s", "policy": {"new": 1}}]}' % ("ab" * 32),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_is_not_written_over(home: Path, text: str) -> None:
    file = home / "state" / "follows.json"
    file.write_text(text)
    follows = FollowsFile(home)
    assert follows.read() == [] and follows.problem is not None
    with pytest.raises(UserError, match="cannot be read"):
        follows.write(FOLLOWS)
    assert file.read_text() == text


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_disk_that_takes_nothing_is_told(home: Path) -> None:
    (home / "state").chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        FollowsFile(home).write(FOLLOWS)
    (home / "state").chmod(0o700)


def test_keys_are_compared_whatever_their_case() -> None:
    follow = checked(Follow("a", "AB" * 32, "CD" * 32), [], "")
    assert (follow.key, follow.noise) == ("ab" * 32, "cd" * 32)
    with pytest.raises(UserError, match="own key"):
        checked(Follow("a", "AB" * 32), [], "ab" * 32)


def test_a_change_of_policy_is_no_second_follow_of_the_same_node() -> None:
    changed = Follow("laptop", "ab" * 32, policy=Policy(status_only=True))
    assert checked(changed, FOLLOWS, "").policy.status_only


def test_own_databases_are_known_again(home: Path) -> None:
    assert OwnFile(home).value == Own()
    own = Own("ab" * 32, "cd" * 32, "ef" * 32, "127.0.0.1:1")
    OwnFile(home).write(own)
    assert OwnFile(home).value == own
    for text in ("", "[]", '{"records": 3}'):
        (home / "state" / "databases.json").write_text(text)
        assert OwnFile(home).value == Own()
