"""Sends calls of the Atek Database through the gateway, and says how fast the answers came.

wrk does it; for smoke tests a few threads of Python do. Neither forgives an answer that is an error.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.bench.packages import from_system
from tests.bench.router.load import Sample
from tests.bench.router.wire import PATIENCE, Answer, Connection, Request, WrongAnswer
from tests.bench.threads import ask_until

if TYPE_CHECKING:
    from tests.bench.router.wire import Address

API = "atek.cloud/adb-api"

# One thread of wrk has a Lua of its own, and so a count of its own.
_SCRIPT = """\
local body, keys, from = %(body)s, %(keys)d, %(first)d
local threads, sent = {}, 0
wrk.method, wrk.path = "POST", %(path)s
wrk.headers["Authorization"] = %(authorization)s
wrk.headers["Content-Type"] = "application/json"
errors, first_error = 0, ""
function setup(thread) table.insert(threads, thread) end
function request()
    sent = sent + 1
    return wrk.format(nil, nil, nil, (body:gsub("@", tostring(from + sent %% keys))))
end
function response(status, headers, body)
    if status ~= 200 or body:find('"error":{', 1, true) then
        errors = errors + 1
        first_error = body:sub(1, 300)
    end
end
function done(summary, latency, requests)
    local e, wrong, text = summary.errors, 0, ""
    for _, thread in ipairs(threads) do
        wrong = wrong + thread:get("errors")
        text = text .. thread:get("first_error")
    end
    io.write(string.format(
        '\\nRESULT {"requests": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, "errors": %%d}\\n',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
        e.connect + e.read + e.write + e.status + e.timeout + wrong))
    io.write("ERROR " .. text .. "\\n")
end
"""


@dataclass(frozen=True)
class Work:
    """A call that is made again and again: `@` in its body is a number, one of `keys` from `first` on."""

    name: str
    body: str
    keys: int = 1
    first: int = 0


class Load(Protocol):
    def run(self, address: Address, token: str, work: Work, *, connections: int, seconds: float) -> Sample:
        """Raises WrongAnswer when a single answer is none, or an error."""
        ...


def gateway_call(token: str, body: str) -> Request:
    headers = {"Host": "localhost", "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return Request("POST", f"/_atek/gateway?api={API}", headers, body.encode())


class Wrk:
    """One thread, whole seconds."""

    def __init__(self) -> None:
        self._program = from_system("wrk", "wrk")

    def run(self, address: Address, token: str, work: Work, *, connections: int, seconds: float) -> Sample:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            # Its own file, which only we may read, keeps the token out of the command line.
            script.write(_lua(token, work))
            script.flush()
            host, port = address
            done = subprocess.run(
                [self._program, "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--latency",
                 "--timeout", f"{PATIENCE:g}s", "-s", script.name, f"http://{host}:{port}"],
                capture_output=True, text=True,
            )  # fmt: skip
        return _judged(done.stdout + done.stderr)


def _lua(token: str, work: Work) -> str:
    # Lua reads JSON's strings as they are while they are ASCII.
    return _SCRIPT % {
        "body": json.dumps(work.body),
        "keys": work.keys,
        "first": work.first,
        "path": json.dumps(f"/_atek/gateway?api={API}"),
        "authorization": json.dumps(f"Bearer {token}"),
    }


def _judged(output: str) -> Sample:
    found = [line.removeprefix("RESULT ") for line in output.splitlines() if line.startswith("RESULT ")]
    if not found:
        raise WrongAnswer(f"wrk said: {output}")
    result = json.loads(found[0])
    if result["errors"] or not result["requests"]:
        raise WrongAnswer(f"{result['errors']} errors among {result['requests']} requests: {output}")
    return Sample(int(result["requests"]), result["seconds"], result["p50"], result["p99"])


class Threads:
    """One for each connection. Slow, but everywhere."""

    def run(self, address: Address, token: str, work: Work, *, connections: int, seconds: float) -> Sample:
        def ask(connection: Connection, before: int) -> None:
            number = work.first + (before + 1) % work.keys
            checked(connection.ask(gateway_call(token, work.body.replace("@", str(number)))))

        taken = ask_until(address, ask, connections=connections, seconds=seconds)
        return Sample(len(taken), seconds, taken[len(taken) // 2], taken[len(taken) * 99 // 100])


def checked(answer: Answer) -> Answer:
    """Raises WrongAnswer for an error."""
    if answer.status != 200 or b'"error":{' in answer.body:
        raise WrongAnswer(f"{answer.status} {answer.body[:300]!r}")
    return answer
