"""What the programs of one run came to, as a table in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence


class Row(TypedDict):
    """`failure` is a sentence, empty when all steps were done."""

    program: str
    version: str
    steps: list[str]
    failure: str
    seconds: float


def table(rows: Sequence[Row]) -> str:
    """In the order of their names, the failed ones last."""
    lines = ["| program | version | steps | s | result |", "| --- | --- | --- | ---: | --- |"]
    for row in sorted(rows, key=lambda row: (bool(row["failure"]), row["program"].lower())):
        result = f"failed: {row['failure']}" if row["failure"] else "ok"
        cells = (row["program"], row["version"], ", ".join(row["steps"]), f"{row['seconds']:.0f}", result)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    done = sum(1 for row in rows if not row["failure"])
    return "\n".join([*lines, "", f"{done} of {len(rows)} programs"])
