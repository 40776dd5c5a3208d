"""A real node, and programs of the original's kind for it to run."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.compat.clients import PATIENCE, Clients
from tests.e2e.nodes import Bench

if TYPE_CHECKING:
    from pathlib import Path

#: A service as it was written for the original: it listens on the socket that it was assigned.
PROGRAM = """
import http from 'node:http'
http.createServer((req, res) => res.end(JSON.stringify(process.env)))
  .listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
"""


class CompatNode(Bench):
    """Everything happens through its gateway, by the original's clients."""

    def package(self, **atek_json: Any) -> str:
        """The URL of the folder `notes`, a package that runs `PROGRAM`."""
        folder = self.root / "notes"
        folder.mkdir()
        (folder / "index.js").write_text(PROGRAM)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "atek.json").write_text(json.dumps(atek_json))
        return folder.as_uri()

    @property
    def port(self) -> int:
        return int(self.status()["node"]["address"].rpartition(":")[2])

    @property
    def admin_token(self) -> str:
        return self.atek("token").stdout.strip()

    def token_of(self, service_id: str) -> str:
        """What the running service was given."""
        return self.environment(service_id)["ATEK_HOST_BEARER_TOKEN"]

    def environment(self, service_id: str) -> dict[str, str]:
        """What the running service sees."""
        with open(f"/proc/{self.pid(service_id)}/environ", "rb") as file:
            lines = os.fsdecode(file.read()).split("\0")
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def get(self, service_id: str, path: str) -> str:
        """What the service answers at its own host."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Host": f"{service_id}.localhost"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text

    def clients(self, folder: Path) -> Clients:
        """Scripts that call as an administrator."""
        return Clients(folder, self.port, self.admin_token)
