"""HTTP by hand, on sockets: what is sent and what comes back, byte for byte."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What the backend answers to everything, and what is sent to have it called.
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":[1,"a"]}'
CALL = b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[1,"a"]}'
#: The service, and the API that it exports.
SERVICE, API = "bench", "bench/echo"
#: Seconds that an answer may take on a busy machine.
PATIENCE = 30.0

Address = tuple[str, int]


class WrongAnswer(Exception):
    """What came back is not what has to come back."""


@dataclass(frozen=True)
class Request:
    """A request that is sent again and again, always the same."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __bytes__(self) -> bytes:
        headers = {**self.headers, "Content-Length": str(len(self.body))} if self.body else self.headers
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            *(f"{key}: {value}" for key, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Answer:
    """`size` is all its bytes, the head's too."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    size: int


def gateway_call(token: str) -> Request:
    """A JSON-RPC request for the backend's API."""
    headers = {"Host": "localhost", "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return Request("POST", f"/_atek/gateway?api={API}", headers, CALL)


def plain_get(path: str = "/", service: str = SERVICE) -> Request:
    """A request for a service by its host name."""
    return Request("GET", path, {"Host": f"{service}.localhost"})


class Connection:
    """One connection, kept open; a context manager."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def ask(self, request: Request) -> Answer:
        """Sends it and reads a whole answer, which has to have a Content-Length. Raises WrongAnswer."""
        self.socket.sendall(bytes(request))
        return self._answer()

    def _answer(self) -> Answer:
        size, status, headers = self._head()
        if "content-length" not in headers:
            raise WrongAnswer(f"{status} without a Content-Length: {headers}")
        length = int(headers["content-length"])
        while len(self._unread) < length:
            self._unread += self._receive()
        body, self._unread = self._unread[:length], self._unread[length:]
        return Answer(status, headers, body, size + length)

    def _head(self) -> tuple[int, int, dict[str, str]]:
        """Its size, the status, and the headers by their names in small letters."""
        while b"\r\n\r\n" not in self._unread:
            self._unread += self._receive()
        head, self._unread = self._unread.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        return len(head) + 4, int(first.split()[1]), {key.lower(): value.strip() for key, value in pairs}

    def _receive(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise WrongAnswer(f"the connection was closed after {self._unread[:200]!r}")
        return data


def expect_answer(address: Address, request: Request) -> Answer:
    """The backend's answer, exactly. Raises WrongAnswer."""
    with Connection(address) as connection:
        return checked(connection.ask(request))


def checked(answer: Answer) -> Answer:
    """Raises WrongAnswer when it is not the backend's."""
    if (answer.status, answer.body) != (200, ANSWER):
        raise WrongAnswer(f"{answer.status} {answer.body[:200]!r}")
    return answer
