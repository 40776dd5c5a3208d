"""A backend that needs only Python, for smoke tests and for long bodies: `plain_backend.py SOCKET [PORT]`.

It answers `/source?bytes=N` with N bytes (`&chunked`: without a length), and everything else with the
benchmark's answer, after it has read the body; the header X-Received says how many bytes that had.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn, UnixStreamServer
from urllib.parse import parse_qs, urlsplit

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":[1,"a"]}'
BLOCK = bytes(1 << 20)


class Handler(BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/source":
            wanted = parse_qs(url.query, keep_blank_values=True)
            self._produce(int(wanted["bytes"][0]), chunked="chunked" in wanted)
        else:
            self._answer(0)

    def do_POST(self) -> None:
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        self._answer(self._discard_chunks() if chunked else self._discard(self._length()))

    def log_message(self, *_: object) -> None:
        """Nothing: a terminal would be slower than what is measured."""

    def _length(self) -> int:
        return int(self.headers.get("Content-Length", "0"))

    def _answer(self, received: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.send_header("X-Received", str(received))
        self.end_headers()
        self.wfile.write(ANSWER)

    def _discard(self, length: int) -> int:
        left = length
        while left:
            data = self.rfile.read1(min(left, len(BLOCK)))
            if not data:
                raise ConnectionError("the body ended early")
            left -= len(data)
        return length

    def _discard_chunks(self) -> int:
        total = 0
        while size := int(self.rfile.readline(), 16):
            total += self._discard(size)
            self.rfile.readline()
        self.rfile.readline()
        return total

    def _produce(self, count: int, *, chunked: bool) -> None:
        self.send_response(200)
        name, value = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(count))
        self.send_header(name, value)
        self.end_headers()
        while count:
            block = BLOCK[: min(count, len(BLOCK))]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            count -= len(block)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")


class Threads(ThreadingMixIn):
    """A thread for each connection; a client that goes away is no news."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None: ...


class UnixServer(Threads, UnixStreamServer):
    """On a path."""


class TcpServer(Threads, TCPServer):
    """On a port."""


def main(path: str, port: str = "") -> None:
    Path(path).unlink(missing_ok=True)
    if port:
        server = TcpServer(("127.0.0.1", int(port)), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    UnixServer(path, Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
