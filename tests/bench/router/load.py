"""Sends one request over and over on some connections, and says how fast the answers came.

wrk does it; for smoke tests a few threads of Python do.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.bench.packages import from_system
from tests.bench.router.wire import PATIENCE, Connection, WrongAnswer, checked
from tests.bench.threads import ask_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.router.wire import Address, Request

_SCRIPT = """\
wrk.method, wrk.path = %(method)s, %(path)s
%(headers)s
wrk.body = %(body)s
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\\nRESULT {"requests": %%d, "seconds": %%f, "bytes": %%d, "p50": %%f, "p99": %%f, "errors": %%d}\\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Sample:
    """`p50` and `p99` are seconds from a request to the end of its answer."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Load(Protocol):
    """Raises WrongAnswer when a single answer is none, or not the one that is expected."""

    def run(
        self, address: Address, request: Request, *, size: int, connections: int, seconds: float
    ) -> Sample:
        """`size`: bytes of a right answer, its head included."""
        ...


class Wrk:
    """One thread, whole seconds. By https it trusts everybody, as wrk does."""

    def __init__(self, scheme: str = "http") -> None:
        self._scheme = scheme
        self._program = from_system("wrk", "wrk")

    def run(
        self, address: Address, request: Request, *, size: int, connections: int, seconds: float
    ) -> Sample:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            # Its own file, which only we may read, keeps the token out of the command line.
            script.write(_lua(request))
            script.flush()
            host, port = address
            done = subprocess.run(
                [self._program, "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--latency",
                 "--timeout", f"{PATIENCE:g}s", "-s", script.name, f"{self._scheme}://{host}:{port}"],
                capture_output=True, text=True,
            )  # fmt: skip
        return judge(_result(done), size, connections)


def _lua(request: Request) -> str:
    headers = "\n".join(
        f"wrk.headers[{_quoted(key)}] = {_quoted(value)}" for key, value in request.headers.items()
    )
    body = _quoted(request.body.decode()) if request.body else "nil"
    return _SCRIPT % {
        "method": _quoted(request.method), "path": _quoted(request.path), "headers": headers, "body": body
    }  # fmt: skip


def _quoted(text: str) -> str:
    """A string for Lua, which reads JSON's as they are while they are ASCII."""
    return json.dumps(text)


def _result(done: subprocess.CompletedProcess[str]) -> dict[str, float]:
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
            return result
    raise WrongAnswer(f"wrk said: {done.stdout}{done.stderr}")


def judge(result: Mapping[str, float], size: int, connections: int) -> Sample:
    """wrk looks at statuses only, and a gateway's error has status 200: so the sizes have to be right too.

    One answer is allowed for each connection: what had come of it when time was up.
    """
    requests = int(result["requests"])
    if result["errors"] or not requests:
        raise WrongAnswer(f"{result['errors']:.0f} errors among {requests} requests")
    if abs(result["bytes"] - requests * size) > connections * size:
        raise WrongAnswer(f"answers of {result['bytes'] / requests:.1f} bytes on average instead of {size}")
    return Sample(requests, result["seconds"], result["p50"], result["p99"])


class Threads:
    """One for each connection. Slow, but everywhere, and it compares every answer."""

    def run(
        self, address: Address, request: Request, *, size: int, connections: int, seconds: float
    ) -> Sample:
        def ask(connection: Connection, _: int) -> None:
            checked(connection.ask(request))

        taken = ask_until(address, ask, connections=connections, seconds=seconds)
        return Sample(len(taken), seconds, taken[len(taken) // 2], taken[len(taken) * 99 // 100])
