"""Which tags are releases, and which one a service gets."""

from __future__ import annotations

import pytest

from manifests.documents.parse import parse_file
from manifests.model.releases import Pin, read_offer

A, B, C = "a" * 40, "b" * 40, "c" * 40
LISTING = "\n".join([
    f"{A}\trefs/tags/v1.0.0", f"{'0' * 40}\trefs/tags/v1.2.0", f"{B}\trefs/tags/v1.2.0^{{}}",
    f"{C}\trefs/tags/2.0.0-rc.1", f"{C}\trefs/tags/nightly", f"{C}\trefs/tags/v3",
    "not a line", f"{C}\trefs/heads/v9.0.0",
])  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        ("", "v1.2.0"),
        ("latest", "v1.2.0"),
        ("^1", "v1.2.0"),
        ("~1.0", "v1.0.0"),
        (">=2.0.0-rc.0", "2.0.0-rc.1"),
        ("^3", ""),
    ],
)
def test_the_newest_in_the_range(wanted: str, tag: str) -> None:
    found = read_offer(LISTING).newest(wanted)
    assert (found.tag if found else "") == tag


def test_an_annotated_tag_is_the_commit_that_it_is_on() -> None:
    offer = read_offer(LISTING)
    found, none = offer.of_commit(B), offer.of_commit("d" * 40)
    assert found and found.tag == "v1.2.0" and none is None


def test_where_a_service_stays_is_in_a_range_or_not() -> None:
    pin = Pin("u", True, A, "v1.0.0")
    assert (pin.shown, pin.is_in(""), pin.is_in("^1"), pin.is_in("^2")) == ("1.0.0", True, True, False)
    bare = Pin("u", True, A, kept=True)
    assert (bare.shown, bare.is_in(""), bare.is_in("*")) == (A[:12], True, False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("source: https://example.com/a.git\nversion: 1.20", ""),
        ("source: https://example.com/a.git\nversion: '>=1 <3 || latest'", "no range of versions"),
        ("source: https://example.com/a.git#main\nversion: ^1", "version and #main exclude each other"),
        ("source: ./a\nversion: ^1", "version is for packages from Git"),
        ("command: [a]\nversion: ^1", "version is for packages from Git"),
        ("source: https://example.com/a.git\nversion: one", "no range of versions like ^1.2"),
    ],
)
def test_a_version_in_a_manifest(text: str, problem: str) -> None:
    parsed = parse_file(f"id: a\n{text}", "a.yaml", ".yaml")
    if problem:
        assert problem in str(parsed.problems[0])
    else:
        # As it was written: 1.20 is not 1.2.
        assert parsed.problems == () and parsed.manifests[0].version == "1.20"
