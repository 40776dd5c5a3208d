"""What nobody thought of, as a condition of the one service that it concerns; the others go on. Pure."""

from __future__ import annotations

from manifests.model.base import printable
from manifests.model.snapshot import INTERNAL_ERROR
from reconciler.decide.conditions import Verdict

_LONGEST = 500


def internal_error(error: Exception) -> Verdict:
    """The reason and the message of an exception that should not have come."""
    return Verdict(INTERNAL_ERROR, printable(f"{type(error).__name__}: {error}", _LONGEST))


def innermost(error: Exception) -> Exception:
    """What failed, where it failed in one of several tasks."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
