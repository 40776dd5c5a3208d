"""The `atek` command: `arguments` takes its words apart, and each command has a module with a `run`.

That is imported when the command is given, so that none pays for what another needs. Words come in; what a
running node knows comes by its control socket (`client`), the rest from its home; text goes out, by `output`.
Whatever goes wrong, a person gets one sentence and a hint; ATEK_DEBUG=1 shows the rest. It may
import every room, and nobody imports it. Only `up` runs a node.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

# Otherwise pydantic looks for plugins in all installed distributions, which takes 10 ms.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a shell reports for a program that SIGINT or SIGPIPE ended.
_INTERRUPTED = 130
_PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, 1 for an error, 2 for wrong usage."""
    _tolerate_any_text()
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return _PIPE_CLOSED
    except Exception as error:
        if os.environ.get("ATEK_DEBUG") == "1":
            raise
        return _complain(as_user_error(error))


def _run(argv: Sequence[str] | None) -> int:
    from reconciler.cli.arguments import parse

    arguments = parse(argv)
    module = import_module(f"reconciler.cli.{arguments.module}")
    status: int = module.run(arguments)
    return status


def as_user_error(error: BaseException) -> UserError:
    """The one thing that a person has to know about an error, wherever in the program it was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = next((e for e in error.exceptions if isinstance(e, UserError)), error.exceptions[0])
    if isinstance(error, UserError):
        return error
    hint = "ATEK_DEBUG=1 in the environment shows where it happened"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return UserError(f"{where}{error.strerror or error}", hint=hint)
    return UserError(f"something unexpected went wrong ({type(error).__name__}: {error})", hint=hint)


def _complain(error: UserError) -> int:
    from reconciler.cli.output import clean

    hint = f"hint: {clean(error.hint)}\n" if error.hint else ""
    try:
        sys.stdout.flush()
        sys.stderr.write(f"atek: {clean(error.message)}\n{hint}")
    except BrokenPipeError:
        _give_up_stdout()
    return 1


def _tolerate_any_text() -> None:
    """File names and messages need not fit the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _give_up_stdout() -> None:
    """The interpreter flushes stdout once more when it ends, and would complain about the closed pipe."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(null, 1)
    finally:
        os.close(null)
