"""A socket before the engine's that passes everything on and notes what was asked."""

from __future__ import annotations

import re
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_PIECE = 65536
# A head begins a piece: the node's client sends each head by itself, and never two requests in one.
_HEAD = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) (\S+) HTTP/1\.1\r\n")


class CountingProxy:
    """Two threads for each connection: slow, but nothing is measured through it but numbers."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._folder = tempfile.TemporaryDirectory(prefix="atek-proxy-")
        self.path = str(Path(self._folder.name) / "docker.sock")
        self._asked: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> CountingProxy:
        self._listener.bind(self.path)
        self._listener.listen(1024)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone does not wake a thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._folder.cleanup()

    def forget(self) -> None:
        """What was asked up to now."""
        self._asked = []

    def requests(self) -> list[str]:
        """Method and path of each since then, without the version and the query."""
        return list(self._asked)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._engine)
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, notes: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if notes and (head := _HEAD.match(piece)):
                    self._asked.append(_called(head[1], head[2]))
                target.sendall(piece)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _called(method: bytes, target: bytes) -> str:
    path = target.partition(b"?")[0].decode()
    return f"{method.decode()} {re.sub(r'^/v[0-9.]+', '', path)}"
