"""A service whose every answer is a JSON-RPC result of many small objects: `large_answers.py SOCKET BYTES`.

Its id is the document's last member, and not the request's: whoever looks for it has to come past all the
rest, and has to write the right one into what is passed on.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer

HEAD, TAIL = b'{"jsonrpc":"2.0","result":[{}', b'],"id":"another"}'


def answer(size: int) -> bytes:
    """At least that many bytes, and three more at the most."""
    count = -(-(size - len(HEAD) - len(TAIL)) // 3)
    return HEAD + b",{}" * count + TAIL


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Nothing: a terminal would be slower than what is measured."""


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    Handler.body = answer(int(sys.argv[2]))
    Server(sys.argv[1], Handler).serve_forever()
