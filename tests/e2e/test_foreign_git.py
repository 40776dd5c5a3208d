"""A stranger's Git source on a real node: what its service asks for is granted, asked again, taken back."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_git_source import GitBench
from tests.e2e.test_strict_hello import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None and "CI" not in os.environ, reason="bubblewrap is not on this machine"
)

#: Answers what it sees of a folder, and whether it gets to a port.
PROGRAM = """
import http.server, json, os, socket, socketserver
def tried(what):
    try: return what()
    except OSError as error: return type(error).__name__
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        folder, port = os.environ["FOLDER"], int(os.environ["TARGET"])
        body = json.dumps({
            "folder": tried(lambda: os.listdir(folder)),
            "written": tried(lambda: open(folder + "/new", "w").close()),
            "port": tried(lambda: socket.create_connection(("localhost", port), 5).close()),
        }).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self): return "unix"
    def log_message(self, *args): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): daemon_threads = True
Server(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Handler).serve_forever()
"""


@pytest.fixture
def bench() -> Iterator[GitBench]:
    made = GitBench(interval="1s", trust="foreign")
    yield made
    made.close()


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def waits(bench: GitBench) -> bool:
    status, reason, message = bench.condition("app", "Stalled")
    return (status, reason) == ("True", "GrantRequired") and "`atek grant app`" in message


def seen(bench: GitBench) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(bench, "app", "/"))
    return found


def test_what_it_asks_for_is_granted_asked_again_and_taken_back(bench: GitBench) -> None:
    photos = bench.root / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_text("")
    with listening() as port:

        def commit(binds: list[str]) -> None:
            manifest = {
                "id": "app", "source": "./app", "runtime": "python", "sandbox": "strict",
                "env": {"FOLDER": os.fspath(photos), "TARGET": str(port)},
                "egress": [f"localhost:{port}"], "binds": binds,
            }  # fmt: skip
            bench.origin.commit({"app.json": json.dumps(manifest), "app/main.py": PROGRAM})

        commit([os.fspath(photos)])
        bench.up()
        bench.until(lambda: waits(bench), "it asks")
        assert "egress" in bench.atek("grant").stdout and f"bind:{photos}:ro" in bench.atek("grant").stdout
        # Half of it is not enough.
        bench.atek("grant", "app", f"bind:{photos}:ro", "--yes")
        assert waits(bench) and "connect to localhost" in bench.condition("app", "Stalled")[2]
        bench.atek("grant", "app", "--yes")
        bench.until(lambda: bench.ready("app"), "it runs")
        assert seen(bench) == {"folder": ["a.jpg"], "written": "OSError", "port": None}
        pid = bench.pid("app")
        # More than was granted is asked for again, and what ran runs on as it was.
        commit([f"{photos}:rw"])
        bench.until(lambda: waits(bench), "it asks again")
        assert bench.pid("app") == pid and seen(bench)["written"] == "OSError"
        bench.atek("grant", "app", "--yes")
        bench.until(lambda: bench.replaced("app", pid), "the new one runs")
        assert seen(bench)["written"] is None
        # Taken back, nothing of it runs, also after the node was killed.
        bench.atek("revoke", "app", f"egress:localhost:{port}")
        bench.until(lambda: waits(bench) and not bench.ready("app"), "it is stopped")
        bench.until(lambda: not bench.service("app").get("instances"), "nothing runs")
        bench.kill()
        bench.up()
        bench.until(lambda: waits(bench), "it asks in the next life, too")
        assert not bench.ready("app")
