"""Semantic versions and npm's ranges of them. Pure.

    1.2.3   v1.2.3-beta.1+5                    versions, as in tags
    ^1.2  ~1.2.3  1.x  1.2 - 2  >=1 <3 || 5    ranges; `latest`, `*` and nothing at all mean any release

A range is a choice of sets of comparators, all of which hold. A prerelease is in a set only where one of its
comparators names a prerelease of the same three numbers: nobody gets a beta who did not ask for that one.
Grammar and meaning are those of node-semver 7, as in engines, dependencies and `npm install`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

#: Longer texts are no versions, and JavaScript's numbers end here.
_LONGEST, _LARGEST = 256, 2**53 - 1
_NUMBER = r"0|[1-9][0-9]*"
_PART = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SUFFIX = rf"(?:-(?P<pre>{_PART}(?:\.{_PART})*))?(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_VERSION = re.compile(rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER}){_SUFFIX}")
_X = rf"{_NUMBER}|[xX*]"
_COMPARATOR = re.compile(
    rf"(?P<how>~>?|\^|[<>]?=?)[v=\s]*(?:(?P<M>{_X})(?:\.(?P<m>{_X})(?:\.(?P<p>{_X}){_SUFFIX})?)?)?"
)
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
#: Between an operator and its version there may be blanks.
_APART = re.compile(r"(~>?|\^|[<>]=?|=)\s+")
#: Operators that take a number behind an x for an x, and all there are.
_SHIFTING = ("^", "~", "~>")
_OPERATORS = (*_SHIFTING, "", "=", "<", ">", "<=", ">=")
#: Below all versions there are, and so below every prerelease of a number.
_LOWEST = (0,)

_Comparator = tuple[str, "Version"]


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """`pre` are the identifiers of a prerelease; what is built of a version does not order it."""

    major: int
    minor: int
    patch: int
    pre: tuple[int | str, ...] = ()

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    def __lt__(self, other: Version) -> bool:
        return self._rank() < other._rank()

    def __str__(self) -> str:
        pre = f"-{'.'.join(map(str, self.pre))}" if self.pre else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}"

    def _rank(self) -> tuple[object, ...]:
        # Numbers are below words, a prerelease is below its release.
        parts = tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in self.pre)
        return (*self.numbers, not self.pre, parts)


@dataclass(frozen=True, slots=True)
class Range:
    """Comparators that hold together, and the choices among such sets."""

    choices: tuple[tuple[_Comparator, ...], ...]

    def allows(self, version: Version) -> bool:
        return any(_holds(choice, version) for choice in self.choices)

    def newest(self, versions: Iterable[Version]) -> Version | None:
        """The greatest version that is in the range."""
        return max((each for each in versions if self.allows(each)), default=None)


#: A comparator that says nothing.
_ANY: _Comparator = (">=", Version(0, 0, 0))


def parse_version(text: str) -> Version | None:
    """The version that a text (a tag) is as a whole, with or without a v before it; else None."""
    found = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    major, minor, patch = (int(found[index]) for index in (1, 2, 3))
    return Version(major, minor, patch, _pre(found["pre"])) if max(major, minor, patch) <= _LARGEST else None


def parse_range(text: str) -> Range:
    """Raises ValueError, for a person, when it is no range."""
    if len(text) > _LONGEST:
        raise ValueError("a range has at most 256 characters")
    text = text.strip()
    written = "*" if text == "latest" else text
    choices = tuple(
        tuple(each for each in _comparators(part.strip(), text) if each != _ANY)
        for part in written.split("||")
    )
    # Beside "any release" no other choice counts, as there: a prerelease that it names is not taken.
    return Range(((),) if () in choices else choices)


def newest_release(versions: Iterable[Version]) -> Version | None:
    """What somebody gets who asks for nothing: the newest release, else the newest prerelease."""
    return max(versions, key=lambda version: (not version.pre, version), default=None)


# Inside


def _comparators(choice: str, whole: str) -> Iterator[_Comparator]:
    if hyphen := _HYPHEN.fullmatch(choice):
        begin, end = _part(hyphen[1], whole, ("", "=")), _part(hyphen[2], whole, ("", "="))
        yield from _from(begin)
        yield from _until(end)
        return
    for word in _APART.sub(r"\1", choice).split():
        part = _part(word, whole)
        if part["how"] not in _SHIFTING and _has_gap(part):
            raise _no_range(whole)
        yield from _simple(part)


def _part(word: str, whole: str, operators: Collection[str] = _OPERATORS) -> re.Match[str]:
    found = _COMPARATOR.fullmatch(word)
    if (
        found is None
        or found["how"] not in operators
        or any(int(found[key]) > _LARGEST for key in "Mmp" if _given(found, key))
    ):
        raise _no_range(whole)
    return found


def _no_range(whole: str) -> ValueError:
    return ValueError(f"{whole!r} is no range of versions like ^1.2, 1.x or >=1 <3")


def _has_gap(part: re.Match[str]) -> bool:
    """Whether a number stands behind an x."""
    given = [_given(part, key) for key in "Mmp"]
    return given != sorted(given, reverse=True)


def _given(part: re.Match[str], key: str) -> bool:
    return part[key] is not None and part[key] not in "xX*"


def _simple(part: re.Match[str]) -> Iterator[_Comparator]:
    how = part["how"]
    if not _given(part, "M"):
        if how in ("<", ">"):
            yield "<", Version(0, 0, 0, _LOWEST)
        return
    if how == "^":
        yield from _from(part)
        yield "<", _after(part, _significant(part))
    elif how.startswith("~"):
        yield from _from(part)
        yield "<", _after(part, 1 if _given(part, "m") else 0)
    elif (missing := _first_missing(part)) is None:
        yield how or "=", _version(part)
    elif how == ">":
        yield ">=", _after(part, missing - 1, lowest=())
    elif how == "<=":
        yield "<", _after(part, missing - 1)
    elif how == "<":
        yield "<", Version(*_version(part).numbers, _LOWEST)
    else:
        yield ">=", _version(part)
        if how != ">=":
            yield "<", _after(part, missing - 1)


def _from(part: re.Match[str]) -> Iterator[_Comparator]:
    if _given(part, "M"):
        yield ">=", _version(part)


def _until(part: re.Match[str]) -> Iterator[_Comparator]:
    if not _given(part, "M"):
        return
    missing = _first_missing(part)
    yield ("<=", _version(part)) if missing is None else ("<", _after(part, missing - 1))


def _first_missing(part: re.Match[str]) -> int | None:
    return next((index for index, key in enumerate("Mmp") if not _given(part, key)), None)


def _significant(part: re.Match[str]) -> int:
    """Which number ^ lets nobody change: the first that is not 0, of those that are given."""
    given = [key for key in "Mmp"[: _first_missing(part)] if _given(part, key)]
    return next((index for index, key in enumerate(given) if int(part[key])), len(given) - 1)


def _version(part: re.Match[str]) -> Version:
    """What is not given is 0."""
    missing = _first_missing(part)
    major, minor, patch = (
        int(part[key]) if missing is None or index < missing else 0 for index, key in enumerate("Mmp")
    )
    return Version(major, minor, patch, _pre(part["pre"]) if missing is None else ())


def _after(part: re.Match[str], index: int, lowest: tuple[int, ...] = _LOWEST) -> Version:
    """The first version in which the number at `index` is greater."""
    version = _version(part)
    if index == 0:
        return Version(version.major + 1, 0, 0, lowest)
    if index == 1:
        return Version(version.major, version.minor + 1, 0, lowest)
    return Version(version.major, version.minor, version.patch + 1, lowest)


def _pre(text: str | None) -> tuple[int | str, ...]:
    return tuple(int(part) if part.isdigit() else part for part in text.split(".")) if text else ()


def _holds(choice: tuple[_Comparator, ...], version: Version) -> bool:
    if not all(_compare(how, version, bound) for how, bound in choice):
        return False
    return not version.pre or any(bound.pre and bound.numbers == version.numbers for _, bound in choice)


def _compare(how: str, version: Version, bound: Version) -> bool:
    if how == "=":
        return version == bound
    if how in ("<", "<="):
        return version < bound or (how == "<=" and version == bound)
    return version > bound or (how == ">=" and version == bound)
