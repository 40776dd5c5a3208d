"""`python -m tests.bench.router`: our router beside others in one run, and tables in Markdown.

Machines are noisy: compare the lines of one run with each other, not with those of another.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.router.backends import Backend, NginxBackend, PlainBackend
from tests.bench.router.idle import allow_many_files
from tests.bench.router.load import Threads, Wrk
from tests.bench.router.ours import Atek
from tests.bench.router.proxies import Caddy, Direct, Haproxy, HttpProxy, Nginx
from tests.bench.router.report import markdown
from tests.bench.router.results import PARTS, QUICK, Results, Run, Size, say
from tests.bench.router.wire import WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.router.backends import BackendKind
    from tests.bench.router.proxies import Proxy

NAMES = ("nginx", "haproxy", "caddy", "http-proxy", "atek")
#: Only by name: on the same core as the load, the backend alone compares with nobody.
DIRECT = "direct"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        results = _run(options)
    except WrongAnswer as error:
        say(f"wrong answers: {error}")
        return 1
    print(json.dumps(asdict(results)) if options.json else markdown(results))
    return 0


def _run(options: argparse.Namespace) -> Results:
    kind: BackendKind = PlainBackend() if options.plain else NginxBackend()
    room = allow_many_files()
    size = _size(options)
    with ExitStack() as stack:
        backend = Backend(kind)
        stack.callback(backend.stop)
        proxies = []
        for name in options.only:
            proxy = _contestant(name, kind, backend, options.cache)
            stack.callback(proxy.stop)
            proxy.start()
            proxies.append(proxy)
        run = Run(
            proxies, kind, Threads() if options.plain else Wrk(), replace(size, idle=min(size.idle, room))
        )
        return run(options.parts)


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


def _size(options: argparse.Namespace) -> Size:
    size = QUICK if options.quick else Size()
    given = {name: getattr(options, name) for name in ("connections", "rounds", "seconds")}
    given |= {"pinned": not options.unpinned}
    return replace(size, **{name: value for name, value in given.items() if value is not None})


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router", description=__doc__)
    parser.add_argument(
        "--only", type=_some_of((DIRECT, *NAMES)), default=NAMES, help="for example: nginx,atek"
    )
    parser.add_argument("--parts", type=_some_of(PARTS), default=PARTS, help="for example: speed,idle")
    parser.add_argument("--connections", type=_counts, help="1,32,128 when left out")
    parser.add_argument("--rounds", type=int, help="how often each one's turn comes")
    parser.add_argument("--seconds", type=float, help="of one turn")
    parser.add_argument("--unpinned", action="store_true", help="contestants get no core of their own")
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    parser.add_argument("--plain", action="store_true", help="backend and load in Python; nothing to install")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "atek-bench")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        if not set(chosen) <= set(known):
            raise argparse.ArgumentTypeError(f"choose from {', '.join(known)}")
        return chosen

    return names


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
