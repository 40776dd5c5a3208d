"""What `source:` says of a repository."""

from __future__ import annotations

import pytest

from manifests.model.git import GitPackage, is_git, parse_git
from manifests.packages.resolve import absolute_source, git_package


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("https://example.com/notes.git", GitPackage("https://example.com/notes.git")),
        ("https://github.com/x/y", GitPackage("https://github.com/x/y")),
        ("HTTPS://example.com/a#main", GitPackage("https://example.com/a", "main")),
        (
            "git+https://example.com/a#v1.2:apps/notes",
            GitPackage("https://example.com/a", "v1.2", "apps/notes"),
        ),
        ("https://example.com/a.git#:./notes/", GitPackage("https://example.com/a.git", "", "notes")),
        ("http://[::1]:8080/a#feature/x", GitPackage("http://[::1]:8080/a", "feature/x")),
        ("git://example.com/a", GitPackage("git://example.com/a")),
        ("ssh://me@example.com:2222/a.git", GitPackage("ssh://me@example.com:2222/a.git")),
        ("git@example.com:x/notes.git#v1", GitPackage("ssh://git@example.com/x/notes.git", "v1")),
        ("git@example.com:/srv/notes", GitPackage("ssh://git@example.com/srv/notes")),
        ("/srv/git/notes.git#main:app", GitPackage("/srv/git/notes.git", "main", "app")),
        ("file:///srv/my%20git/notes.git", GitPackage("/srv/my git/notes.git")),
        ("git+file:///srv/notes", GitPackage("/srv/notes")),
        ("../notes.git", GitPackage("../notes.git")),
    ],
)
def test_sources_that_are_repositories(source: str, package: GitPackage) -> None:
    assert is_git(source)
    assert parse_git(source) == package
    # As it is written into a manifest elsewhere, it means the same.
    assert parse_git(str(package)) == package


@pytest.mark.parametrize(
    "source",
    [".", "./notes", "/srv/notes", "~/git", "file:///srv/notes", "hyper://ab?version=1", "notes.github"],
)
def test_sources_that_are_not(source: str) -> None:
    assert not is_git(source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("https://me:secret@example.com/a.git", "no password and no token"),
        ("https://token@example.com/a.git", "no password and no token"),
        ("ssh://me:secret@example.com/a.git", "no password and no token"),
        ("ssh://-oProxyCommand=x/a.git", "no name of a host"),
        ("https:///a.git", "no name of a host"),
        ("https://example.com/a.git#-x", "no branch, tag or commit"),
        ("https://example.com/a.git#a..b", "no branch, tag or commit"),
        ("https://example.com/a.git#main:../../etc", "no folder of a repository"),
        ("https://example.com/a.git#main:.git/hooks", "no folder of a repository"),
    ],
)
def test_what_is_refused(source: str, said: str) -> None:
    assert is_git(source)
    with pytest.raises(ValueError, match=said) as caught:
        parse_git(source)
    assert "secret" not in str(caught.value)


def test_a_path_begins_at_the_manifest() -> None:
    assert git_package("../notes.git#v1", "/srv/manifests") == GitPackage("/srv/notes.git", "v1")
    assert absolute_source("../notes.git#v1:a", "/srv/manifests") == "/srv/notes.git#v1:a"
    assert absolute_source("https://example.com/a#v1", "/srv") == "https://example.com/a#v1"
    assert git_package("../notes", "/srv") is None


def test_what_is_fixed_public_or_local() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert GitPackage("https://example.com/a", commit).is_fixed
    assert not GitPackage("https://example.com/a", commit[:12]).is_fixed
    assert GitPackage("https://example.com/a").is_public
    for url in ("http://example.com/a", "ssh://git@example.com/a", "git://example.com/a", "/srv/a.git"):
        assert not GitPackage(url).is_public
    assert GitPackage("a.git").is_local and not GitPackage("ssh://a/b.git").is_local
