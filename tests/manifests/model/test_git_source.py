"""What one [[sources.git]] may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manifests.model.git_source import GitSource, Ref, checked_url, read_ref

_COMMIT = "ab" * 20


def make(**values: Any) -> GitSource:
    return GitSource.model_validate({"name": "home", "url": "https://git.example.com/me/home.git", **values})


def test_what_is_left_out() -> None:
    source = make()
    assert (source.interval, source.prune, source.allow_empty, source.trust) == (30.0, True, False, "own")
    assert source.ref == Ref() and str(source.ref) == "the default branch"


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("main", Ref(branch="main")),
        ("v1.2.3", Ref(branch="v1.2.3")),
        ("refs/tags/v1.2.3", Ref(tag="v1.2.3")),
        ("^1.2", Ref(semver="^1.2")),
        (">=1 <2", Ref(semver=">=1 <2")),
        (_COMMIT, Ref(commit=_COMMIT)),
        ("cd" * 32, Ref(commit="cd" * 32)),
    ],
)
def test_a_ref_may_be_one_text(text: str, ref: Ref) -> None:
    assert make(ref=text).ref == ref == Ref.model_validate(read_ref(text))


@pytest.mark.parametrize(
    "ref",
    [
        {"branch": "main", "tag": "v1"}, {"commit": "abc123"}, {"semver": "one"},
        {"branch": "-upload-pack=x"}, {"branch": "a..b"}, {"tag": "a b"}, {"branch": "x.lock"},
        {"branch": ""},
        {"tag": "a:refs/heads/b"}, {"branch": "a*"}, {"branch": "/a"}, {"branch": "a@{1}"},
    ],
)  # fmt: skip
def test_no_ref(ref: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        make(ref=ref)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://git.example.com:8443/a.git", "https://git.example.com:8443/a.git"),
        ("HTTPS://git.example.com/a.git", "https://git.example.com/a.git"),
        ("/srv/git/a.git/", "/srv/git/a.git"),
        ("file:///srv/git/a.git", "file:///srv/git/a.git"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("git@git.example.com:me/a.git", "ssh://git@git.example.com/me/a.git"),
    ],
)
def test_urls(url: str, kept: str) -> None:
    assert checked_url(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c id", "-c x", "git.example.com/a", "../a.git", "ftp://h/a", "https://h:99999/a", "https:///a",
        "ssh://-oProxyCommand=id@h/a", "ssh://-h/a", "file://other/a", "https://h /a", "https://h\n/a", "",
    ],
)  # fmt: skip
def test_no_urls(url: str) -> None:
    with pytest.raises(ValueError):
        checked_url(url)


@pytest.mark.parametrize(
    "url", ["https://u:s3cret@h/a", "https://s3cret@h/a", "https://h/a?token=s3cret", "ssh://git:s3cret@h/a"]
)
def test_a_secret_in_a_url_is_refused_and_not_told_again(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        checked_url(url)
    assert "tokenFile" in str(caught.value) and "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"url": "ssh://git@h/a"},
        {"url": "ssh://git@h/a", "credentials": {"sshKey": "k"}},
        {"credentials": {"sshKey": "k", "knownHosts": "h"}},
        {"credentials": {"sshKey": "k", "knownHosts": "h", "tokenFile": "t"}, "url": "ssh://git@h/a"},
        {"url": "http://h/a", "credentials": {"tokenFile": "t"}},
        {"credentials": {"tokenFile": "t", "username": "a\nb"}},
        {"credentials": {}},
        {"url": "git://h/a", "caFile": "ca"},
        {"verify": {"mode": "head"}},
        {"verify": {"mode": "tag", "allowedSigners": "s"}},
        {"path": "../other"}, {"path": "/etc"}, {"path": "a/.git"}, {"path": "a/.GIT/b"}, {"path": "${home}"},
        {"name": "records"}, {"name": "A"}, {"interval": "0s"},
    ],
)  # fmt: skip
def test_what_does_not_fit_together(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(**values)


def test_a_path_may_name_the_node() -> None:
    source = make(path="./nodes/${node}/")
    assert (source.path, source.folder("attic")) == ("nodes/${node}", "nodes/attic")


def test_sources_share_a_mirror_where_they_see_the_same() -> None:
    first, token = make(), {"tokenFile": "t"}
    assert first.mirror == make(name="other", path="b", ref="dev").mirror
    others = [make(url="https://h/a"), make(credentials=token), make(caFile="ca")]
    assert len({first.mirror, *(each.mirror for each in others)}) == 4
