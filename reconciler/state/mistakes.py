"""All mistakes of a file, as the one error that a command ends with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manifests.model.snapshot import Problem

#: Nobody mends more of them before looking again.
_MOST = 30


def sentences(problems: Sequence[Problem]) -> tuple[str, str]:
    """A message with a line for each problem, and the hint where there is but one."""
    if len(problems) == 1:
        return str(replace(problems[0], hint="")), problems[0].hint
    lines = [str(problem) for problem in problems[:_MOST]]
    if (more := len(problems) - _MOST) > 0:
        lines.append(f"and {more} more")
    return "\n".join(lines), ""
