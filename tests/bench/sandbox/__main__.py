"""`python -m tests.bench.sandbox`: what a sandbox costs, and a table in Markdown.

The levels take turns in one run: compare them with each other, not with those of another run.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.bench.hyper.__main__ import table
from tests.bench.sandbox import crashes, requests, starts
from tests.bench.sandbox.levels import surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.hyper.results import Result

PARTS = ("start", "crash", "request")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    results: list[Result] = [surroundings()]
    for part in options.parts:
        print(f"{part} …", file=sys.stderr, flush=True)
        results += _measure(part, options)
    print(json.dumps([asdict(result) for result in results]) if options.json else table(results))
    return 0


def _measure(part: str, options: argparse.Namespace) -> list[Result]:
    if part == "start":
        return starts.measure(options.starts)
    if part == "crash":
        return crashes.measure(options.crashes)
    return requests.measure(options.requests)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sandbox", description=__doc__)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--crashes", type=int, default=30, help="of each level")
    parser.add_argument("--requests", type=int, default=3000, help="of each level")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
