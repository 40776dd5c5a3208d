"""What was measured, as Markdown for the README."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.router.speed import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.router.results import Results
    from tests.bench.router.speed import Speed

_TITLES = {"call": "JSON-RPC call", "get": "GET by host name"}


def markdown(results: Results) -> str:
    """Two tables, and a line for each of the rest."""
    tables = [_speed_table(results.speed, kind) for kind in KINDS] if results.speed else []
    return "\n\n".join([*tables, "\n".join(f"- {line}" for line in _lines(results))]).rstrip()


def _speed_table(speeds: Sequence[Speed], kind: str) -> str:
    """A row for each contestant, a column for each number of connections."""
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


def _latency_lines(speeds: Sequence[Speed]) -> Iterator[str]:
    """Ours against the yardstick's."""
    for kind in KINDS:
        own = [speed for speed in speeds if (speed.name, speed.kind) == ("atek", kind)]
        p50 = [speed.ratio_p50 for speed in own if speed.ratio_p50 is not None]
        p99 = [speed.ratio_p99 for speed in own if speed.ratio_p99 is not None]
        if p50 and p99:
            counts = " / ".join(str(speed.connections) for speed in own)
            yield f"atek ÷ nginx, {_TITLES[kind]}, {counts} connections: p50 {_times(p50)}, p99 {_times(p99)}"


def _times(ratios: Sequence[float]) -> str:
    return "× " + " / ".join(f"{ratio:.2f}" for ratio in ratios)


def _lines(results: Results) -> Iterator[str]:
    yield from _latency_lines(results.speed)
    for idle in results.idle:
        yield f"{idle.name} holds {idle.connections} idle connections at {idle.kib:.1f} KiB each"
    for transfer in results.bodies:
        yield f"{transfer.name}: {transfer.rate:.0f} MiB/s, memory grows by {transfer.growth:.1f} MiB"
    if churn := results.churn:
        yield (
            f"p99 with {churn.connections} connections: {churn.quiet * 1000:.2f} ms, while {churn.services} "
            f"services come and go ({churn.changes:.0f} starts and stops/s): {churn.churning * 1000:.2f} ms "
            f"(× {churn.ratio:.2f})"
        )
    for speed in results.log:
        if speed.name != results.log[0].name:
            yield (
                f"{speed.name}, {_TITLES[speed.kind]}, {_connections(speed.connections)}: "
                f"× {speed.ratio:.2f} requests/s"
            )
