"""The hello app in a strict sandbox, on a real node: it is called, and calls others by both ways out."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_life import get

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.nodes import Bench

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None and "CI" not in os.environ, reason="bubblewrap is not on this machine"
)

#: Listens on its socket; /call?WAY asks the gateway for `notes`, and answers what that said.
PYTHON = """
import http.client, http.server, json, os, socket, socketserver, urllib.request

CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": []}).encode()
GATEWAY = "/_atek/gateway?api=example.com/notes"

def by_port(token):
    request = urllib.request.Request(f"http://localhost:{os.environ['ATEK_HOST_PORT']}{GATEWAY}", CALL)
    if token: request.add_header("Authorization", f"Bearer {os.environ['ATEK_HOST_BEARER_TOKEN']}")
    return urllib.request.urlopen(request, timeout=10).read().decode()

def by_socket(token):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(os.environ["ATEK_HOST_SOCKET"])
    fields = {"Authorization": f"Bearer {os.environ['ATEK_HOST_BEARER_TOKEN']}"} if token else {}
    connection.request("POST", GATEWAY, CALL, fields)
    return connection.getresponse().read().decode()

def run(path):
    what, _, rest = path.lstrip("/").partition("?")
    try:
        if what == "port": return by_port(rest == "token")
        if what == "socket": return by_socket(rest == "token")
        if what == "connect":
            host, _, port = rest.rpartition(":")
            socket.create_connection((host, int(port)), 5).close()
            return "connected"
        return "hello"
    except Exception as error:
        return f"{type(error).__name__}: {error}"

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.answer(run(self.path))
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        caller = self.headers.get("Atek-Auth-Service", "")
        self.answer(json.dumps({"jsonrpc": "2.0", "id": 1, "result": f"notes heard {caller}"}))
    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self): return "unix"
    def log_message(self, *args): pass

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): daemon_threads = True
Server(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Handler).serve_forever()
"""
NODE = """
const http = require('http')
const body = JSON.stringify({jsonrpc: '2.0', id: 1, method: 'hello', params: []})
const path = '/_atek/gateway?api=example.com/notes'
const env = process.env
function call(where, answer) {
  const headers = {Host: 'localhost', Connection: 'close'}
  const request = http.request({...where, path, method: 'POST', headers}, got => {
    let text = ''
    got.on('data', piece => { text += piece }).on('end', () => answer(text))
  })
  request.on('error', error => answer('Error: ' + error.message))
  request.end(body)
}
http.createServer((request, response) => {
  const answer = text => response.end(text)
  if (request.url.startsWith('/port')) call({host: 'localhost', port: env.ATEK_HOST_PORT}, answer)
  else if (request.url.startsWith('/socket')) call({socketPath: env.ATEK_HOST_SOCKET}, answer)
  else answer('hello')
}).listen(env.ATEK_ASSIGNED_SOCKET_FILE)
"""


def declare(bench: Bench, service_id: str, **rest: Any) -> None:
    (bench.folder / f"{service_id}.json").write_text(json.dumps({"id": service_id, **rest}))


def package(bench: Bench, name: str, files: dict[str, str]) -> str:
    folder: Path = bench.root / name
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text)
    return os.fspath(folder)


def notes(bench: Bench) -> None:
    source = package(bench, "notes-app", {"main.py": PYTHON})
    exports = [{"api": "example.com/notes", "path": "/"}]
    declare(bench, "notes", source=source, runtime="python", exports=exports)


def ask(bench: Bench, service_id: str, path: str) -> str:
    import urllib.request

    address = bench.status()["node"]["address"]
    request = urllib.request.Request(f"{address}{path}", headers={"Host": f"{service_id}.localhost"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def hello(bench: Bench, runtime: str, **rest: Any) -> None:
    if runtime == "node":
        files = {"package.json": json.dumps({"name": "hello", "main": "index.js"}), "index.js": NODE}
        declare(bench, "hello", source=package(bench, "app", files), runtime="node", sandbox="strict", **rest)
    elif runtime == "python":
        source = package(bench, "app", {"main.py": PYTHON})
        declare(bench, "hello", source=source, runtime="python", sandbox="strict", **rest)
    else:
        command = ["/usr/bin/python3", "-c", PYTHON.replace("$", "$$")]
        declare(bench, "hello", command=command, sandbox="strict", **rest)


@pytest.mark.parametrize("runtime", ["node", "python", "process"])
def test_it_calls_the_gateway_by_its_port_and_by_its_socket(bench: Bench, runtime: str) -> None:
    notes(bench)
    hello(bench, runtime)
    bench.up()
    bench.until(lambda: bench.ready("notes", "hello"), "ready")
    assert ask(bench, "hello", "/") == "hello"
    for way in ("port", "socket"):
        answer = ask(bench, "hello", f"/{way}")
        assert "notes heard" in answer, answer
        # Without a token it is that service: nobody else could be there.
        key = json.loads(answer)["result"].removeprefix("notes heard ")
        assert key not in ("", "system")


def test_a_program_that_listens_on_a_port_is_called_as_any_other(bench: Bench) -> None:
    server = 'import http.server, os; port = int(os.environ["PORT"]); s = http.server.ThreadingHTTPServer'
    script = f'{server}(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler); s.serve_forever()'
    declare(bench, "hello", command=["/usr/bin/python3", "-c", script], port="auto", sandbox="strict")
    bench.up()
    bench.until(lambda: bench.ready("hello"), "ready")
    assert "Directory listing" in ask(bench, "hello", "/")


def test_it_is_there_again_after_the_node_and_the_router_were_killed(bench: Bench) -> None:
    notes(bench)
    hello(bench, "python")
    bench.up()
    bench.until(lambda: bench.ready("notes", "hello"), "ready")
    pid = bench.pid("hello")
    port = bench.status()["node"]["address"].rpartition(":")[2]
    bench.kill()
    bench.up("--port", port)
    bench.until(lambda: bench.ready("notes", "hello"), "ready")
    assert bench.pid("hello") == pid
    bench.until(lambda: works(bench), "by the gateway of the next life")
    router = next(pid for pid in children(bench) if b"runtimes.router" in command(pid))
    os.kill(router, signal.SIGKILL)
    bench.until(lambda: works(bench), "by the next router")


def works(bench: Bench) -> bool:
    try:
        return all("notes heard" in ask(bench, "hello", f"/{way}") for way in ("port", "socket"))
    except OSError:
        return False


def children(bench: Bench) -> list[int]:
    assert bench.node is not None
    pid = bench.node.pid
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(each) for each in file.read().split()]


def command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_it_reaches_what_its_egress_lists_and_is_told_what_not(bench: Bench) -> None:
    notes(bench)
    bench.up()
    bench.until(lambda: bench.ready("notes"), "ready")
    port = int(bench.status()["node"]["address"].rpartition(":")[2])
    hello(bench, "python", egress=["api.example.com:443", "127.0.0.1:9"])
    bench.until(lambda: bench.ready("hello"), "ready")
    # The gateway is at its port, all else of this machine is not; what is listed is somewhere inside.
    assert ask(bench, "hello", f"/connect?127.0.0.1:{port}") == "connected"
    assert "refused" in ask(bench, "hello", f"/connect?127.0.0.1:{port + 1}")
    assert ask(bench, "hello", "/connect?api.example.com:443") == "connected"
    assert "not known" in ask(bench, "hello", "/connect?elsewhere.example:443")
    bench.until(lambda: "elsewhere.example" in bench.atek("events").stdout, "told")
    assert "EgressRefused" in bench.atek("events").stdout
    assert 'atek_egress_refused_total{service="hello"}' in get(bench, "/metrics")[1]
