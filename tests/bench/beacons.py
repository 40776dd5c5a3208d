"""The services of the benchmark: one tiny C program, and the socket on which each copy says that it is up."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

#: Process, user and group of a sender.
_CREDENTIALS = struct.Struct("iII")


@dataclass(frozen=True)
class Message:
    """A copy said that it is up, with the value of its variable. `pid`: as it is numbered here."""

    name: str
    value: str
    pid: int
    at: float


class Beacons:
    """Builds the program, and listens."""

    def __init__(self, folder: str | None = None) -> None:
        """`folder`: where its own is made; left out: in that for temporary ones."""
        self.folder = Path(tempfile.mkdtemp(prefix="atek-bench-", dir=folder))
        self.program = self.folder / "beacon"
        self.address = str(self.folder / "up.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        # Who is in a sandbox knows only its number inside; the kernel tells the one outside (unix(7)).
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        _compile(self.program)

    def command(self, name: str) -> list[str]:
        return [str(self.program), self.address, name]

    def receive(self, patience: float = 30.0) -> Message:
        """The next message. Raises TimeoutError."""
        self._socket.settimeout(patience)
        text, (credentials, *_), _, _ = self._socket.recvmsg(512, socket.CMSG_SPACE(_CREDENTIALS.size))
        at = time.perf_counter()
        name, value = text.decode().split()
        pid, _, _ = _CREDENTIALS.unpack(credentials[2])
        return Message(name, value, pid, at)

    def until(self, names: set[str], value: str | None = None) -> dict[str, Message]:
        """The first message of each name (with this value)."""
        heard: dict[str, Message] = {}
        while names - heard.keys():
            message = self.receive()
            if message.name in names and value in (None, message.value):
                heard.setdefault(message.name, message)
        return heard

    def forget(self) -> None:
        """Leaves out what was said until now."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(512)
        except BlockingIOError:
            return

    def close(self) -> None:
        self._socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _compile(program: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("the benchmark needs a C compiler: install gcc")
    source = Path(__file__).with_name("beacon.c")
    subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
