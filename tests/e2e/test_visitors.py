"""A real node and pages of other sites: where it listens, and what a manifest says of them."""

from __future__ import annotations

import http.client
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

from runtimes.processes.listening import listening

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

#: Answers everything with what it was asked, to everybody, with a cookie for all of its neighbours.
SERVER = """
import http.server, os, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "the router"

    def answer(self):
        body = f"{self.command} {self.headers.get('Remote-User', 'nobody')}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
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
