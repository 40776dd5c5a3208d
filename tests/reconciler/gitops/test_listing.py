"""Which commit a ref is, in what a repository says that it has."""

from __future__ import annotations

import pytest

from manifests.model.git_source import Ref
from reconciler.gitops.listing import Seen, read_listing
from reconciler.gitops.troubles import GitTrouble

A, B, C, T = "a" * 40, "b" * 40, "c" * 40, "1" * 40
_TEXT = f"""\
ref: refs/heads/main\tHEAD
{A}\tHEAD
{B}\trefs/heads/dev
{A}\trefs/heads/main
{T}\trefs/tags/v1.2.0
{B}\trefs/tags/v1.2.0^{{}}
{C}\trefs/tags/v1.10.0
{A}\trefs/tags/v2.0.0-rc.1
{A}\trefs/tags/weekly
"""


@pytest.mark.parametrize(
    ("ref", "seen"),
    [
        (Ref(), Seen(A, "refs/heads/main", A)),
        (Ref(branch="dev"), Seen(B, "refs/heads/dev", B)),
        (Ref(tag="v1.2.0"), Seen(B, "refs/tags/v1.2.0", T)),
        (Ref(tag="weekly"), Seen(A, "refs/tags/weekly", A)),
        (Ref(semver="^1.2"), Seen(C, "refs/tags/v1.10.0", C)),
        (Ref(semver="~1.2"), Seen(B, "refs/tags/v1.2.0", T)),
        (Ref(commit=C), Seen(C, "", C)),
    ],
)
def test_a_ref_is_a_commit(ref: Ref, seen: Seen) -> None:
    assert read_listing(_TEXT).resolve(ref) == seen


def test_the_default_branch_of_a_server_that_does_not_name_it() -> None:
    assert read_listing(f"{A}\tHEAD\n{A}\trefs/heads/main\n").resolve(Ref()) == Seen(A, "HEAD", A)


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        (Ref(branch="gone"), "the default branch is main"),
        (Ref(branch="weekly"), "is a tag"),
        (Ref(tag="dev"), "is a branch"),
        (Ref(semver="^2"), "range"),
    ],
)
def test_a_ref_that_is_not_there(ref: Ref, hint: str) -> None:
    with pytest.raises(GitTrouble) as caught:
        read_listing(_TEXT).resolve(ref)
    assert caught.value.reason == "RefMissing" and hint in caught.value.hint


def test_an_empty_repository() -> None:
    with pytest.raises(GitTrouble) as caught:
        read_listing("").resolve(Ref())
    assert caught.value.reason == "EmptyRepository"


def test_it_is_looked_for_once() -> None:
    """A poll that finds nothing new reads no versions of thousands of tags again."""
    listing = read_listing(_TEXT)
    assert listing.resolve(Ref(semver="^1.2")) is listing.resolve(Ref(semver="^1.2"))
