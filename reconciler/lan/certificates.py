"""Which certificate the node shows: a person's own files, read again when they change, or its authority's.

The library is asked in a process of its own (`authority`). What it made is kept in `state/tls/leaf.json` with
the names that it is for, so that it is asked again only for other names, or a month before the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio

from manifests.files import read_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.state.settings import TlsSettings

FOLDER, ROOT, LEAF = "state/tls", "root.crt", "leaf.json"
#: Seconds before its end at which a leaf is replaced, and a person is told of their own file's.
RENEW, WARN = 30 * 86400.0, 14 * 86400.0
#: Seconds for the process that knows certificates, and until it is asked again what failed.
PATIENCE, AGAIN = 30.0, 60.0


@dataclass(frozen=True, slots=True)
class Shown:
    """`pem`: chain and key; `authority`: who signed, where that is the node's own; `until`: its end."""

    pem: str
    authority: str
    until: float

    def __repr__(self) -> str:
        return f"Shown(until={self.until})"


class Certificates:
    """`problem` is what is wrong at the moment, in words; what is shown stays what it was meanwhile."""

    def __init__(self, home: Path, settings: TlsSettings, *, node: str, domain: str) -> None:
        self.problem = ""
        self._folder = home / FOLDER
        self._home = home
        self._settings = settings
        self._node, self._domain = node, domain
        self._shown: Shown | None = None
        #: What is wrong with the files as they are.
        self._wrong = ""
        #: What was looked at last, and when it may be looked at again although it is the same.
        self._seen: object = None
        self._again = 0.0

    @property
    def root(self) -> Path:
        """The authority's certificate."""
        return self._folder / ROOT

    async def look(self, hosts: Sequence[str], addresses: Sequence[str], now: float) -> Shown | None:
        """What is to be shown for these names now (seconds since 1970); None while there is nothing."""
        if self._settings.authority:
            await self._issue(sorted(hosts), sorted(addresses), now)
        else:
            await self._read(now)
        return self._shown

    # -- of the node's own authority

    async def _issue(self, hosts: list[str], addresses: list[str], now: float) -> None:
        wanted = {"hosts": hosts, "addresses": addresses}
        if self._shown is None or self._seen != wanted or now > self._shown.until - RENEW:
            kept = self._kept(wanted, now)
            if kept is None and (now >= self._again or self._seen != wanted):
                kept = await self._ask_for(wanted, now)
            self._seen = wanted
            if kept is not None:
                self._shown, self.problem = kept, ""

    def _kept(self, wanted: dict[str, Any], now: float) -> Shown | None:
        try:
            value = read_json(self._folder / LEAF)
            root = self.root.read_text("ascii")
            if value is None or value["for"] != wanted or root not in value["pem"]:
                return None
            shown = Shown(value["pem"], root, float(value["until"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return shown if now < shown.until - RENEW else None

    async def _ask_for(self, wanted: dict[str, Any], now: float) -> Shown | None:
        request = {"folder": str(self._folder), "node": self._node, "domain": self._domain, **wanted}
        answer = await _ask({"do": "issue", **request})
        if "error" in answer:
            self.problem, self._again = _words(answer), now + AGAIN
            return None
        value = {"for": wanted, "pem": answer["pem"], "until": answer["until"]}
        try:
            write_atomically(self._folder / LEAF, json.dumps(value).encode())
        except OSError as error:
            # It is as good in memory; the next life makes another one.
            self._again = now + AGAIN
            self.problem = f"the certificate cannot be kept: {error.strerror or error}"
        return Shown(answer["pem"], self.root.read_text("ascii"), answer["until"])

    # -- of one's own files

    async def _read(self, now: float) -> None:
        assert self._settings.cert is not None and self._settings.key is not None
        cert, key = self._home / self._settings.cert, self._home / self._settings.key
        try:
            seen = tuple(_identity(each) for each in (cert, key))
            if seen != self._seen:
                answer = await _ask({"do": "read", "cert": cert.read_text(), "key": key.read_text()})
                self._seen = seen
                self._wrong = f"{cert}: {_words(answer)}" if "error" in answer else ""
                if not self._wrong:
                    self._shown = Shown(answer["pem"], "", answer["until"])
        except (OSError, UnicodeDecodeError) as error:
            self._wrong, self._seen = f"the certificate cannot be read: {error}", None
        self.problem = self._wrong or (self._ends(cert, self._shown.until, now) if self._shown else "")

    @staticmethod
    def _ends(cert: Path, until: float, now: float) -> str:
        if now < until - WARN:
            return ""
        day = datetime.fromtimestamp(until, UTC).date()
        return f"{cert} {'ended' if now >= until else 'ends'} on {day}: whoever renews it has not done so"


def _identity(path: Path) -> tuple[int, int, int]:
    """What is another one whenever the file is; renewed certificates are new targets of the same link."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _words(answer: dict[str, Any]) -> str:
    return f"{answer['error']} ({answer['hint']})"


async def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """What `authority` answers. Keys are in its standard input, and nowhere else."""
    command = [sys.executable, "-P", "-m", "reconciler.lan.authority"]
    try:
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process(
                command, input=json.dumps(request).encode(), stderr=subprocess.PIPE, check=False
            )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, TimeoutError, ValueError) as error:
        return {"error": "the certificate could not be made", "hint": f"{type(error).__name__}: {error}"}
    return answer
