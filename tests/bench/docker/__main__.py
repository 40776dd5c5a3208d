"""`python -m tests.bench.docker`: containers of a node beside the docker command and Compose, in one table.

All of them use one engine of the benchmark's own (root and docker.io are needed) and the same small image,
and the engine's events are the stop-watch for all. Ours does more for each container: it drops every right,
makes the root read-only, mounts its folders, and copies its output. Compare the columns of one run.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.bench.docker import many, quiet, starts
from tests.bench.docker.contestants import Cli, Node
from tests.bench.docker.engine_events import EngineEvents
from tests.runtimes.docker.engines import any_engine, own_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.docker.results import Result

PARTS = ("run", "crash", "many", "quiet")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    if isinstance(why := own_engine(), str):
        raise SystemExit(why)
    socket = any_engine()
    results: list[Result] = []
    with closing(EngineEvents(socket)) as events:
        for part in options.parts:
            print(f"{part} …", file=sys.stderr, flush=True)
            results += _measure(part, socket, events, options)
    print(json.dumps([asdict(result) for result in results]) if options.json else table(results))
    return 0


def _measure(part: str, socket: str, events: EngineEvents, options: argparse.Namespace) -> list[Result]:
    if part == "many":
        return many.measure(socket, events, options.many, options.rounds)
    if part == "quiet":
        return quiet.measure(socket, events, options.quiet, options.seconds)
    measure = starts.measure_revisions if part == "run" else starts.measure_crashes
    cli, node = Cli(socket), Node(socket)
    try:
        return measure(node, cli, events, options.pairs)
    finally:
        node.close()
        cli.close()


def table(results: Sequence[Result]) -> str:
    """Markdown; medians, with the quarters around them."""
    lines = ["| what | atek | beside | | atek ÷ that | wanted |", "| --- | ---: | --- | ---: | ---: | ---: |"]
    for each in results:
        most = "" if each.most is None else f"≤ {each.most:g} {each.unit}".strip()
        value = f"{each.value:.2f}" if each.unit == "×" else ""
        lines.append(f"| {each.what} | {each.ours} | {each.beside} | {each.theirs} | {value} | {most} |")
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.docker", description=__doc__)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--pairs", type=int, default=20, help="revisions and crashes, each beside a command")
    parser.add_argument("--many", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="of many containers")
    parser.add_argument("--quiet", type=int, default=200, help="containers of the node at rest")
    parser.add_argument("--seconds", type=float, default=30.0, help="of rest")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
