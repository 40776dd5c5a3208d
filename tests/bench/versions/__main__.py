"""`python -m tests.bench.versions`: this version beside 0.3.0 in one run, as ratios of medians, in Markdown.

Both are driven through their commands only and take turns: A, B, A, B. Machines are noisy, so compare the
columns of a line with each other, and no line with one of another run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.router.backends import NginxBackend, PlainBackend
from tests.bench.router.load import Threads, Wrk
from tests.bench.router.wire import WrongAnswer
from tests.bench.versions.calls import measure_calls
from tests.bench.versions.crashes import measure_crashes
from tests.bench.versions.earlier import Version, earlier, now
from tests.bench.versions.edits import SETTLE, measure_edits, node_package, python_package
from tests.bench.versions.memory import measure_memory
from tests.bench.versions.pushes import measure_pushes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.router.backends import BackendKind
    from tests.bench.router.load import Load
    from tests.bench.versions.edits import Kind

PARTS = ("node", "python", "crash", "memory", "calls", "push")
#: What a small node runs.
SERVICES = 20
#: 300 packages and more when npm has resolved them.
NODE = {"express": "5.1.0", "webpack": "5.102.1", "jest": "30.2.0", "fastify": "5.6.1"}
#: Files, and the size of each in bytes.
PACKAGE = (5_000, 20_000)
PYTHON = ("jupyterlab==4.4.10",)
#: As large as an answer to a call may be, less its head.
LARGE = (32 << 20) - 1024


@dataclass(frozen=True)
class Line:
    """Medians of both versions, and their ratio: the median of neighbours' where both took turns."""

    what: str
    unit: str
    before: float
    now: float
    ratio: float
    #: What the ratio should be: "<= 1.2".
    goal: str


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    before = Version("0.3.0", options.before) if options.before else earlier(options.cache)
    versions, lines = [before, now()], []
    try:
        for part in options.parts:
            print(f"{part} …", file=sys.stderr, flush=True)
            lines += (told := _measured(part, versions, options))
            print(table(told), file=sys.stderr, flush=True)
    except WrongAnswer as error:
        print(f"wrong answers: {error}", file=sys.stderr)
        return 1
    print(json.dumps([asdict(line) for line in lines]) if options.json else table(lines))
    return 0


def table(lines: Sequence[Line]) -> str:
    """Markdown."""
    rows = ["| what | 0.3.0 | now | ratio | goal |", "| --- | ---: | ---: | ---: | ---: |"]
    for line in lines:
        cells = (
            _number(line.before, line.unit),
            _number(line.now, line.unit),
            f"{line.ratio:.2f}",
            line.goal,
        )
        rows.append(f"| {line.what} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.1f} ms"
    return f"{value:.1f}{unit}" if unit == " MiB" else f"{value:.0f}{unit}"


def _measured(part: str, versions: list[Version], options: argparse.Namespace) -> list[Line]:
    match part:
        case "node":
            return _edits(versions, node_package({"ms": "2.1.3"} if options.quick else NODE), options)
        case "python":
            return _edits(versions, python_package(*(() if options.quick else PYTHON)), options)
        case "crash":
            before, later = measure_crashes(versions, options.crashes).values()
            return [compared("crash → replaced", "s", before, later, "<= 1.1")]
        case "memory":
            settle = 0.5 if options.quick else SETTLE
            before, later = measure_memory(versions, SERVICES, options.rounds, settle).values()
            return [compared(f"memory with {SERVICES} services", " MiB", before, later, "<= 1.0")]
        case "push":
            return [_pushes(versions, options)]
    return _calls(versions, options)


def _pushes(versions: list[Version], options: argparse.Namespace) -> Line:
    files, size = (20, 1000) if options.quick else PACKAGE
    before, later = measure_pushes(versions, files=files, size=size, rounds=options.rounds).values()
    what = f"push of one changed file among {files:,}, {files * size / 1e6:g} MB"
    return compared(what, "s", before, later, "<= 0.3")


def _edits(versions: list[Version], kind: Kind, options: argparse.Namespace) -> list[Line]:
    settle = 0.5 if options.quick else SETTLE
    before, later = measure_edits(versions, kind, options.edits, settle).values()
    prepared, answered = f"{kind.name}: edit prepared", f"{kind.name}: edit saved → answers"
    return [
        compared(prepared, "s", [e.prepared for e in before], [e.prepared for e in later], "<= 1.2"),
        compared(answered, "s", [e.answered for e in before], [e.answered for e in later], ""),
    ]


def _calls(versions: list[Version], options: argparse.Namespace) -> list[Line]:
    backend: BackendKind = PlainBackend() if options.quick else NginxBackend()
    load: Load = Threads() if options.quick else Wrk()
    before, later = measure_calls(
        versions,
        backend,
        load,
        rounds=options.rounds,
        connections=2 if options.quick else 32,
        seconds=options.seconds,
        size=1 << 20 if options.quick else LARGE,
    ).values()
    rates = compared("calls/s", "/s", [t.rate for t in before], [t.rate for t in later], ">= 1.0")
    lines = [rates]
    for name, turns in zip(("0.3.0", "now"), (before, later), strict=True):
        quiet, loud = [turn.quiet for turn in turns], [turn.loud for turn in turns]
        # Here the columns are one version's, in quiet and beside large answers.
        what = f"{name}: p99 of calls in quiet, and while another service answers 32 MiB"
        lines.append(compared(what, "s", quiet, loud, "<= 2"))
    return lines


def compared(what: str, unit: str, before: list[float], later: list[float], goal: str) -> Line:
    """Ratios of neighbours, so that what slows the machine for a while slows both."""
    ratios = [b / a for a, b in zip(before, later, strict=True)]
    medians = statistics.median(before), statistics.median(later)
    return Line(what, unit, *medians, statistics.median(ratios), goal)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.versions", description=__doc__)
    parser.add_argument("--parts", type=_parts, default=PARTS, help="for example: node,crash")
    parser.add_argument("--edits", type=int, default=9, help="of each package")
    parser.add_argument("--crashes", type=int, default=60)
    parser.add_argument(
        "--rounds", type=int, default=7, help="how often each one's turn comes with calls and memory"
    )
    parser.add_argument("--seconds", type=float, default=4, help="of one measurement of calls")
    parser.add_argument("--before", help="another version's atek command; 0.3.0 from the history if left out")
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "atek-bench")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if not set(chosen) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(PARTS)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
