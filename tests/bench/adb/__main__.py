"""`python -m tests.bench.adb`: the Atek Database through the gateway, every write synced to the disk.

The node, its router, core.adb, core.hyper and the load share the machine's cores. Exit status 1 when a wrong
answer came; whether a number is as it should be is for whoever reads it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.bench.adb.load import Threads, Work, Wrk
from tests.bench.adb.node import AdbNode
from tests.bench.router.wire import WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.adb.load import Load

#: Calls a second that there should be at least, by method and connections.
GOALS = {
    ("recordPut", 1): 500, ("recordPut", 32): 2500,
    ("recordGet", 1): 2000, ("recordGet", 32): 5000,
    ("recordList 500", 1): 100, ("recordList 500", 32): 100,
}  # fmt: skip
#: What the original did on one connection, without syncing anything.
ORIGINAL = {"recordPut": 130, "recordGet": 165, "recordList 500": 5}
RECORDS = 500
#: Different records that are written over and over.
WRITTEN = 5000


@dataclass(frozen=True)
class Speed:
    """`goal` is None for what nobody asked for. Times are seconds; `cpu` is the core services' a call."""

    name: str
    connections: int
    rate: float
    p50: float
    p99: float
    goal: float | None
    cpu: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    node = AdbNode()
    try:
        node.start()
        load: Load = Threads() if options.plain else Wrk()
        speeds = _measure(node, load, options)
        memory = node.memory()
    except WrongAnswer as error:
        print(f"wrong answers: {error}", file=sys.stderr)
        return 1
    finally:
        node.close()
    if options.json:
        print(json.dumps({"speed": [asdict(speed) for speed in speeds], "memory": memory}))
    else:
        print(_markdown(speeds, memory))
    return 0


def _measure(node: AdbNode, load: Load, options: argparse.Namespace) -> list[Speed]:
    db_id = node.call("dbGetOrCreate", "bench", {"access": "private"})["dbId"]
    for number in range(RECORDS):
        value = {"number": number, "text": "x" * 50}
        node.call("recordPut", db_id, ["example.com", "bench", str(number)], value)
    found = []
    for work in _works(db_id):
        for connections in options.connections:
            found.append(_speed(node, load, work, connections, options.seconds))
            print(_line(found[-1]), file=sys.stderr)
    _check(node, db_id)
    return found


def _works(db_id: str) -> list[Work]:
    path = f'["example.com","bench","{"@"}"]'
    value = f'{{"number":1,"text":"{"x" * 50}"}}'
    written = f'["example.com","written","{"@"}"]'
    return [
        Work("recordPut", _call("recordPut", f'"{db_id}",{written},{value}'), WRITTEN),
        Work("recordGet", _call("recordGet", f'"{db_id}",{path}'), RECORDS),
        Work("recordList 500", _call("recordList", f'"{db_id}","example.com/bench"')),
    ]


def _call(method: str, params: str) -> str:
    return f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{params}]}}'


def _speed(node: AdbNode, load: Load, work: Work, connections: int, seconds: float) -> Speed:
    before = node.cpu()
    sample = load.run(node.address, node.token, work, connections=connections, seconds=seconds)
    cpu = {name: (used - before[name]) / sample.requests for name, used in node.cpu().items()}
    goal = GOALS.get((work.name, connections))
    return Speed(work.name, connections, sample.rate, sample.p50, sample.p99, goal, cpu)


def _check(node: AdbNode, db_id: str) -> None:
    """What was answered is there."""
    listed = len(node.call("recordList", db_id, "example.com/bench")["records"])
    if listed != RECORDS:
        raise WrongAnswer(f"a list has {listed} records instead of {RECORDS}")
    if not node.call("recordList", db_id, "example.com/written", {"limit": 1})["records"]:
        raise WrongAnswer("nothing was written")


def _line(speed: Speed) -> str:
    cpu = ", ".join(f"{name} {seconds * 1e6:.0f} µs" for name, seconds in speed.cpu.items())
    goal = "" if speed.goal is None else f" (goal {speed.goal:.0f})"
    times = f"{speed.p50 * 1000:.2f} / {speed.p99 * 1000:.2f} ms"
    return f"{speed.name}, {speed.connections} connections: {speed.rate:.0f}/s{goal}, {times}; {cpu} a call"


def _markdown(speeds: Sequence[Speed], memory: dict[str, float]) -> str:
    counts = sorted({speed.connections for speed in speeds})
    lines = [
        "| calls/s, p50 / p99 ms | " + " | ".join(map(str, counts)) + " | the original, unsynced, 1 |",
        "| --- |" + " ---: |" * (len(counts) + 1),
    ]
    for name in dict.fromkeys(speed.name for speed in speeds):
        own = {speed.connections: speed for speed in speeds if speed.name == name}
        cells = " | ".join(_cell(own[count]) for count in counts)
        lines.append(f"| {name} | {cells} | {ORIGINAL[name]} |")
    used = ", ".join(f"{name} {size:.1f} MiB" for name, size in memory.items())
    return "\n".join([*lines, "", f"- memory afterwards: {used}"])


def _cell(speed: Speed) -> str:
    return f"{speed.rate:.0f}, {speed.p50 * 1000:.2f} / {speed.p99 * 1000:.2f}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.adb", description=__doc__)
    parser.add_argument("--connections", type=_counts, default=(1, 32), help="1,32 when left out")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
    parser.add_argument("--plain", action="store_true", help="the load is Python's; nothing to install")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
