"""A node and its router around running services: requests in flight, tokens, policies."""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.processes.marks import token_of
from runtimes.processes.proc import surroundings_of

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

API = "example.com/values"
#: Answers every call of the router with its VALUE; `wait` once the named file is there, and says so in
#: another meanwhile.
SERVER = """
import http.server, json, os, pathlib, socketserver, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "the router"

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["atek-router-token"] != os.environ["ATEK_ROUTER_TOKEN"]:
            raise SystemExit("who is this?")
        if call["method"] == "wait":
            file = pathlib.Path(call["params"][0])
            file.with_suffix(".waits").touch()
            while not file.exists():
                time.sleep(0.01)
        body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": os.environ["VALUE"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

Server(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Handler).serve_forever()
"""


#: Asks for the host of `a` without its token: as it is, from a session of its own, and as a child that has
#: lost its parents; over TCP and by the Unix socket. Writes down the statuses.
HOSTILE = """
import os, socket, sys, time

def ask(how):
    if how == "tcp":
        s = socket.create_connection(("127.0.0.1", int(os.environ["ATEK_HOST_PORT"])))
    else:
        s = socket.socket(socket.AF_UNIX)
        s.connect(os.path.dirname(os.environ["ATEK_ASSIGNED_SOCKET_FILE"]) + "/gateway.sock")
    s.sendall(b"GET / HTTP/1.1\\r\\nHost: a.localhost\\r\\nConnection: close\\r\\n\\r\\n")
    print("status", s.recv(4096).split()[1].decode(), flush=True)

for how in ("tcp", "unix"):
    for forks in range(3):
        if forks == 0:
            ask(how)
        elif os.fork() == 0:
            os.setsid()
            if forks == 2 and os.fork():
                os._exit(0)
            time.sleep(0.2)
            ask(how)
            os._exit(0)
time.sleep(1000)
"""


#: It shows the test by files in /tmp what has arrived.
OPEN = {"sandbox": "none"}


def declare(bench: Bench, service_id: str, value: str = "1", **rest: Any) -> None:
    script = bench.root / "server.py"
    script.write_text(SERVER)
    bench.declare(service_id, sys.executable, str(script), env={"VALUE": value}, probes={}, **OPEN, **rest)


def token(bench: Bench, service_id: str) -> str:
    """The one that its program was given."""
    return token_of(bench.pid(service_id))


def environment(bench: Bench, service_id: str) -> dict[str, str]:
    """What its program was started with."""
    return surroundings_of(bench.pid(service_id))[0]


def call(bench: Bench, bearer: str, method: str = "value", *params: str) -> Any:
    """The result of a call to the API, or its error's message, or the status of a refusal."""
    request = urllib.request.Request(
        f"{bench.status()['node']['address']}/_atek/gateway?api={API}",
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            value = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return value["result"] if "result" in value else value["error"]["message"]


class Waiting:
    """A call that is in flight until `finish`."""

    def __init__(self, bench: Bench) -> None:
        self._file = bench.root / "go"
        self._result: Any = None
        words = (bench, token(bench, "a"), "wait", str(self._file))
        self._thread = threading.Thread(target=self._call, args=words)
        self._thread.start()
        bench.until(self._file.with_suffix(".waits").exists, "the call has arrived")

    def _call(self, *words: Any) -> None:
        self._result = call(*words)

    def finish(self) -> Any:
        self._file.touch()
        self._thread.join(60)
        return self._result


def states(bench: Bench) -> list[str]:
    return [instance["state"] for instance in bench.service("a")["instances"]]


def test_the_old_revision_answers_what_is_in_flight_and_nothing_else(bench: Bench) -> None:
    declare(bench, "a", "old", exports=[API])
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    waiting = Waiting(bench)
    declare(bench, "a", "new", exports=[API])
    bench.until(lambda: states(bench) == ["Draining", "Ready"], "the new one serves")
    bearer = token_of(bench.service("a")["instances"][0]["pid"])
    assert [call(bench, bearer) for _ in range(5)] == ["new"] * 5
    assert states(bench) == ["Draining", "Ready"]
    assert waiting.finish() == "old"
    bench.until(lambda: states(bench) == ["Ready"], "the old one is gone")


def test_sigterm_lets_the_requests_in_flight_finish(bench: Bench) -> None:
    declare(bench, "a", "1", exports=[API])
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    waiting = Waiting(bench)
    assert bench.node
    bench.node.terminate()
    bench.until(lambda: states(bench) == ["Draining"], "drains")
    assert waiting.finish() == "1"
    assert bench.node.wait(40) == 0
    assert bench.processes() == {}


def test_an_adopted_service_keeps_its_token_and_every_other_gets_a_fresh_one(bench: Bench) -> None:
    declare(bench, "a", exports=[API])
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    first = token(bench, "a")
    assert call(bench, first) == "1"
    bench.kill()
    bench.up()
    bench.until(lambda: bench.ready("a"), "adopted")
    assert token(bench, "a") == first
    assert call(bench, first) == "1"
    bench.stop()
    bench.up()
    bench.until(lambda: bench.ready("a"), "started again")
    assert call(bench, first) == 401
    assert call(bench, token(bench, "a")) == "1"


def test_what_a_service_may_call_and_exports_applies_without_a_restart(bench: Bench) -> None:
    declare(bench, "a", exports=[API])
    declare(bench, "b", "b", allow=[])
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "ready")
    pids = set(bench.processes())
    bearer = token(bench, "b")
    assert "may not call" in call(bench, bearer)
    declare(bench, "b", "b", allow=[API], exports=[API])
    bench.until(lambda: call(bench, bearer) == "1", "allowed")
    assert bench.condition("b", "ExportsServed") == (
        "False",
        "ExportConflict",
        f"{API} is served by a",
    )
    assert f"b exports in vain: {API} is served by a" in bench.atek("status").stdout
    declare(bench, "a")
    bench.until(lambda: call(bench, bearer) == "b", "the other one serves it")
    assert bench.condition("b", "ExportsServed") == ("", "", "")
    assert set(bench.processes()) == pids


def test_no_token_is_told_to_anybody(bench: Bench) -> None:
    declare(bench, "a", exports=[API])
    declare(bench, "b", exports=[API])
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "ready")
    tokens = [token(bench, "a"), token(bench, "b")]
    assert [call(bench, bearer) for bearer in tokens] == ["1", "1"]
    tokens += [environment(bench, service_id)["ATEK_ROUTER_TOKEN"] for service_id in ("a", "b")]
    assert len(set(tokens)) == 4 and call(bench, tokens[2]) == 401
    assert bench.node
    told = bench.log() + json.dumps(bench.status()) + bench.atek("events").stdout
    told += "".join(path.read_text() for path in bench.home.glob("logs/**/*") if path.is_file())
    told += "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in (bench.node.pid, *bench.processes()))
    for secret in tokens:
        assert len(secret.removeprefix("atek_")) == 64
        assert secret not in told
        found = [
            path for path in bench.home.rglob("*") if path.is_file() and secret in path.read_text("latin1")
        ]
        assert [path.parent.name for path in found] == ["instances"]
        assert all(path.stat().st_mode & 0o077 == 0 for path in found)


def test_a_service_without_its_token_is_no_visitor_of_others(bench: Bench) -> None:
    declare(bench, "a", exports=[API])
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    address = bench.status()["node"]["address"]
    visit = urllib.request.Request(address, headers={"Host": "a.localhost"}, method="POST", data=b"{}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(visit, timeout=60)
    with caught.value as error:
        # A visitor gets there; the program knows of no such call.
        assert error.code == 502
    script = bench.root / "hostile.py"
    script.write_text(HOSTILE)
    bench.declare("mallory", sys.executable, str(script), allow=[], sandbox="none")
    log = bench.home / "logs/mallory/service.log"
    bench.until(lambda: log.exists() and log.read_text().count("status") >= 6, "has tried everything")
    statuses = [int(each) for each in re.findall("status ([0-9]+)", log.read_text())]
    assert len(statuses) == 6 and set(statuses) <= {401, 403}
