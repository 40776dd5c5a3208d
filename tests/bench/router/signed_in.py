"""`python -m tests.bench.router.signed_in`: what a person's request costs beside a program's.

The same node, the same request, and two proofs of who asks: a session's cookie, and a bearer token. They take
turns, and ratios are those of neighbours; what is told are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from typing import TYPE_CHECKING, Any

from tests.bench.router.backends import NginxBackend, PlainBackend
from tests.bench.router.load import Threads, Wrk
from tests.bench.router.ours import Atek
from tests.bench.router.wire import SERVICE, Connection, Request, WrongAnswer, expect_answer, gateway_call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.router.load import Load
    from tests.bench.router.wire import Answer

_NODE, _PASSWORD = "localhost", "correct horse battery staple"
_HOST = f"{SERVICE}.localhost"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    kind = PlainBackend() if options.plain else NginxBackend()
    load: Load = Threads() if options.plain else Wrk()
    node = Atek(kind)
    try:
        node.start()
        session, bound = sign_in(node)
        token = {"Authorization": f"Bearer {node.token}"}
        found = {
            what: _ratio(node, load, options, requests)
            for what, requests in {
                "call": (_with(_call(), {"Cookie": session}), _with(_call(), token)),
                "get": (_with(_get(), {"Cookie": bound}), _with(_get(), token)),
            }.items()
        }
    finally:
        node.stop()
    print(json.dumps(found) if options.json else _markdown(found))
    return 0


def sign_in(node: Atek) -> tuple[str, str]:
    """The cookies of somebody at the node's own host and at the service's."""
    person = {"username": "alice", "password": _PASSWORD, "role": "admin"}
    with Connection(node.address) as connection:
        _rpc(connection, "users-api", "create", person, {"Authorization": f"Bearer {node.token}"})
        session = _cookie(
            _rpc(connection, "user-sessions-api", "login", {k: person[k] for k in ("username", "password")})
        )
        asked = connection.ask(Request("GET", "/", {"Host": _HOST, "Accept": "text/html"}))
        way = _cookie(asked)
        given = connection.ask(Request("GET", _path(asked), {"Host": _NODE, "Cookie": session}))
        taken = connection.ask(Request("GET", _path(given), {"Host": _HOST, "Cookie": way}))
    return session, _cookie(taken)


def _rpc(
    connection: Connection, api: str, method: str, params: object, proof: Mapping[str, str] | None = None
) -> Answer:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [params]}).encode()
    headers = {"Host": _NODE, "Content-Type": "application/json", **(proof or {})}
    answer = connection.ask(Request("POST", f"/_atek/gateway?api=atek.cloud/{api}", headers, body))
    if "result" not in json.loads(answer.body):
        raise WrongAnswer(f"{method}: {answer.body[:200]!r}")
    return answer


def _cookie(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def _path(answer: Answer) -> str:
    """Where it leads, on whatever host."""
    return "/" + answer.headers["location"].partition("//")[2].partition("/")[2]


def _call() -> Request:
    call = gateway_call("")
    return Request(call.method, call.path, {"Host": _NODE, "Content-Type": "application/json"}, call.body)


def _get() -> Request:
    return Request("GET", "/", {"Host": _HOST})


def _with(request: Request, proof: Mapping[str, str]) -> Request:
    return Request(request.method, request.path, {**request.headers, **proof}, request.body)


def _ratio(
    node: Atek, load: Load, options: argparse.Namespace, requests: tuple[Request, Request]
) -> dict[str, Any]:
    """Requests a second of the person, and of the program; and the former by the latter."""
    rates: list[list[float]] = [[], []]
    sizes = [expect_answer(node.address, request).size for request in requests]
    for number in range(options.rounds):
        for each in (0, 1) if number % 2 else (1, 0):
            sample = load.run(
                node.address, requests[each], size=sizes[each],
                connections=options.connections, seconds=options.seconds,
            )  # fmt: skip
            rates[each].append(sample.rate)
            print(f"  {('person', 'program')[each]} {sample.rate:.0f}/s", file=sys.stderr, flush=True)
    person, program = map(statistics.median, rates)
    ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
    return {"person": person, "program": program, "ratio": ratio}


def _markdown(found: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        "| requests/s | a person, signed in | a program's token | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {what} | {each['person'] / 1000:.1f}k | {each['program'] / 1000:.1f}k | {each['ratio']:.2f} |"
        for what, each in found.items()
    ]
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router.signed_in")
    parser.add_argument("--plain", action="store_true", help="without nginx and wrk")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=32)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
