"""`python -m tests.bench.router`: our router beside others in one run, and tables in Markdown.

Machines are noisy: compare the lines of one run with each other, not with those of another.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.router.backends import Backend, NginxBackend, PlainBackend
from tests.bench.router.load import Threads, Wrk
from tests.bench.router.ours import Atek
from tests.bench.router.proxies import Caddy, Direct, Haproxy, HttpProxy, Nginx
from tests.bench.router.report import speed_table
from tests.bench.router.speed import KINDS, measure_speed
from tests.bench.router.wire import WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.router.backends import BackendKind
    from tests.bench.router.proxies import Proxy

NAMES = ("direct", "nginx", "haproxy", "caddy", "http-proxy", "atek")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    kind: BackendKind = PlainBackend() if options.plain else NginxBackend()
    load = Threads() if options.plain else Wrk()
    with ExitStack() as stack:
        backend = Backend(kind)
        stack.callback(backend.stop)
        proxies = []
        for name in options.only:
            print(f"{name} …", file=sys.stderr, flush=True)
            proxy = _contestant(name, kind, backend, options.cache)
            stack.callback(proxy.stop)
            proxy.start()
            proxies.append(proxy)
        speeds = measure_speed(
            proxies, load, connections=options.connections, rounds=options.rounds, seconds=options.seconds
        )
    if options.json:
        print(json.dumps({"speed": [asdict(speed) for speed in speeds]}))
    else:
        print("\n\n".join(speed_table(speeds, kind) for kind in KINDS))
    return 0


def _contestant(name: str, kind: BackendKind, backend: Backend, cache: Path) -> Proxy:
    match name:
        case "direct":
            return Direct(backend)
        case "nginx":
            return Nginx(backend)
        case "haproxy":
            return Haproxy(backend)
        case "caddy":
            return Caddy(backend)
        case "http-proxy":
            return HttpProxy(backend, cache)
    return Atek(kind)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router", description=__doc__)
    parser.add_argument("--only", type=_names, default=NAMES, help="for example: nginx,atek")
    parser.add_argument("--connections", type=_counts, default=(1, 32, 128))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--plain", action="store_true", help="backend and load in Python; nothing to install")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "atek-bench")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(NAMES):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(NAMES)}")
    return names


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WrongAnswer as error:
        sys.exit(f"wrong: {error}")
