"""What a caller gets instead of a result, with the codes of the original's RPC library."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyper.port import HyperError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
#: ParamValidationError to its clients.
BAD_PARAMS = -32001
#: GeneralError to its clients: everything else that a method may refuse.
GENERAL = -32003


class RpcError(Exception):
    """`data` is left out when it is None; else it is `{"code": …, "hint": …}`."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def refused(message: str, *, code: str = "", hint: str = "") -> RpcError:
    """An answer for what is asked rightly and is not done."""
    data = {name: text for name, text in (("code", code), ("hint", hint)) if text}
    return RpcError(GENERAL, message, data or None)


def bad_params(message: str) -> RpcError:
    return RpcError(BAD_PARAMS, message)


def translated(error: HyperError) -> RpcError:
    """What the store could not do, in the caller's terms."""
    code = BAD_PARAMS if error.code == "BAD_REQUEST" else GENERAL
    data = {"code": error.code, "hint": error.hint} if error.hint else {"code": error.code}
    return RpcError(code, error.message, data)
