"""Positional params of a method, checked. Numbers in messages count from 1, as the original's do.

What a client sends beyond what a method knows is ignored, as it always was: real clients do.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from manifests.documents.document import no_line
from manifests.documents.explain import explain
from reconciler.apis.caller import BAD_PARAMS
from reconciler.http.jsonrpc import RpcError

ConfigValue = str | bool | int | Annotated[float, Field(allow_inf_nan=False)] | None


class Options(BaseModel):
    """Keys are camelCase outside; null is as good as left out."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, alias_generator=to_camel, defer_build=True
    )


class ConfigureOptions(Options):
    """What may be changed about a service. A value of null takes a key out of the config."""

    id: str | None = None
    source_url: str | None = None
    desired_version: str | None = None
    config: dict[str, ConfigValue] | None = None


class InstallOptions(Options):
    """What to install, and for whom: `user` is the owner's name."""

    source_url: str
    id: str | None = None
    desired_version: str | None = None
    config: dict[str, ConfigValue] | None = None
    user: str | None = None


_Options = TypeVar("_Options", bound=Options)


class Params:
    """The params of one call. Everything here raises RpcError where they are not as they must be."""

    def __init__(self, given: Any) -> None:
        if not isinstance(given, (list, type(None))):
            raise RpcError(BAD_PARAMS, "params must be a list")
        if not _is_text(given):
            raise RpcError(BAD_PARAMS, "params have half of a surrogate pair, which is no text")
        self._given: list[Any] = given or []

    def text(self, index: int) -> str:
        """A text that is not empty."""
        value = self._at(index)
        if not isinstance(value, str) or not value:
            raise RpcError(BAD_PARAMS, f"Parameter {index + 1} must be text")
        return value

    def options(self, index: int, shape: type[_Options]) -> _Options:
        """A table of keys and values."""
        value = self._at(index)
        if not isinstance(value, dict):
            raise RpcError(BAD_PARAMS, f"Parameter {index + 1} must be an object")
        try:
            return shape.model_validate(value)
        except ValidationError as error:
            problem = explain(error, shape, value, line_of=no_line)[0]
            where = f"{problem.key}: " if problem.key and problem.key not in problem.message else ""
            raise RpcError(BAD_PARAMS, f"Parameter {index + 1}: {where}{problem.message}") from error

    def _at(self, index: int) -> Any:
        return self._given[index] if index < len(self._given) else None


def _is_text(value: Any) -> bool:
    """JSON can name what no file can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
