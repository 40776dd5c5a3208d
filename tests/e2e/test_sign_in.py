"""Signing in on a real node, in a real browser: from an app's host to the form, back, and out again."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser import Browser

if TYPE_CHECKING:
    from tests.browser import Page
    from tests.e2e.nodes import Bench

#: Answers with what it was told of who asks.
SERVER = """
import http.server, os, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "the router"

    def do_GET(self):
        told = [self.headers.get(name, "nobody") for name in ("Remote-User", "Cookie")]
        body = f"<title>{self.path}</title><p>{' '.join(told)}".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

Server(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Handler).serve_forever()
"""
PASSWORD = "correct horse battery staple"
SHOWN = "while (document.readyState !== 'complete') await new Promise(done => setTimeout(done, 20)); "


def declare(bench: Bench, service_id: str, **rest: object) -> None:
    script = bench.root / "server.py"
    script.write_text(SERVER)
    bench.declare(service_id, sys.executable, str(script), probes={}, **rest)


def read(page: Page, what: str) -> str:
    """Of the page that is there, also where it has just come."""
    for _ in range(200):
        try:
            return str(page.run(f"{SHOWN} return {what}"))
        except RuntimeError:
            # It was on its way to the next one.
            continue
    raise AssertionError("no page stays")


def until(page: Page, what: str, expected: str) -> None:
    for _ in range(500):
        if (found := read(page, what)) == expected:
            return
    raise AssertionError(f"{what} is {found!r}, not {expected!r}")


@pytest.mark.xdist_group("browser")
def test_a_person_signs_in_where_an_app_is_and_out_again(bench: Bench) -> None:
    declare(bench, "notes", signIn={"header": "Remote-User"})
    declare(bench, "other")
    bench.up()
    bench.until(lambda: bench.ready("notes", "other"), "ready")
    port = bench.status()["node"]["address"].rpartition(":")[2]
    node, notes = f"http://localhost:{port}", f"http://notes.localhost:{port}"
    with Browser() as browser:
        page = browser.page(f"{notes}/a?b=1")
        assert read(page, "document.body.innerText") == "nobody nobody"
        person = [{"username": "alice", "password": PASSWORD, "role": "admin"}]
        assert bench.atek("call", "atek.cloud/users-api", "create", json.dumps(person)).returncode == 0

        page.go(f"{notes}/a?b=1")
        assert read(page, "location.pathname") == "/_atek/login"
        page.run(
            f"document.forms[0].username.value = 'alice'; document.forms[0].password.value = {PASSWORD!r};"
            "document.forms[0].querySelector('button').click()"
        )
        until(page, "location.href", f"{notes}/a?b=1")
        assert read(page, "document.body.innerText") == "alice nobody"
        assert read(page, "document.cookie") == ""
        names = {name for name, _ in page.cookies()}
        # This browser keeps secure cookies at localhost, so it was given one that no other host can set.
        assert any(name.startswith("__Host-atek-") and "way" not in name for name in names), names

        page.go(f"http://other.localhost:{port}/x")
        until(page, "location.pathname", "/x")
        page.go(node)
        assert "alice" in read(page, "document.body.innerText")
        page.run("[...document.links].find(each => each.text === 'notes').click()")
        until(page, "location.href", f"{notes}/")

        page.go(f"{node}/_atek/logout")
        page.run("document.forms[0].querySelector('button').click()")
        until(page, "location.pathname", "/_atek/login")
        for host in ("notes", "other"):
            page.go(f"http://{host}.localhost:{port}/")
            assert read(page, "location.pathname") == "/_atek/login"
        page.close()
