"""`python -m tests.bench.hyper`: what records and followers cost, and a table in Markdown.

Everything runs on this machine, over loopback; compare the columns of one run with each other.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import anyio

from tests.bench.hyper import following, nodes, quiet, writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.hyper.results import Result

PARTS = ("write", "follow", "reconnect", "idle", "push")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    results: list[Result] = []
    for part in options.parts:
        print(f"{part} …", file=sys.stderr, flush=True)
        results += _measure(part, options)
    if options.json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        print(table(results))
    return 0


def _measure(part: str, options: argparse.Namespace) -> list[Result]:
    if part == "write":
        return anyio.run(writing.measure, options.puts)
    if part == "follow":
        return [result for count in options.records for result in following.measure(count, options.rounds)]
    if part == "reconnect":
        return anyio.run(quiet.measure_reconnect, options.rounds)
    if part == "idle":
        return anyio.run(quiet.measure_idle, options.seconds)
    return nodes.measure(options.pushes, options.seconds)


def table(results: Sequence[Result]) -> str:
    """Markdown."""
    lines = ["| what | measured | wanted |", "| --- | ---: | ---: |"]
    return "\n".join(lines + [f"| {each.what} | {each.measured} | {each.wanted} |" for each in results])


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hyper", description=__doc__)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--puts", type=int, default=2000)
    parser.add_argument("--records", type=_numbers, default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of idleness")
    parser.add_argument("--pushes", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
