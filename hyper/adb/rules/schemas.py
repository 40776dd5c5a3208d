"""JSON Schemas that a database's owner declares for its records, and whether a value fits.

A schema is for the records under a path (`example.com/cats`); where several paths fit, all of them count.
Draft 7 unless a schema says otherwise, because that is what the original's clients take it for. Schemas come
from apps: nothing that they refer to is fetched, and their patterns run in linear time. Records that are
there already are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from hyper.adb.rules.errors import bad_params, refused
from hyper.adb.rules.paths import is_path, split_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyper.port import RecordPath

#: Of all schemas of one database together, in characters of JSON.
LARGEST = 64 * 1024
#: Databases whose compiled schemas are kept.
REMEMBERED = 64


class Schemas:
    """The schemas of one database, compiled. Raises RpcError for what is no schema."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._validators = [(_prefix(path), _compile(path, schema)) for path, schema in schemas.items()]

    def check(self, path: RecordPath, value: Any) -> None:
        """Raises RpcError for a value that does not fit what is declared for its path."""
        for prefix, validator in self._validators:
            if path[: len(prefix)] == prefix and len(path) > len(prefix):
                error = next(validator.iter_errors(value), None)
                if error is not None:
                    raise _unfit(error)


class SchemaCache:
    """The compiled schemas of the databases that are written to."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Mapping[str, Any], Schemas]] = {}

    def of(self, schemas: Mapping[str, Any]) -> Schemas:
        """By identity: what changes is another object."""
        known = self._known.get(id(schemas))
        if known is not None and known[0] is schemas:
            return known[1]
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        compiled = Schemas(schemas)
        self._known[id(schemas)] = (schemas, compiled)
        return compiled


def _prefix(path: str) -> RecordPath:
    parts = split_path(path)
    if not parts or not is_path(parts):
        raise bad_params(f"schemas: {path!r} is not the path of records")
    return parts


def _compile(path: str, schema: Any) -> Any:
    # Only for those that use it: the library is a third of this process.
    import jsonschema_rs

    options: dict[str, Any] = {
        "validate_formats": True,
        "retriever": _refuse,
        "pattern_options": jsonschema_rs.RegexOptions(),
    }
    if not isinstance(schema, (dict, bool)):
        raise bad_params(f"schemas: what is declared for {path} must be object")
    try:
        if isinstance(schema, dict) and "$schema" in schema:
            return jsonschema_rs.validator_for(schema, **options)
        return jsonschema_rs.Draft7Validator(schema, **options)
    except ValueError as error:
        first = str(error).partition("\n")[0]
        raise bad_params(f"schemas: what is declared for {path} is not a JSON Schema: {first}") from error


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"a schema may only refer to itself, not to {uri}")


def _unfit(error: Any) -> Exception:
    where = "".join(f"/{step}" for step in error.instance_path)
    message = error.message if len(error.message) <= 500 else f"{error.message[:500]}…"
    return refused(f"{where or 'the value'}: {message}", code="SCHEMA")
