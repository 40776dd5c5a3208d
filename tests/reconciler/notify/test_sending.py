"""Messages really arrive, by HTTP as ntfy takes them and by SMTP; failures are told without the address."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import SMTP

from reconciler.notify import sending
from reconciler.notify.sending import NotSent, Sender, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


class Ntfy(BaseHTTPRequestHandler):
    """Takes what is published to a topic, as ntfy's server does, from whoever has the password."""

    taken: list[dict[str, Any]]
    refuses = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        allowed = self.headers.get("authorization", "").startswith("Basic ") and not self.refuses
        self.send_response(200 if allowed else 401)
        self.end_headers()
        if allowed:
            self.taken.append(body)
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def ntfy(*, refuses: bool = False) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    taken: list[dict[str, Any]] = []
    handler = type("Handler", (Ntfy,), {"taken": taken, "refuses": refuses})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_by_http_as_ntfy_takes_it() -> None:
    with ntfy() as (port, taken):
        await Sender().send(
            f"ntfy://me:verysecret@127.0.0.1:{port}/alerts", "pi: notes is stalled", "why: 50 % <b>"
        )
    assert taken[0]["topic"] == "alerts"
    assert (taken[0]["title"], taken[0]["message"]) == ("pi: notes is stalled", "why: 50 % <b>")


async def test_by_mail() -> None:
    letters: list[Any] = []

    class Box:
        async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
            letters.append(envelope)
            return "250 OK"

    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: SMTP(Box(), loop=loop), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"mailto://127.0.0.1:{port}?from=pi@example.com&to=me@example.com&mode=insecure"
        await Sender().send(url, "pi: the disk is nearly full", "1 GiB is left")
    assert letters[0].rcpt_tos == ["me@example.com"]
    assert b"the disk is nearly full" in letters[0].content


async def test_who_refuses_and_who_is_not_there_without_what_is_secret() -> None:
    with ntfy(refuses=True) as (port, taken):
        url = f"ntfy://me:verysecret@127.0.0.1:{port}/my-alerts"
        with pytest.raises(NotSent, match="401") as refused:
            await Sender().send(url, "t", "x")
    with pytest.raises(NotSent, match="onnection") as gone:
        await Sender().send(url, "t", "x")
    for told in (refused, gone):
        assert "verysecret" not in str(told.value)
        assert "my-alerts" not in str(told.value)
    assert taken == []


async def test_what_is_no_address() -> None:
    with pytest.raises(NotSent, match=r"nonsense://.*no address"):
        await Sender().send("nonsense://verysecret/path", "t", "x")


async def test_without_apprise_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotSent, match=r"pip install .atek\[notify\]"):
        await Sender().send("ntfy://localhost/x", "t", "x")


async def test_an_address_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(sending, "PATIENCE", 0.05)
    monkeypatch.setattr(sending, "_send", lambda *_: ended.wait(30))
    with pytest.raises(NotSent, match="no answer"):
        await Sender().send("ntfy://localhost/x", "t", "x")
    ended.set()


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("ntfy://me:pw@ntfy.example.com:8080/topic", "ntfy://ntfy.example.com:8080/…"),
        ("ntfys://topic", "ntfys://…"),
        ("tgram://123456:token/chat", "tgram://…"),
        ("mailtos://me:pw@example.com?to=x@y.z", "mailtos://example.com/…"),
        ("discord://id/token", "discord://…"),
    ],
)
def test_only_what_is_no_secret_is_shown(url: str, seen: str) -> None:
    assert shown(url) == seen
