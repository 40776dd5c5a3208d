"""`python -m tests.bench`: all contestants in one run, and a table in Markdown.

Machines are noisy: compare the columns of one run with each other, not with those of another.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.beacons import Beacons
from tests.bench.install import install
from tests.bench.measure import Result, measure
from tests.bench.ours import Growth, growth

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("spawn", "atek", "s6", "circus", "pm2", "supervisord")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    beacons = Beacons()
    results, grown = [], None
    try:
        for name in options.only:
            print(f"{name} …", file=sys.stderr, flush=True)
            contestant = install(name, beacons, options.cache)
            results.append(measure(contestant, beacons, options.services, options.rounds, options.idle))
        if options.many:
            print("growth …", file=sys.stderr, flush=True)
            grown = growth(beacons, 10, options.many, options.rounds)
    finally:
        beacons.close()
    if options.json:
        print(json.dumps([asdict(result) for result in results] + ([asdict(grown)] if grown else [])))
    else:
        print(table(results, options.services))
        if grown:
            print(sentences(grown))
    return 0


def table(results: Sequence[Result], count: int) -> str:
    """Markdown."""
    lines = [
        f"| {count} services | boot | SIGKILL → started again | saved edit → runs | memory | idle CPU |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        edit = "—" if result.edit is None else f"{result.edit * 1000:.1f} ms"
        lines.append(
            f"| {result.name} | {result.boot:.2f} s | {result.crash * 1000:.1f} ms | {edit} "
            f"| {result.memory:.1f} MiB | {result.idle:.2f} % |"
        )
    return "\n".join(lines)


def sentences(grown: Growth) -> str:
    """The rest, a line each."""
    ratio = grown.change_many / grown.change_few
    return "\n".join(
        [
            "",
            f"- a change among {grown.few} services: {grown.change_few * 1000:.1f} ms, among {grown.many}: "
            f"{grown.change_many * 1000:.1f} ms (× {ratio:.2f})",
            f"- a full resync of {grown.many} unchanged services: {grown.resync_cpu * 1000:.1f} ms of CPU",
            f"- Python starts in {grown.bare_interpreter * 1000:.0f} ms, "
            f"with our libraries in {grown.with_libraries * 1000:.0f} ms",
        ]
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=NAMES, help="for example: spawn,atek,s6")
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=30, help="crashes and edits")
    parser.add_argument(
        "--many", type=int, default=1000, help="services for the growth part; 0 leaves it out"
    )
    parser.add_argument("--idle", type=float, default=10.0, help="seconds of doing nothing")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "atek-bench")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(NAMES):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(NAMES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
