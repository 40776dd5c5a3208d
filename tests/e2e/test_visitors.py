"""A real node and pages of other sites: where it listens, and what a manifest says of them."""

from __future__ import annotations

import http.client
import http.server
import sys
import threading
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from runtimes.processes.listening import listening
from tests.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.nodes import Bench

#: Answers everything with what it was asked, to everybody, with a cookie for all of its neighbours.
SERVER = """
import http.server, os, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    posts = 0

    def address_string(self):
        return "the router"

    def answer(self):
        Handler.posts += self.command == "POST"
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = f"{self.command} {self.headers.get('Remote-User', 'nobody')}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-posts", str(Handler.posts))
        self.send_header("set-cookie", "a=1; Domain=localhost; Path=/")
        self.send_header("access-control-allow-origin", "*")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_OPTIONS = answer

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

Server(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Handler).serve_forever()
"""
FOREIGN = {"Origin": "http://evil.example"}


def declare(bench: Bench, **rest: str) -> None:
    script = bench.root / "server.py"
    script.write_text(SERVER)
    bench.declare("a", sys.executable, str(script), probes={}, **rest)


def ask(bench: Bench, method: str, fields: dict[str, str], host: str = "a.localhost") -> tuple[int, str, str]:
    """Status, body, and who may read it."""
    port = int(bench.status()["node"]["address"].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, "/", headers={"Host": f"{host}:{port}", **fields})
    answer = connection.getresponse()
    told = answer.status, answer.read().decode(), answer.getheader("access-control-allow-origin", "")
    connection.close()
    return told


def test_a_manifest_lets_pages_of_other_sites_in_and_out_without_a_restart(bench: Bench) -> None:
    declare(bench)
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    pid = bench.pid("a")
    status, body, readers = ask(bench, "POST", FOREIGN)
    assert (status, readers) == (403, "") and "crossSite: allow" in body
    assert ask(bench, "GET", FOREIGN) == (200, "GET nobody", "")
    assert ask(bench, "POST", {"Sec-Fetch-Site": "same-origin", "Remote-User": "admin"}) == (
        200,
        "POST nobody",
        "*",
    )
    declare(bench, crossSite="allow")
    bench.until(lambda: ask(bench, "POST", FOREIGN) == (200, "POST nobody", "*"), "let in")
    declare(bench)
    bench.until(lambda: ask(bench, "POST", FOREIGN)[0] == 403, "refused again")
    assert bench.pid("a") == pid


class Site(http.server.BaseHTTPRequestHandler):
    """A page with nothing on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def site() -> Iterator[str]:
    """The address of a stranger's page."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://evil.test:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.xdist_group("browser")
def test_a_strangers_page_in_a_browser_has_a_nodes_service_do_nothing(bench: Bench) -> None:
    declare(bench)
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    port = bench.status()["node"]["address"].rpartition(":")[2]
    send = f"return fetch('http://a.localhost:{port}/', {{method: 'POST', mode: 'no-cors', body: 'x'}})"
    with Browser() as browser, site() as address:
        page = browser.page(address)
        page.run(f"{send}.then(() => 0)")
        assert posts(bench) == 0
        declare(bench, crossSite="allow")
        bench.until(lambda: ask(bench, "POST", FOREIGN)[0] == 200, "let in")
        before = posts(bench)
        page.run(f"{send}.then(() => 0)")
        assert posts(bench) == before + 1


def posts(bench: Bench) -> int:
    """How many have come to the service."""
    port = int(bench.status()["node"]["address"].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/", headers={"Host": f"a.localhost:{port}"})
    answer = connection.getresponse()
    connection.close()
    return int(answer.getheader("x-posts", "-1"))


def test_the_nodes_own_host_is_for_its_own_pages(bench: Bench) -> None:
    bench.up()
    for fields in (FOREIGN, {"Sec-Fetch-Site": "same-site"}):
        assert ask(bench, "POST", fields, host="localhost")[0] == 403
        assert ask(bench, "GET", fields, host="localhost")[0] == 200
    assert ask(bench, "GET", {}, host="rebound.example")[0] == 421


def test_a_node_listens_on_this_machine_only(bench: Bench) -> None:
    """Its router is a process beneath it. Nobody can have it otherwise: see the settings' own tests."""
    bench.up()
    assert bench.node is not None
    found = {each for each in listening(bench.node.pid) or () if each.port}
    assert found
    assert [str(each) for each in found if not ip_address(each.host).is_loopback] == []
