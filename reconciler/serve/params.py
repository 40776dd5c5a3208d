"""The named params of a method of the control socket, checked. What is wrong is the caller's mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.http.jsonrpc import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping


def text(params: Mapping[str, Any], name: str) -> str:
    """Raises RpcError where it is missing or empty."""
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{name} must be text")
    return value


def number(params: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A whole number from 0. Raises RpcError where it is missing, unless there is a default."""
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RpcError(INVALID_PARAMS, f"{name} must be a whole number from 0")
    return value
