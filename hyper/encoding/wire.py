"""What goes over the daemon's socket: JSON-RPC 2.0, one object a line, and the port's values in it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, get_args

import orjson

from hyper.port import (
    Change,
    Changes,
    Code,
    Database,
    Drive,
    HyperError,
    Position,
    Record,
    Status,
    Undecodable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hyper.port import Difference, Range, Write


T = TypeVar("T")

_CODES = frozenset(get_args(Code))
#: Of one line, in bytes: the daemon sends pages of 1 MiB, and a record may be larger.
LONGEST_LINE = 32 * 2**20


class Lines:
    """Puts lines together from what arrives. Raises HyperError for one without an end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete now."""
        first, *rest = data.split(b"\n")
        self._hold(first)
        for part in rest:
            line = b"".join(self._parts)
            self._parts, self._size = [], 0
            self._hold(part)
            if line:
                yield line

    def _hold(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > LONGEST_LINE:
            raise HyperError("INTERNAL", "the daemon sends a line without an end")


def request_line(number: int, method: str, params: Mapping[str, Any]) -> bytes:
    """Raises BAD_REQUEST for what is no JSON, and for whole numbers that JavaScript does not keep."""
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    try:
        return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_STRICT_INTEGER)
    except TypeError as error:
        raise HyperError("BAD_REQUEST", f"that is no JSON: {error}") from error


def result_of(answer: Mapping[str, Any]) -> Any:
    """What an answer brings. Raises HyperError: the one that it tells, or INTERNAL if it tells nothing."""
    if answer.get("error") is not None:
        raise error_of(answer["error"])
    if "result" not in answer:
        raise nonsense()
    return answer["result"]


def understand(convert: Callable[[Any], T], value: Any) -> T:
    """The converted value. Raises HyperError INTERNAL for what is none of its kind."""
    try:
        return convert(value)
    except (KeyError, TypeError, AttributeError) as error:
        raise nonsense() from error


def nonsense() -> HyperError:
    return HyperError("INTERNAL", "the daemon answers what makes no sense", hint="is it the right program?")


def error_of(value: Any) -> HyperError:
    told = value if isinstance(value, dict) else {}
    data = told.get("data")
    data = data if isinstance(data, dict) else {}
    code: Code = data["code"] if data.get("code") in _CODES else "INTERNAL"
    return HyperError(code, str(told.get("message", "the daemon failed")), hint=str(data.get("hint") or ""))


def database_of(value: Mapping[str, Any]) -> Database:
    return Database(
        db_id=value["dbId"],
        name=value.get("name") or "",
        writable=value["writable"],
        fork=value["fork"],
        version=value["version"],
        known=value["known"],
        peers=value["peers"],
        synced=value["synced"],
        conflict=value["conflict"],
    )


def record_of(value: Mapping[str, Any]) -> Record:
    return Record(tuple(value["path"]), value["seq"], _value_of(value))


def _value_of(value: Mapping[str, Any]) -> Any:
    why = value.get("undecodable")
    return value["value"] if why is None else Undecodable(str(why))


def optional_record_of(value: Mapping[str, Any] | None) -> Record | None:
    return None if value is None else record_of(value)


def change_of(value: Mapping[str, Any]) -> Change:
    deleted = value.get("deleted") is True
    return Change(tuple(value["path"]), value["seq"], None if deleted else _value_of(value), deleted)


class Page(NamedTuple, Generic[T]):
    """A part of a longer answer; `after` is where the next one begins, None at the end."""

    items: list[T]
    version: int
    after: Any


def records_page_of(value: Mapping[str, Any]) -> Page[Record]:
    return Page([record_of(each) for each in value["records"]], value["version"], value.get("next"))


def changes_page_of(value: Mapping[str, Any]) -> Page[Change]:
    return Page([change_of(each) for each in value["changes"]], value["version"], value.get("next"))


def differences_page_of(value: Mapping[str, Any]) -> Page[Difference]:
    ends = ((each["left"], each["right"]) for each in value["changes"])
    pairs = [(optional_record_of(then), optional_record_of(now)) for then, now in ends]
    return Page(pairs, value["version"], value.get("next"))


def drive_of(value: Mapping[str, Any]) -> Drive:
    return Drive(value["key"], value["version"])


def watch_of(value: Mapping[str, Any]) -> tuple[Position, bool]:
    """Where a watch begins, and whether it begins with a listing."""
    return position_of(value), value["reset"] is True


def position_of(value: Mapping[str, Any]) -> Position:
    return Position(value["fork"], value["version"])


def changed_of(value: Mapping[str, Any]) -> Changes:
    fork = value["fork"]
    changes = [change_of(each) for each in value["changes"]]
    return Changes(Position(fork, value["from"]), Position(fork, value["to"]), changes)


_STATUS = ("version", "noiseKey", "address", "held", "rss", "storeBytes", "databases", "peers")


def status_of(value: Mapping[str, Any]) -> Status:
    return Status(
        version=value["version"],
        noise_key=value["noiseKey"],
        address=value.get("address") or "",
        held=value["held"],
        rss=value["rss"],
        store_bytes=value["storeBytes"],
        databases=[database_of(each) for each in value["databases"]],
        peers=value["peers"],
        extra={key: item for key, item in value.items() if key not in _STATUS},
    )


def given(**params: Any) -> dict[str, Any]:
    """Those of the params that say anything."""
    return {name: value for name, value in params.items() if value is not None}


def bounds(range_: Range) -> dict[str, Any]:
    return given(gt=range_.gt, gte=range_.gte, lt=range_.lt, lte=range_.lte)


def op_of(write: Write) -> dict[str, Any]:
    path = list(write.path)
    return {"path": path, "deleted": True} if write.deleted else {"path": path, "value": write.value}
