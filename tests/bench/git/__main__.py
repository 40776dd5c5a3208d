"""`python -m tests.bench.git`: what Git sources cost, and a table in Markdown.

A `git daemon` on loopback serves the repository. Where git does the work, git alone does it in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.bench.git import many, polls, pushes
from tests.bench.hyper.__main__ import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.hyper.results import Result

PARTS = ("push", "many", "poll")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    results: list[Result] = []
    for part in options.parts:
        print(f"{part} …", file=sys.stderr, flush=True)
        results += _measure(part, options)
    print(json.dumps([asdict(result) for result in results]) if options.json else table(results))
    return 0


def _measure(part: str, options: argparse.Namespace) -> list[Result]:
    if part == "push":
        return pushes.measure(options.pushes)
    if part == "many":
        return many.measure(options.services, options.rounds)
    return polls.measure(options.polls)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.git", description=__doc__)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--pushes", type=int, default=30)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--polls", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
