"""What was measured, as Markdown for the README."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.router.speed import Speed

_TITLES = {"call": "JSON-RPC call", "get": "GET by host name"}


def speed_table(speeds: Sequence[Speed], kind: str) -> str:
    """A line for each contestant, a column for each number of connections."""
    of_kind = [speed for speed in speeds if speed.kind == kind]
    counts = sorted({speed.connections for speed in of_kind})
    title = f"{_TITLES[kind]}: requests/s (÷ nginx), p50 / p99 ms"
    lines = [
        f"| {title} | " + " | ".join(_connections(count) for count in counts) + " | CPU a request |",
        "| --- |" + " ---: |" * (len(counts) + 1),
    ]
    for name in dict.fromkeys(speed.name for speed in of_kind):
        own = {speed.connections: speed for speed in of_kind if speed.name == name}
        cells = " | ".join(_cell(own[count]) for count in counts)
        lines.append(f"| {name} | {cells} | {own[counts[-1]].cpu * 1e6:.1f} µs |")
    return "\n".join(lines)


def _connections(count: int) -> str:
    return f"{count} connection" + ("s" if count > 1 else "")


def _cell(speed: Speed) -> str:
    ratio = "" if speed.ratio is None else f" ({speed.ratio:.2f})"
    return f"{speed.rate / 1000:.1f}k{ratio}, {speed.p50 * 1000:.2f} / {speed.p99 * 1000:.2f}"
