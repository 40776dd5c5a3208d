"""A program that answers on its Unix socket with the VALUE it was started with; its work takes a moment.

It speaks HTTP/1.1 with keep-alive, and does nothing about SIGTERM: what it is working on then is lost.
"""

import json
import os
import socketserver
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

VALUE = os.environ["VALUE"]
TAKES = float(os.environ.get("TAKES", "0"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(TAKES)
        self._send("text/plain", VALUE.encode())

    def do_POST(self) -> None:
        call: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(TAKES)
        answer = {"jsonrpc": "2.0", "id": call.get("id"), "result": [VALUE, *call["params"]]}
        self._send("application/json", json.dumps(answer).encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None: ...


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Server(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Handler).serve_forever()
