"""Positional params of a method, checked. Pure; messages are those of the original's validator.

What a client sends beyond what a method knows is ignored, as it always was: real clients do. Null is as good
as left out, because that is what JavaScript's undefined becomes in a list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hyper.adb.rules.entries import PRIVATE, PUBLIC, Owner
from hyper.adb.rules.errors import bad_params
from hyper.adb.rules.paths import is_path, split_path
from hyper.port import Position, Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyper.port import RecordPath

_BOUNDS = ("gt", "gte", "lt", "lte")
#: Versions, limits: what JavaScript counts exactly.
_LARGEST = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Config:
    """What may be said about a database; None is left as it is. An empty alias takes it away."""

    alias: str | None = None
    access: str | None = None
    schemas: Mapping[str, Any] | None = None
    owner: Owner | None = None

    def without_owner(self) -> Config:
        return replace(self, owner=None)


@dataclass(frozen=True, slots=True)
class Versions:
    """What to compare: `right` is the newest when it is None. No tables are all records."""

    left: int
    right: int | None
    tables: tuple[RecordPath, ...]


class Params:
    """The params of one call. Everything here raises RpcError where they are not as they must be."""

    __slots__ = ("_given",)

    def __init__(self, given: Any) -> None:
        self._given: list[Any] = given if isinstance(given, list) else []

    def text(self, index: int) -> str:
        """A text that is not empty."""
        value = self._at(index)
        if not isinstance(value, str):
            raise _wrong(index, "must be string")
        if not value:
            raise _wrong(index, "must NOT have fewer than 1 characters")
        return value

    def optional_text(self, index: int) -> str:
        return "" if self._at(index) is None else self.text(index)

    def path(self, index: int) -> RecordPath:
        """The path of a record."""
        path = self.prefix(index)
        if not path:
            raise _wrong(index, "must NOT have fewer than 1 items")
        return path

    def prefix(self, index: int) -> RecordPath:
        """A path that may be empty."""
        return _path(index, "", self._at(index))

    def optional_prefix(self, index: int) -> RecordPath:
        return () if self._at(index) is None else self.prefix(index)

    def value(self, index: int) -> dict[str, Any]:
        """A record's value."""
        value = self._at(index)
        if not isinstance(value, dict):
            raise _wrong(index, "must be object")
        return value

    def config(self, index: int) -> Config:
        """DbConfig, or DbAdminConfig: whether `owner` counts is the method's business."""
        members = self._members(index)
        access = _member(index, members, "access", str)
        if access not in (None, PRIVATE, PUBLIC):
            raise _wrong(index, "must be equal to one of the allowed values", "access")
        schemas = _member(index, members, "schemas", dict)
        owner = _member(index, members, "owner", dict)
        return Config(_member(index, members, "alias", str), access, schemas, _owner(index, owner))

    def server_db(self, index: int) -> str:
        """The id in an AdbProcessConfig; empty when there is none."""
        return _member(index, self._members(index), "serverDbId", str) or ""

    def range(self, index: int) -> Range:
        """ListOpts."""
        members = self._members(index)
        if not members:
            return _EVERYTHING
        bounds = {name: _bound(index, name, members.get(name)) for name in _BOUNDS}
        limit = _count(index, members, "limit")
        return Range(**bounds, limit=limit, reverse=_member(index, members, "reverse", bool) or False)

    def versions(self, index: int) -> Versions:
        members = self._members(index)
        left = _count(index, members, "left")
        if left is None:
            raise _wrong(index, "must have required property 'left'")
        tables = _member(index, members, "tableIds", list) or []
        paths = tuple(_path(index, "/tableIds", table) for table in tables)
        return Versions(left, _count(index, members, "right"), paths)

    def since(self, index: int) -> Position | None:
        """Where a feed is to go on: `{since: {fork, version}}`."""
        since = _member(index, self._members(index), "since", dict)
        if since is None:
            return None
        fork, version = _count(index, since, "fork"), _count(index, since, "version")
        return None if fork is None or version is None else Position(fork, version)

    def number(self, index: int) -> int:
        """A whole number."""
        found = _count(index, {"": self._at(index)}, "")
        if found is None:
            raise _wrong(index, "must be number")
        return found

    def _at(self, index: int) -> Any:
        return self._given[index] if index < len(self._given) else None

    def _members(self, index: int) -> dict[str, Any]:
        value = self._at(index)
        return {} if value is None else self.value(index)


_EVERYTHING = Range()
_TYPES = {str: "string", dict: "object", list: "array", bool: "boolean"}


def _wrong(index: int, what: str, *members: str) -> Exception:
    where = "/".join((str(index + 1), *filter(None, members)))
    return bad_params(f"Parameter {where} {what}")


def _member(index: int, members: dict[str, Any], name: str, kind: type) -> Any:
    value = members.get(name)
    if value is not None and not isinstance(value, kind):
        raise _wrong(index, f"must be {_TYPES[kind]}", name)
    return value


def _count(index: int, members: dict[str, Any], name: str) -> int | None:
    """A whole number, which JavaScript may write as 3.0; negative ones, as limits, are none."""
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(index, "must be number", name)
    if value < 0 or value > _LARGEST or value != int(value):
        if name == "limit" and value < 0:
            return None
        raise _wrong(index, "must be integer", name)
    return int(value)


def _path(index: int, member: str, value: Any) -> RecordPath:
    if isinstance(value, str):
        parts = split_path(value)
    elif isinstance(value, list) and all(isinstance(part, str) for part in value):
        parts = tuple(value)
    else:
        raise bad_params(f"Parameter {index + 1}{member} must be string")
    if not is_path(parts):
        raise bad_params(f"Parameter {index + 1}{member} must have parts without NUL that are not empty")
    return parts


def _bound(index: int, name: str, value: Any) -> str | None:
    """Text is compared with the rest of a key as it is; a list are the parts of that rest."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\0".join(_path(index, f"/{name}", value))
    raise _wrong(index, "must be string", name)


def _owner(index: int, members: dict[str, Any] | None) -> Owner | None:
    if members is None:
        return None
    user, service = (_member(index, members, name, str) or "" for name in ("userKey", "serviceKey"))
    return Owner(user, service)
